"""Karpathy's JSON files: `dataset_coco.json`, `dataset_flickr30k.json`, `dataset_flickr8k.json`.

Karpathy and Fei-Fei 2015, arXiv 1412.2306: images, captions and splits of a data set in one file. The field measures
on these splits.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gan_caption.data.annotations import empty_caption, read_json, relative_name
from gan_caption.errors import UserError
from gan_caption.untrusted.parsing import briefly

_SPLITS = ("train", "restval", "val", "test")


@dataclass(frozen=True)
class KarpathyImage:
    """One entry of the file."""

    name: str
    """The file's name, without its folder."""
    split: str
    """"train", "restval" (of COCO: more images to train on), "val" or "test"."""
    captions: tuple[str, ...]
    """Raw; none, where the file has none."""


def read_karpathy(path: Path) -> list[KarpathyImage]:
    """Return the images of one of Karpathy's files, in its order.

    Raises:
        UserError: the file cannot be read, is incomplete, or an entry has another form; the message names it.
    """
    content = read_json(path)
    images = content.get("images") if isinstance(content, dict) else None
    if not isinstance(images, list):
        raise UserError(f"{path} is not one of Karpathy's files (dataset_coco.json and the like): no list of images")
    return [_read_image(image, f"{path}, images[{index}]") for index, image in enumerate(images)]


def _read_image(image: Any, where: str) -> KarpathyImage:
    try:
        name, split = image["filename"], image["split"]
        raw = [sentence["raw"] for sentence in image["sentences"]]
    except (KeyError, TypeError, IndexError) as error:
        raise UserError(
            f"{where}: wanted is an entry with filename, split and sentences, each with raw. Download the file again"
        ) from error
    if split not in _SPLITS:
        raise UserError(f"{where}: split {briefly(split)} is not known: allowed are {', '.join(_SPLITS)}")
    if not all(isinstance(text, str) for text in (name, *raw)):
        raise UserError(f"{where}: filename and raw captions must be text")
    name = relative_name(name, where)
    if not all(text.strip() for text in raw):
        raise empty_caption(where, name)
    return KarpathyImage(name, split, tuple(text.strip() for text in raw))
