"""Flickr8k and Flickr30k as Kaggle has them: one table of captions, and no lists that say which split an image is in.

Flickr8k's `captions.txt` has the columns image and caption; Flickr30k's `captions.txt`, and `results.csv` with "| "
between its fields, have image_name, comment_number and comment. In Flickr30k's table the fifth comment of
2199200615.jpg stands in the field of its number.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path

from gan_caption.data.annotations import Captions, bad_line, empty_caption, numbered_lines, relative_name
from gan_caption.data.division import listings, split_of
from gan_caption.data.layout import SPLITS, Listing
from gan_caption.data.tables import read_table

_SHARE = 0.1
_SEED = 0
_WANTED = "wanted is image_name| comment_number| comment"


def read_pairs(path: Path) -> Captions:
    """Return the captions of a table with the columns image and caption.

    Raises:
        UserError: it cannot be read, a row is faulty, or a caption empty.
    """
    rows = read_table(path, ("image", "caption"), wanted="wanted are image and caption")
    return _collected((where, row["image"], row["caption"]) for where, row in rows)


def read_comments(path: Path) -> Captions:
    """Return the captions of a table with the columns image_name, comment_number and comment.

    Raises:
        UserError: as `read_pairs`.
    """
    first = next((line for _, line in numbered_lines(path)), "")
    rows = _piped(path) if "|" in first else _separated_by_commas(path)
    return _collected((where, image, comment or _behind(number)) for where, image, number, comment in rows)


def divided(captions: Collection[str], source: str, official: str) -> tuple[dict[str, Listing], str]:
    """Return splits that are none of the field's, as `data=folder` makes them, and the sentence that says so.

    Args:
        captions: the names of the images.
        source: of them, for messages.
        official: the files that would give the official splits, for messages.
    """
    homes = {image: split_of(image, val_share=_SHARE, test_share=_SHARE, seed=_SEED) for image in captions}
    lists = listings(homes, {split: f"{source} ({split})" for split in SPLITS})
    note = (
        f"{official} are not there: the images are divided by a hash of their names (seed {_SEED}; {_SHARE:g} of them "
        f"in val, {_SHARE:g} in test). Numbers are not comparable with those of the official splits"
    )
    return lists, note


def _collected(rows: Iterator[tuple[str, str, str]]) -> Captions:
    captions: dict[str, list[str]] = {}
    for where, image, caption in rows:
        name = relative_name(image, where)
        if not caption:
            raise empty_caption(where, name)
        captions.setdefault(name, []).append(caption)
    return {name: tuple(own) for name, own in captions.items()}


def _piped(path: Path) -> Iterator[tuple[str, str, str, str]]:
    """Yield where a row stands, its image, its number and its comment."""
    lines = numbered_lines(path)
    number, header = next(lines)
    if [name.strip() for name in header.split("|")] != ["image_name", "comment_number", "comment"]:
        raise bad_line(path, number, header, f"other columns; {_WANTED}")
    for number, line in lines:
        image, *others = (field.strip() for field in line.split("|", 2))
        if not others:
            raise bad_line(path, number, line, f"no | in it; {_WANTED}")
        yield f"{path}, line {number}", image, others[0], "".join(others[1:])


def _separated_by_commas(path: Path) -> Iterator[tuple[str, str, str, str]]:
    columns = ("image_name", "comment_number", "comment")
    for where, row in read_table(path, columns, wanted=f"wanted are {', '.join(columns)}"):
        yield where, row["image_name"], row["comment_number"], row["comment"]


def _behind(number: str) -> str:
    """Return the comment that stands behind the number, in the same field; "" where there is none."""
    found = re.fullmatch(r"\d+\s+(\S.*)", number, re.DOTALL)  # one way to match: the square of many spaces is long
    return found[1] if found else ""
