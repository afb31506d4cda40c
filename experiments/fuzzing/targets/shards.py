"""Tar shards: a whole shard, and a member's JSON, text and features inside a sound one, whose checksums hold."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from experiments.fuzzing.refusals import reading
from gan_caption.data.shards.corpus import Shards

READERS = {"whole", "json", "txt", "npz"}
HOME = Path(tempfile.mkdtemp())
SETTINGS: dict[str, Any] = {
    "train": "train-*.tar",
    "val": "val-*.tar",
    "test": "test-*.tar",
    "window": 16,
    "keep": 50.0,
}
ABOUT = {"fingerprint": "f", "description": "an encoder"}
_FEATURES = io.BytesIO()
np.savez(_FEATURES, grid=np.zeros((2, 3), np.float16), pooled=np.zeros(3, np.float16))
FEATURES = _FEATURES.getvalue()


def seeds() -> dict[str, bytes]:
    captions = json.dumps({"image_id": "a", "captions": ["A dog.", "Dog."]}).encode()
    sound = {"0.jpg": b"an image", "0.json": captions, "1.png": b"another", "1.txt": b"Two girls.\n"}
    of_features = {"__about__/features.json": json.dumps(ABOUT).encode(), "0.npz": FEATURES, "0.json": captions}
    return {
        "shard": tar(sound),
        "features": tar(of_features),
        "pax": tar({"a" * 200 + ".jpg": b"an image", "a" * 200 + ".txt": b"A dog."}, tarfile.PAX_FORMAT),
        "v7": tar(sound, tarfile.USTAR_FORMAT),
        "no_captions": tar({"0.jpg": b"an image"}),
        "two_of_one_name": tar({"0.jpg": b"", "0.txt": b"A dog.", "1.jpg": b"", "00.txt": b"x"}) * 2,
        "cut": tar(sound)[:700],
        "claims_a_terabyte": sized(2**40),
        "claims_less_than_nothing": sized(-512),
        **{f"goes_back_{place}": sized(-512, name) for place, name in enumerate(("README", "__x__/y"))},
        "about_of_a_terabyte": sized(2**40, "__about__/features.json"),
        "long_name": tar({"a\n" * 50_000 + ".jpg": b"an image"}),
        "npz": FEATURES,
        "json": captions,
        "text": b"A dog.\nTwo girls.\n",
        "deep": b"[" * 20_000,
        "surrogate": b'{"captions": ["\\ud800"]}',
        "climbs": b'{"image_id": "../../a", "captions": ["A dog."]}',
    }


def tar(members: dict[str, bytes], form: int = tarfile.GNU_FORMAT) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=form) as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def sized(size: int, name: str = "0.txt") -> bytes:
    """A shard whose second member claims a size, in a header that is otherwise sound."""
    member = tarfile.TarInfo(name)
    member.size = 6
    header = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    header[124:136] = tarfile.itn(size, 12, tarfile.GNU_FORMAT)  # type: ignore[attr-defined]  # of no stub
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return tar({"0.jpg": b"an image"})[:1024] + bytes(header) + b"A dog.".ljust(512, b"\0") + bytes(1024)


def one_input(data: bytes) -> set[str]:
    taken: set[str] = set()
    about = json.dumps(ABOUT).encode()
    read("whole", data, taken)
    read("json", tar({"0.jpg": b"an image", "0.json": data}), taken)
    read("txt", tar({"0.jpg": b"an image", "0.txt": data}), taken)
    read("npz", tar({"__about__/features.json": about, "0.npz": data, "0.txt": b"A dog."}), taken)
    return taken


def read(reader: str, shard: bytes, taken: set[str]) -> None:
    """Read all of a shard, as the first that its cache has seen."""
    root, cache = HOME / "shards", HOME / "cache"
    root.mkdir(exist_ok=True)
    (root / "train-0.tar").write_bytes(shard)
    for skip in (False, True):
        with reading(reader, taken):
            split = Shards(**SETTINGS, root=str(root), cache=str(cache), skip_unreadable=skip).split("train")
            for row, item in enumerate(split.items):
                assert all(text.strip() for text in item.captions)
                if split.indexed.features is None:
                    assert len(split.content(row)) <= len(shard)
                else:
                    grid, pooled = split.features(row)
                    assert (grid.ndim, pooled.ndim) == (2, 1)
    shutil.rmtree(cache, ignore_errors=True)
