"""What people hand over to be captioned: paths, folders, images, arrays."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import cast

import numpy as np
from PIL import Image

from gan_caption.configuration.wording import listed
from gan_caption.data.corpus import CaptionedImage, Split
from gan_caption.data.images import to_rgb
from gan_caption.data.layout import IMAGE_SUFFIXES, images_among, names_below, unread_heic
from gan_caption.distributed.world import say
from gan_caption.errors import UserError
from gan_caption.files import at_home

Photo = str | Path | Image.Image | np.ndarray
"""A file's path, an image, or an array (H, W, 3) or (H, W) uint8."""


@dataclass(frozen=True)
class Photos(Split):
    """Photographs without captions, in the form that encoders read; items that are not files lie in `given`."""

    given: Sequence[Image.Image | np.ndarray | None] = ()
    """By row; None where the item's path says where it lies."""
    reading: Lock = field(default_factory=Lock, repr=False, compare=False)
    """Held while an image is read from: the same one may be given twice, and its file has one place to read on."""

    @classmethod
    def of(cls, photos: Iterable[Photo], *, first: int = 0) -> Photos:
        """Take photographs of any kind; nothing is read before `image` asks for it.

        Args:
            photos: the photographs.
            first: the number that stands for a name of the first of them, if it has none.

        Raises:
            UserError: one is of no such kind.
        """
        items: list[CaptionedImage] = []
        given: list[Image.Image | np.ndarray | None] = []
        for row, photo in enumerate(photos, start=first):
            if isinstance(photo, str | Path):
                items.append(CaptionedImage(str(photo), (), Path(photo)))
                given.append(None)
            elif not isinstance(photo, Image.Image | np.ndarray):
                raise UserError(
                    f"image {row}: {type(photo).__name__} is no photograph; give a path, a PIL image, or an array "
                    "(H, W, 3) or (H, W) as uint8"
                )
            else:
                items.append(CaptionedImage(f"image {row}", ()))
                given.append(photo)
        return cls("photographs", items, given=given)

    def image(self, index: int) -> Image.Image:
        """Return image `index` as RGB; see `Split.image`."""
        photo, name = self.given[index], self.items[index].image_id
        if photo is None:
            return super().image(index)
        if isinstance(photo, np.ndarray):
            colours = photo.shape[2:] in ((), (3,), (4,))
            if photo.dtype != np.uint8 or photo.ndim < 2 or not colours:
                raise UserError(
                    f"{name}: an array {photo.shape} {photo.dtype} is no image; give (H, W, 3) or (H, W) as uint8"
                )
            photo = Image.fromarray(photo)
        with self.reading:
            return to_rgb(photo, name)


def in_parts(photos: Photo | Iterable[Photo], size: int) -> Iterator[Photos]:
    """Yield photographs of any kind, or one, so many at a time: an iterable of opened files may have no end.

    Raises:
        UserError: one is of no such kind.
    """
    alone = isinstance(photos, str | Path | Image.Image) or (isinstance(photos, np.ndarray) and photos.ndim < 4)
    coming, first = iter(cast("Iterable[Photo]", [photos] if alone else photos)), 0
    while taken := list(islice(coming, size)):
        yield Photos.of(taken, first=first)
        first += size


def find_photos(given: str | Path | Sequence[str | Path]) -> list[Path]:
    """Return the files that paths name, each once, folders replaced by the images in and below them, by their names.

    What a folder has that could be read with another package is told.

    Args:
        given: files and folders, or one. A file is taken whatever its name; of a folder what `data=folder` takes of it.

    Raises:
        UserError: nothing is given, or a folder holds no image.
    """
    if not given:
        raise UserError("images is empty: give files and folders, images=[photo.jpg,holiday/]")
    found: list[Path] = []
    for path in map(at_home, listed(given)):
        if not os.path.isdir(path):  # `Path.is_dir` raises where a folder above may not be searched
            found.append(path)
            continue
        names = names_below(path)
        inside, left_out = images_among(names, path), unread_heic(names)
        if not inside:
            why = "; ".join([f"no name ends in {', '.join(sorted(IMAGE_SUFFIXES))}", *left_out])
            raise UserError(f"images: {path} holds no image: {why}")
        for sentence in left_out:
            say(f"{path}: {sentence}")
        found += inside.values()
    return list(dict.fromkeys(found))
