"""Annotation files in JSON: COCO's, Karpathy's, and what `score` takes, also as JSON lines."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from experiments.fuzzing.refusals import reading
from gan_caption.data.caption_files import check_images, read_references, read_results
from gan_caption.data.coco import Coco
from gan_caption.data.flickr30k import Flickr30k

READERS = {"COCO", "Karpathy for COCO", "Karpathy for Flickr30k", "score"}
HOME = Path(tempfile.mkdtemp())
for image in ("train2017/000000000009.jpg", "flickr30k-images/a.jpg", "annotations/captions_train2017.json"):
    (HOME / image).parent.mkdir()
    (HOME / image).touch()


def seeds() -> dict[str, bytes]:
    official = {
        "images": [{"id": 9, "file_name": "000000000009.jpg"}],
        "annotations": [{"id": 1, "image_id": 9, "caption": "A dog."}, {"id": 2, "image_id": 9, "caption": "Dog."}],
    }
    sentences = [{"raw": "A dog."}, {"raw": "Dog."}]
    coco = {"images": [{"filename": "COCO_val2014_000000000009.jpg", "split": "restval", "sentences": sentences}]}
    flickr30k = {"images": [{"filename": "a.jpg", "split": "train", "sentences": sentences}]}
    results = [{"image_id": 9, "caption": "A dog."}, {"image_id": "x", "caption": "", "samples": ["a", "b"]}]
    lines = [*results[:1], {"image_id": 7, "captions": ["A cat.", "Cat."]}]
    return {
        "official": json.dumps(official).encode(),
        "with_categories": json.dumps(official | {"categories": [{"id": 1, "name": "dog"}]}).encode(),
        "karpathy_coco": json.dumps(coco).encode(),
        "karpathy_flickr30k": json.dumps(flickr30k).encode(),
        "results": json.dumps(results).encode(),
        "lines": "\n".join(map(json.dumps, lines)).encode(),
        "deep_list": b"[" * 100_000,
        "deep_list_closed": b"[" * 100_000 + b"]" * 100_000,
        "deep_object": b'{"images":' * 100_000,
        "many_digits": b'{"image_id": ' + b"9" * 10_000 + b', "caption": "a"}',
        "one_long_caption": json.dumps([{"image_id": 9, "caption": "dog " * 750_000}]).encode(),
        "one_long_split": json.dumps(flickr30k).replace("train", "x" * 3 * 10**6).encode(),
        "one_long_name": json.dumps(flickr30k).replace("a.jpg", "../" + "x" * 10**6).encode(),
        "many_captions": json.dumps([{"image_id": 9, "caption": "a"}] * 100_000).encode(),
        "many_lists": b"[" + b",".join([b"[]"] * 300_000) + b"]",
    }


def one_input(data: bytes) -> set[str]:
    taken: set[str] = set()
    official = HOME / "annotations/captions_train2017.json"
    official.write_bytes(data)
    with reading("COCO", taken):
        coco = Coco(root=str(HOME), year=2017, karpathy=None, restval=True, skip_missing=False)
        assert all(item.captions for item in coco.split("train").items)
    karpathy = HOME / "dataset.json"
    karpathy.write_bytes(data)
    with reading("Karpathy for COCO", taken):
        coco = Coco(root=str(HOME), year=None, karpathy=str(karpathy), restval=True, skip_missing=False)
        assert all(item.captions for item in coco.split("train").items)
    with reading("Karpathy for Flickr30k", taken):
        assert all(
            item.captions
            for item in Flickr30k(root=str(HOME), annotations=str(karpathy), skip_missing=False).split("train").items
        )
    lines = HOME / "captions.jsonl"
    lines.write_bytes(data)
    for path in (karpathy, lines):
        with reading("score", taken):
            references = read_references(path)
            assert all(text.strip() for own in references.values() for text in own)
            check_images(references, read_results(path), only_given=True)
    return taken
