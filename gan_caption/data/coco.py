"""COCO captions (Chen et al. 2015, arXiv 1504.00325): the official annotation files, or Karpathy's splits."""

from __future__ import annotations

import contextlib
import functools
import io
import re
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from gan_caption.data.annotations import Captions, empty_caption, has, read_json, relative_name
from gan_caption.data.corpus import NoSplit, Split
from gan_caption.data.karpathy import read_karpathy
from gan_caption.data.layout import (
    SPLITS,
    Listing,
    assemble,
    check_name,
    existing_file,
    existing_folder,
    existing_list,
    given_file,
    images_in,
)
from gan_caption.data.outlined import complete_instances, listed_in
from gan_caption.errors import UserError
from gan_caption.files import at_home
from gan_caption.metrics.chair import Outlined

_FOLDERS = ("train2014", "val2014", "train2017", "val2017")
_YEARS = (2014, 2017)
_KARPATHY = "dataset_coco.json"
_LAYOUT = (
    f"data.root is the folder that holds images in any of {', '.join(f'{one}/' for one in _FOLDERS)} and either "
    f"annotations/captions_{{train,val}}{{2014,2017}}.json (official) or {_KARPATHY} (Karpathy's captions and splits)"
)


class Coco:
    """123,287 photographs with five captions each.

    The image files of 2014 and 2017 are the same photographs under other names; so annotations of either year, and
    Karpathy's, go with the folders of either. An image's id is its official number, e.g. "391895".
    """

    LOCATIONS = ("root", "karpathy")

    def __init__(
        self,
        *,
        root: str | Path,
        year: int | None,
        karpathy: str | Path | None,
        restval: bool,
        skip_missing: bool,
    ) -> None:
        """Say where the data lies and which splits are wanted.

        Args:
            root: the folder with the image folders, and with `annotations/` or `dataset_coco.json`.
            year: take the official annotations of 2014 or 2017, which have no captioned test split; or None.
            karpathy: take the splits of this file, Karpathy's `dataset_coco.json`; or None. With neither year nor
                karpathy, what `root` holds decides, where that is one thing.
            restval: whether Karpathy's "restval" images (30,504) belong to train, as is usual.
            skip_missing: leave out listed images whose files are not there, and say how many, instead of stopping.
        """
        if year is not None and year not in _YEARS:
            raise ValueError(f"year={year}: allowed are {', '.join(map(str, _YEARS))} and null")
        if year is not None and karpathy is not None:
            raise ValueError(f"year={year} and karpathy={karpathy}: give one of them, the other null")
        self.root = at_home(root)
        self.year = year
        self.karpathy = karpathy
        self.restval = restval
        self.skip_missing = skip_missing

    def split(self, name: str) -> Split:
        """Read a split.

        Raises:
            NoSplit: its annotations or all of its images are missing; test is asked of the official annotations.
            UserError: the name is another one; the split's files are faulty; `root` holds several annotations and no
                word on which to take.
        """
        check_name(name)
        existing_folder(self.root, (), _LAYOUT)
        lists, captions, sources = self._annotations
        if name not in lists:
            if name == "test":
                raise NoSplit(
                    "split=test: the captions of COCO's official test images are not public. Use Karpathy's splits, "
                    f"which hold out 5,000 images for test: put {_KARPATHY} anywhere and give data.karpathy=..."
                )
            year = self._choose()
            assert isinstance(year, int), "Karpathy's files give all three splits"
            existing_list(self._official(name, year), _LAYOUT)
        files, folders = _find_images(self.root)
        return assemble(
            name,
            lists=lists,
            captions=captions,
            files=files,
            caption_source=sources,
            image_source=folders,
            skip_missing=self.skip_missing,
            outlined=lambda images: self._outlined(name, images) or listed_in(self.root, images),
        )

    def _outlined(self, name: str, images: Iterable[str]) -> Outlined | None:
        """Return what objects are outlined on a split's images; None where the files that tell are not there."""
        chosen = self._choose()
        every = [[f"{split}{year}" for split in ("train", "val")] for year in _YEARS]
        wanted = [[f"{name}{chosen}"]] if isinstance(chosen, int) else every  # Karpathy's splits are of both files
        for parts in wanted:
            paths = tuple(self.root / "annotations" / f"instances_{part}.json" for part in parts)
            if all(path.is_file() for path in paths):
                return partial(complete_instances, paths, _image_id, list(images))
        return None

    @functools.cached_property
    def _annotations(self) -> tuple[dict[str, Listing], Captions, str]:
        """Return the splits, the captions, and the files that they are from; read once, for the files are large."""
        chosen = self._choose()
        if isinstance(chosen, Path):
            return self._read_karpathy(chosen)
        paths = {split: self._official(split, chosen) for split in ("train", "val")}
        paths = {split: path for split, path in paths.items() if path.is_file()}
        lists: dict[str, Listing] = {}
        captions: Captions = {}
        strays: Captions = {}
        for split, path in paths.items():
            own, others, names = _read_official(path)
            lists[split] = Listing(path.name, names)
            captions |= own
            strays |= others
        captions = strays | captions  # a number that no file lists takes no listed image's captions away
        return lists, captions, " and ".join(path.name for path in paths.values())

    def _read_karpathy(self, path: Path) -> tuple[dict[str, Listing], Captions, str]:
        images = [(_image_id(image.name), image) for image in read_karpathy(path)]
        home = {"restval": "train" if self.restval else "restval"}
        lists = {
            split: Listing(
                f"{path.name} ({split})", [key for key, image in images if home.get(image.split, image.split) == split]
            )
            for split in SPLITS
        }
        return lists, {key: image.captions for key, image in images}, path.name

    def _choose(self) -> Path | int:
        """Return Karpathy's file, or the year of the official annotations."""
        if self.karpathy is not None:
            return given_file(self.karpathy, self.root, "data.karpathy")
        if self.year is not None:
            return self.year
        found: dict[str, Path | int] = {
            f"data.year={year}": year
            for year in _YEARS
            if any(self._official(split, year).is_file() for split in ("train", "val"))
        }
        if (self.root / _KARPATHY).is_file():
            found[f"data.karpathy={_KARPATHY}"] = self.root / _KARPATHY
        if not found:
            existing_file(self._official("train", 2017), _LAYOUT)
        if len(found) > 1:
            raise UserError(f"{self.root} holds several annotations, whose splits differ: choose {' or '.join(found)}")
        return next(iter(found.values()))

    def _official(self, split: str, year: int) -> Path:
        return self.root / "annotations" / f"captions_{split}{year}.json"


def _image_id(file_name: str) -> str:
    """Return an image's official number, or the file's name where that has not COCO's form."""
    name = file_name.rsplit("/", 1)[-1]
    found = re.fullmatch(r"(?:COCO_(?:train|val|test)\d{4}_)?(\d{12})\.jpg", name)
    return str(int(found[1])) if found else name


def _find_images(root: Path) -> tuple[dict[str, Path], str]:
    """Return the images by id and the names of the folders they lie in."""
    folders = [home / name for home in (root, root / "images") for name in _FOLDERS if (home / name).is_dir()]
    if not folders:
        existing_folder(root, _FOLDERS, _LAYOUT)
    files: dict[str, Path] = {}
    for folder in folders:
        for name, path in images_in(folder).items():
            files.setdefault(_image_id(name), path)
    return files, " and ".join(f"{folder.relative_to(root).as_posix()}/" for folder in folders)


def _read_official(path: Path) -> tuple[Captions, Captions, list[str]]:
    """Return the captions of the images that a file lists, those of others, both by image id, and the ids listed."""
    from pycocotools.coco import COCO

    annotations = COCO()
    # Read here, for COCO(path) tells not what is wrong with it, and stumbles over categories that no caption has.
    annotations.dataset = _checked(read_json(path), path)
    with contextlib.redirect_stdout(io.StringIO()):
        annotations.createIndex()
    names = {number: _image_id(image["file_name"]) for number, image in annotations.imgs.items()}
    captions: Captions = {}
    strays: Captions = {}
    for number, own in annotations.imgToAnns.items():
        told = tuple(one["caption"].strip() for one in own)
        if number in names:
            captions[names[number]] = told
        else:
            strays[str(number)] = told
    return captions, strays, [names[image["id"]] for image in annotations.dataset["images"]]


def _checked(content: Any, path: Path) -> dict[str, Any]:
    """Return the content of an official annotation file, if it has the form of one."""
    content = content if isinstance(content, dict) else {}
    images, annotations = content.get("images"), content.get("annotations")
    if not isinstance(images, list) or not isinstance(annotations, list):
        raise UserError(f"{path} is not an official annotation file: no lists of images and annotations")
    for index, image in enumerate(images):
        where = f"{path}, images[{index}]"
        if not has(image, id=int, file_name=str):
            raise UserError(f"{where}: wanted is an entry with id (a number) and file_name. {_advice(image)}")
        relative_name(image["file_name"], where)
    for index, one in enumerate(annotations):
        where = f"{path}, annotations[{index}]"
        if not has(one, id=int, image_id=int, caption=str):
            raise UserError(
                f"{where}: wanted is an entry with id, image_id and caption (the files named captions_*.json have "
                f"them; ids are numbers). {_advice(one)}"
            )
        if not one["caption"].strip():
            raise empty_caption(f"{where}, id {one['id']}", f"image {one['image_id']}")
    return {"images": images, "annotations": annotations}


def _advice(entry: Any) -> str:
    quoted = [key for key in ("id", "image_id") if has(entry, **{key: str})]
    return f"Write {' and '.join(quoted)} without quotes" if quoted else "Download the file again"
