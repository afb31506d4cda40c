"""What people hand over to be captioned: paths, folders, images, arrays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from gan_caption.data.corpus import CaptionedImage, Split
from gan_caption.data.images import FORMATS, register_heic, to_rgb
from gan_caption.errors import UserError

Photo = str | Path | Image.Image | np.ndarray
"""A file's path, an image, or an array (H, W, 3) or (H, W) uint8."""


@dataclass(frozen=True)
class Photos(Split):
    """Photographs without captions, in the form that encoders read; items that are not files lie in `given`."""

    given: Sequence[Image.Image | np.ndarray | None] = ()
    """By row; None where the item's path says where it lies."""

    @classmethod
    def of(cls, photos: Iterable[Photo]) -> Photos:
        """Take photographs of any kind; nothing is read before `image` asks for it."""
        items: list[CaptionedImage] = []
        given: list[Image.Image | np.ndarray | None] = []
        for row, photo in enumerate(photos):
            if isinstance(photo, str | Path):
                items.append(CaptionedImage(str(photo), (), Path(photo)))
                given.append(None)
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
        return to_rgb(photo, name)


def find_photos(given: Sequence[str]) -> list[Path]:
    """Return the files that paths name, each once, folders replaced by the images in and below them, by their names.

    Args:
        given: files and folders. A file is taken whatever its ending; in folders those with the ending of an image.

    Raises:
        UserError: nothing is given, or a folder holds no image.
    """
    if not given:
        raise UserError("images is empty: give files and folders, images=[photo.jpg,holiday/]")
    register_heic()
    endings = {ending for ending, kind in Image.registered_extensions().items() if kind in FORMATS}
    found: list[Path] = []
    for path in map(Path, given):
        if not path.is_dir():
            found.append(path)
            continue
        inside = sorted(one for one in path.rglob("*") if one.suffix.lower() in endings and one.is_file())
        if not inside:
            raise UserError(f"images: {path} holds no image (by their endings: {', '.join(sorted(endings)[:8])} ...)")
        found += inside
    return list(dict.fromkeys(found))
