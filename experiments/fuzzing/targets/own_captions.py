"""Captions of one's own photographs: CSV, JSON lines, and a text beside each image."""

from __future__ import annotations

import tempfile
from pathlib import Path

from experiments.fuzzing.refusals import reading
from gan_caption.data.folder import Folder

READERS = {"Folder"}
HOME = Path(tempfile.mkdtemp())
FILES = [HOME / "csv" / "captions.csv", HOME / "lines" / "captions.jsonl", HOME / "beside" / "a.txt"]
for file in FILES:
    file.parent.mkdir()
    for image in ("a.jpg", "b.jpg"):
        (file.parent / image).touch()


def seeds() -> dict[str, bytes]:
    return {
        "csv": b'image,caption,split\na.jpg,"A dog, running.",train\nb.jpg,Two girls.,val\n',
        "without_splits": b"image,caption\na.jpg,A dog.\na.jpg,Dog.\nb.jpg,Girls.\n",
        "lines": b'{"image": "a.jpg", "captions": ["A dog.", "Dog."]}\n{"image": "b.jpg", "caption": "Girls."}\n',
        "text": b"A dog.\nDog.\n",
        "never_closed": b'image,caption\na.jpg,"' + b"A dog.\n" * 100_000,
        "one_long_line": b"image,caption\na.jpg," + b"dog " * 750_000,
        "many_columns": b"," * 300_000 + b"\n",
        "many_fields": b"image,caption\n" + b"," * 300_000 + b"\n",
        "many_captions_of_one_image": b"image,caption\n" + b"a.jpg,x\n" * 100_000,
        "deep_list": b"[" * 100_000,
        "many_digits": b'{"image": ' + b"9" * 10_000 + b"}",
    }


def one_input(data: bytes) -> set[str]:
    taken: set[str] = set()
    for file in FILES:
        file.write_bytes(data)
        for split in ("train", "val"):
            with reading("Folder", taken):
                corpus = Folder(
                    root=str(file.parent), captions=None, val_share=0.5, test_share=0.0, seed=0, skip_missing=False
                )
                items = corpus.split(split).items
                assert all(text.strip() for item in items for text in item.captions)
    return taken
