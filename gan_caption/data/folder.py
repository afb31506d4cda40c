"""One's own photographs: a folder of images, with captions in a CSV file, JSON lines, or a .txt beside each image."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from gan_caption.data.annotations import (
    bad_line,
    empty_caption,
    lines_of,
    numbered_lines,
    read_text,
    relative_name,
)
from gan_caption.data.corpus import Split
from gan_caption.data.division import listings, split_of
from gan_caption.data.layout import (
    SPLITS,
    Listing,
    assemble,
    check_name,
    counted,
    existing_folder,
    given_file,
    images_among,
    is_image,
    names_below,
    some,
    unread_heic,
)
from gan_caption.data.outlined import listed_in
from gan_caption.data.tables import read_table
from gan_caption.errors import UserError, share
from gan_caption.files import at_home
from gan_caption.untrusted.parsing import briefly, parse_json, shown

_LAYOUT = (
    "data.root is a folder of images, also in folders inside it; their captions are in captions.csv (columns image, "
    'caption and, if you like, split), in captions.jsonl (lines {"image": "a.jpg", "captions": ["...", "..."]}), or '
    "in a .txt file beside each image (a.txt beside a.jpg, one caption a line); or data.captions names their file"
)


@dataclass(frozen=True)
class _Row:
    """What one line of a caption file says."""

    where: str
    """File and line."""
    image: str
    captions: tuple[str, ...]
    split: str | None


class Folder:
    """A folder of one's own images."""

    LOCATIONS = ("root", "captions")

    def __init__(
        self,
        *,
        root: str | Path,
        captions: str | Path | None,
        val_share: float,
        test_share: float,
        seed: int,
        skip_missing: bool,
    ) -> None:
        """Say where the images and captions lie, and how to split them.

        Where the caption file has no splits, an image's split follows from a hash of its name and the seed alone: it
        stays where it is when other images come or go.

        Args:
            root: the folder of images, with folders inside or without; image names are relative to it.
            captions: a `.csv` or `.jsonl` file. None: `captions.csv` or `captions.jsonl` in `root`, and where neither
                is, `.txt` files beside the images.
            val_share: expected share of the images in val, at least 0; not used where the file gives splits.
            test_share: expected share of the images in test, as above; together less than 1.
            seed: of the division.
            skip_missing: leave out images that the caption file puts into a split and that are not there, and say how
                many, instead of stopping.
        """
        share(val_share=val_share, test_share=test_share)
        if val_share + test_share >= 1:
            raise ValueError(f"val_share={val_share} and test_share={test_share}: together below 1, train is the rest")
        self.root = at_home(root)
        self.captions = captions
        self.val_share = val_share
        self.test_share = test_share
        self.seed = seed
        self.skip_missing = skip_missing

    def split(self, name: str) -> Split:
        """Read a split.

        Raises:
            UserError: the name is another one; images or captions are missing or faulty; no image is in the split.
        """
        check_name(name)
        existing_folder(self.root, (), _LAYOUT)
        names = names_below(self.root)
        files = images_among(names, self.root)
        if not files:
            raise UserError(". ".join([f"data.root={self.root} holds no image", *unread_heic(names), _LAYOUT]))
        path = self._choose()
        notes = unread_heic(names)
        if path is None:
            texts = _beside(self.root, names)
            rows, source = list(_read_beside(self.root, texts)), "the .txt files"
            if alone := [name for name in names if name.endswith(".txt") and name not in texts]:
                notes = [*notes, f"{counted(len(alone), '.txt file')} beside no image: {some(alone)}"]
        else:
            rows, source = list(_read_file(path)), path.name
        if not rows:
            raise UserError(". ".join([f"{path or self.root} holds no captions", *notes, _LAYOUT]))
        captions: dict[str, list[str]] = {}
        for row in rows:
            captions.setdefault(row.image, []).extend(row.captions)
        if not files.keys() & captions.keys():
            raise UserError(
                f"none of the images in {self.root} ({some(files, 2)}) has a caption in {source}, which names "
                f"{some(captions, 2)}: images are named by their path from data.root"
            )
        lists = self._lists(rows, [image for image in files if image in captions], source)
        return assemble(
            name,
            lists=lists,
            captions=captions,
            files=files,
            caption_source=source,
            image_source=f"{self.root.name or self.root}/",
            skip_missing=self.skip_missing,
            outlined=partial(listed_in, self.root),
            notes=notes,
        )

    def _choose(self) -> Path | None:
        """Return the caption file, or None where captions lie beside the images."""
        if self.captions is not None:
            return given_file(self.captions, self.root, "data.captions")
        found = [path for path in (self.root / "captions.csv", self.root / "captions.jsonl") if path.is_file()]
        if len(found) > 1:
            raise UserError(
                f"{self.root} holds captions.csv and captions.jsonl: choose one, data.captions=captions.csv"
            )
        return found[0] if found else None

    def _lists(self, rows: list[_Row], captioned: list[str], source: str) -> dict[str, Listing]:
        """Return the splits that the caption file gives, or else divide the images that have captions."""
        homes = _given_splits(rows)
        shares = {"val": f"data.val_share={self.val_share:g}", "test": f"data.test_share={self.test_share:g}"}
        sources = {split: f"{source} ({split})" for split in SPLITS}
        if not homes:
            divide = partial(split_of, val_share=self.val_share, test_share=self.test_share, seed=self.seed)
            homes = {image: divide(image) for image in captioned}
            images = counted(len(captioned), "captioned image")
            sources = {split: f"{split} ({shares.get(split, 'the rest')} of {images})" for split in SPLITS}
        return listings(homes, sources)


def _given_splits(rows: list[_Row]) -> dict[str, str]:
    """Return every image's split as the caption file has it; {} where it has none."""
    homes: dict[str, str] = {}
    first: dict[str, str] = {}

    def without(row: _Row) -> UserError:
        return UserError(f"{row.where}: {shown(row.image)} has no split, others have: give every row one, or none")

    for row in rows:
        if row.split is None:
            if homes:
                raise without(row)
            continue
        if row.split not in SPLITS:
            raise UserError(f"{row.where}: split {briefly(row.split)} is not known: allowed are {', '.join(SPLITS)}")
        if not homes and row is not rows[0]:
            raise without(rows[0])
        if homes.setdefault(row.image, row.split) != row.split:
            raise UserError(
                f"{row.where}: {shown(row.image)} is in {row.split}, and in {homes[row.image]} by {first[row.image]}: "
                "an image belongs to one split"
            )
        first.setdefault(row.image, row.where)
    return homes


def _read_file(path: Path) -> Iterator[_Row]:
    if path.suffix.lower() == ".csv":
        return _read_csv(path)
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        return _read_json_lines(path)
    raise UserError(f"data.captions={path}: allowed are .csv and .jsonl (one JSON object a line)")


def _read_csv(path: Path) -> Iterator[_Row]:
    wanted = "wanted are image, caption and, if you like, split"
    for where, row in read_table(path, ("image", "caption"), wanted=wanted):
        image = relative_name(row["image"], where)
        if not row["caption"]:
            raise empty_caption(where, image)
        yield _Row(where, image, (row["caption"],), row.get("split") or None)


def _read_json_lines(path: Path) -> Iterator[_Row]:
    wanted = 'wanted is {"image": "a.jpg", "caption": "..."} or "captions": ["...", "..."], "split" if you like'
    for number, line in numbered_lines(path):
        try:
            entry = parse_json(line)
        except json.JSONDecodeError as error:
            raise bad_line(path, number, line, f"no JSON ({error.msg}); {wanted}") from error
        if (
            not isinstance(entry, dict)
            or not isinstance(entry.get("image"), str)
            or not isinstance(entry.get("split"), str | None)
            or ("caption" in entry) == ("captions" in entry)
        ):
            raise bad_line(path, number, line, wanted)
        captions = entry["captions"] if "captions" in entry else [entry["caption"]]
        if not isinstance(captions, list) or not all(isinstance(caption, str) for caption in captions):
            raise bad_line(path, number, line, wanted)
        where = f"{path}, line {number}"
        image = relative_name(entry["image"].strip(), where)
        if not all(caption.strip() for caption in captions):
            raise empty_caption(where, image)
        yield _Row(where, image, tuple(caption.strip() for caption in captions), entry.get("split"))


def _beside(root: Path, names: list[str]) -> dict[str, str]:
    """Return the images that .txt files lie beside, by these files' names, sorted."""
    texts = {name for name in names if name.endswith(".txt")}
    owners: dict[str, str] = {}
    for image in filter(is_image, names):
        text = f"{image.rpartition('.')[0]}.txt"
        if text in owners:
            raise UserError(
                f"{shown(str(root / text))} lies beside {shown(owners[text])} and beside {shown(image)}: rename one of "
                "the images"
            )
        if text in texts:
            owners[text] = image
    return dict(sorted(owners.items()))


def _read_beside(root: Path, owners: dict[str, str]) -> Iterator[_Row]:
    """Read the captions beside the images."""
    for text, image in owners.items():
        _check_text(root, text)
        lines = lines_of(read_text(root / text).rstrip())
        for number, line in enumerate(lines, 1):
            if not line.strip():
                raise empty_caption(f"{root / text}, line {number}", image)
        yield _Row(str(root / text), image, tuple(line.strip() for line in lines), None)


def _check_text(root: Path, text: str) -> None:
    """Refuse what is no file, of which a pipe never ends, and a file elsewhere: what others unpack may be a link."""
    path = root / text
    if not os.path.isfile(path):
        raise UserError(f"{shown(str(path))} is no file: captions lie in files beside the images")
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root)):
        raise UserError(
            f"{shown(str(path))} is a link out of {root}, which is not followed: put the file itself there, or write "
            "captions.csv"
        )
