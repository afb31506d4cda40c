"""Captions that any program wrote: references and results, in COCO's layouts or as JSON lines.

References: a COCO annotation file (`{"annotations": [{"image_id": 9, "caption": "..."}, ...]}`), or entries as below.
Results: COCO's result file (`[{"image_id": 9, "caption": "..."}, ...]`), or the same entries one a line. An entry may
have `"captions": [...]`, or beside its caption `"samples": [...]`: several captions of the image, to measure variety.
Image ids are whole numbers or texts; 9 and "9" are one image.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gan_caption.data.annotations import bad_line, json_in, lines_in, read_bytes
from gan_caption.errors import UserError
from gan_caption.untrusted.parsing import briefly, parse_json, shown

_FORMS = (
    'wanted is a COCO annotation file, a COCO result file [{"image_id": 9, "caption": "..."}, ...], or one such entry '
    "a line"
)


@dataclass(frozen=True)
class Said:
    """What a system said of an image."""

    caption: str
    """The one to be scored; of several the first."""
    samples: tuple[str, ...]
    """All of several; empty of one caption alone."""


def read_references(path: Path) -> dict[str, list[str]]:
    """Return the raw references of each image.

    Raises:
        UserError: the file cannot be read or has another form, or a reference is empty or no text.
    """
    references: dict[str, list[str]] = {}
    for where, entry in _entries(path):
        for text in _texts(where, entry):
            if not text.strip():
                image = briefly(entry["image_id"])
                raise UserError(f"{where}: a reference of image {image} is empty. Write it or remove it")
            references.setdefault(_image_id(where, entry), []).append(text)
    if not references:
        raise UserError(f"{path}: no references; {_FORMS}")
    return references


def read_results(path: Path) -> dict[str, Said]:
    """Return what a system said of each image, raw. An empty caption is kept: it scores 0.

    Raises:
        UserError: the file cannot be read or has another form, a caption is no text, or an image comes twice.
    """
    results: dict[str, Said] = {}
    for where, entry in _entries(path):
        image = _image_id(where, entry)
        if image in results:
            raise UserError(
                f"{where}: image {shown(image)} came already. Give one entry an image; several captions go into "
                '"samples": [...] beside the caption'
            )
        texts = _texts(where, entry)
        samples = _list(where, entry, "samples") if "samples" in entry else texts if len(texts) > 1 else []
        if not texts:
            raise UserError(f"{where}: image {shown(image)} has no caption")
        results[image] = Said(texts[0], tuple(samples))
    if not results:
        raise UserError(f"{path}: no results; {_FORMS}")
    return results


def check_images(references: dict[str, list[str]], results: dict[str, Said], *, only_given: bool) -> list[str]:
    """Return the images that are scored, in the references' order.

    Args:
        references: by image.
        results: by image.
        only_given: score the images that the results have, where they lack some.

    Raises:
        UserError: results of an image without references, or, unless `only_given`, images without a result.
    """
    unknown = [image for image in results if image not in references]
    if unknown:
        first = unknown[0]
        advice = (
            f"the references have {first.lstrip('0')}; write the number without the zeros before it"
            if first.lstrip("0") in references
            else "give the references of the same split"
        )
        raise UserError(f"results of {len(unknown)} image(s) without references, the first {_some(unknown)}: {advice}")
    missing = [image for image in references if image not in results]
    if missing and not only_given:
        raise UserError(
            f"no result for {len(missing)} of {len(references)} images, the first {_some(missing)}: add them, or score "
            "the others alone with --only-given"
        )
    return [image for image in references if image in results]


def _entries(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each entry and where it stands."""
    for where, entry in _raw_entries(path):
        if not isinstance(entry, dict) or "image_id" not in entry or not {"caption", "captions"} & set(entry):
            raise UserError(f"{where}: {briefly(entry)} has no image_id and caption; {_FORMS}")
        yield where, entry


def _raw_entries(path: Path) -> Iterator[tuple[str, Any]]:
    data = read_bytes(path)  # once: it may be a pipe
    if path.suffix in (".jsonl", ".ndjson") or _is_lines(data, path):
        for number, line in lines_in(data, path):
            try:
                yield f"{path}, line {number}", parse_json(line)
            except json.JSONDecodeError as error:
                raise bad_line(path, number, line, f"no JSON ({error.msg})") from error
        return
    told = json_in(data, path)
    if isinstance(told, dict):
        told = told.get("annotations", [told])
    if not isinstance(told, list):
        raise UserError(f"{path}: {briefly(told)}; {_FORMS}")
    for number, entry in enumerate(told, 1):
        yield f"{path}, entry {number}", entry


def _is_lines(data: bytes, path: Path) -> bool:
    """Tell JSON lines from one JSON value that may be broken into lines: the first line is an entry, complete."""
    lines = lines_in(data, path)
    _, first = next(lines, (0, ""))
    try:
        return next(lines, None) is not None and isinstance(parse_json(first), dict)
    except json.JSONDecodeError:
        return False


def _image_id(where: str, entry: dict[str, Any]) -> str:
    told = entry["image_id"]
    if isinstance(told, bool) or not isinstance(told, int | str) or told == "":
        raise UserError(f"{where}: image_id {briefly(told)} is no whole number and no text")
    return str(told)


def _texts(where: str, entry: dict[str, Any]) -> list[str]:
    if "captions" in entry:
        return _list(where, entry, "captions")
    if not isinstance(entry["caption"], str):
        image, caption = briefly(entry["image_id"]), briefly(entry["caption"])
        raise UserError(f"{where}: the caption of image {image} is {caption}, no text")
    return [entry["caption"]]


def _list(where: str, entry: dict[str, Any], key: str) -> list[str]:
    told = entry[key]
    if not isinstance(told, list) or not all(isinstance(text, str) for text in told):
        raise UserError(f"{where}: {key} of image {briefly(entry['image_id'])} is {briefly(told)}, no list of texts")
    return told


def _some(images: list[str]) -> str:
    return ", ".join(map(shown, images[:3])) + (" ..." if len(images) > 3 else "")
