"""Captions as files: JSON lines, CSV, or the results that COCO's tools read."""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from gan_caption.errors import UserError
from gan_caption.files import write_atomically
from gan_caption.inference.captioner import Caption, Captioned
from gan_caption.untrusted.parsing import shown

Format = Callable[[Iterable[Captioned]], Iterator[str]]
"""Turns captioned images into the text of a file, piece by piece."""


def json_lines(images: Iterable[Captioned]) -> Iterator[str]:
    """Yield one object a line: the image and its captions, the best first, with all that is known of them."""
    for image in images:
        told = {"image": image.name, "captions": [_as_json(one) for one in image.captions]}
        yield json.dumps(told, ensure_ascii=False) + "\n"


def comma_separated(images: Iterable[Captioned]) -> Iterator[str]:
    """Yield a heading, and one row a caption; attention maps have no place in it."""
    yield _row(["image", "rank", "caption", "log_prob", "discriminator", "confidence"])
    for image in images:
        for rank, one in enumerate(image.captions, 1):
            known = ("" if value is None else f"{value:.6f}" for value in (one.discriminator, one.confidence))
            yield _row([image.name, rank, one.text, f"{one.log_prob:.6f}", *known])


def coco_results(images: Iterable[Captioned]) -> Iterator[str]:
    """Yield a JSON list of `image_id` and `caption`, of the best captions alone.

    Raises:
        UserError: two images have one id; see `check_ids`.
    """
    before = "[\n"
    named: dict[int | str, str] = {}
    for image in images:
        told = {"image_id": _new_id(image.name, named), "caption": image.best.text}
        yield before + json.dumps(told, ensure_ascii=False)
        before = ",\n"
    yield "[]\n" if before == "[\n" else "\n]\n"


def coco_id(name: str) -> int | str:
    """Return the number in names like those of COCO, COCO_val2014_000000391895.jpg or 000000391895.jpg.

    Of another name: that without its folders and its ending.
    """
    name = Path(name).stem
    number = re.fullmatch(r"(?:COCO_\w+_)?([0-9]+)", name)
    return int(number[1]) if number else name


def check_ids(names: Iterable[str]) -> None:
    """Look whether each image has an id of its own among COCO's results.

    Raises:
        UserError: two have the same.
    """
    named: dict[int | str, str] = {}
    for name in names:
        _new_id(name, named)


def _new_id(name: str, named: dict[int | str, str]) -> int | str:
    """Return an image's id, and note whose it is."""
    image_id = coco_id(name)
    if image_id in named:
        raise UserError(
            f"out: COCO's results name images by their file names alone, and {shown(named[image_id])} and "
            f"{shown(name)} would both be image_id {json.dumps(image_id, ensure_ascii=False)}: write .jsonl or .csv, "
            "which tell whole paths, caption their folders one by one, or rename one"
        )
    named[image_id] = name
    return image_id


FORMATS: dict[str, Format] = {".jsonl": json_lines, ".csv": comma_separated, ".json": coco_results}
"""By the ending of the file."""


def format_of(path: Path) -> Format:
    """Return the format that a file's ending asks for.

    Raises:
        UserError: it is none of `FORMATS`.
    """
    if path.suffix not in FORMATS:
        raise UserError(f"out={path}: the ending says the format: .jsonl, .csv, or .json for COCO's results")
    return FORMATS[path.suffix]


def write_captions(path: Path, images: Iterable[Captioned]) -> None:
    """Write captions while they come, in the format of the file's ending; a file is there once all have come.

    Raises:
        UserError: the ending is unknown, or the file cannot be written.
    """
    pieces = format_of(path)(images)
    write_atomically(path, lambda file: file.writelines(map(encoded, pieces)))


def on_a_line(name: str) -> str:
    """Return a name for a terminal: a line break would forge a line, and other control characters be obeyed."""
    return "".join(ascii(mark)[1:-1] if unicodedata.category(mark) in ("Cc", "Zl", "Zp") else mark for mark in name)


def encoded(text: str, encoding: str = "utf-8") -> bytes:
    """Return a text in an encoding; what it does not have, as names that are no UTF-8, is escaped as JSON does it."""
    return text.encode(encoding, errors="backslashreplace")


def _as_json(caption: Caption) -> dict[str, Any]:
    told: dict[str, Any] = {"caption": caption.text, "log_prob": round(caption.log_prob, 6)}
    if caption.discriminator is not None:
        told["discriminator"] = round(caption.discriminator, 6)
    if caption.confidence is not None:
        told["confidence"] = round(caption.confidence, 6)
    if caption.attention is not None:
        told["tokens"] = list(caption.tokens)  # whose rows these are; of a caption that ended, one more is <eos>'s
        told["attention"] = [[round(float(share), 4) for share in row] for row in caption.attention]
    return told


def _row(cells: list[Any]) -> str:
    written = io.StringIO()
    csv.writer(written).writerow(cells)
    return written.getvalue()
