"""From a file to pixels."""

from __future__ import annotations

import struct
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from gan_caption.errors import UserError
from gan_caption.extras import installed
from gan_caption.untrusted.parsing import shown

MAX_PIXELS = 80_000_000
"""No photograph of a captioning data set is nearly as large; a small file that claims more wants to fill the memory."""

MAX_RATIO = 100
"""Of the longer side to the shorter: an encoder that resizes the shorter side makes a thinner image enormous."""

FORMATS = ("AVIF", "BMP", "GIF", "HEIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
"""Of photographs, by Pillow's names. It knows others, which no photograph has, and some that are programs: for an EPS
file it would start Ghostscript. HEIF, telephones' .heic, is read where pillow-heif is installed."""

_DAMAGED = (OSError, ValueError, SyntaxError, EOFError, LookupError, TypeError, OverflowError, RuntimeError,
            struct.error)  # fmt: skip
"""What Pillow's readers raise on damaged content; it differs by format."""

_ALPHA = ("RGBA", "RGBa", "LA", "La", "PA")


def load_rgb(path: Path) -> Image.Image:
    """Return an image as RGB, upright by its EXIF orientation, transparent parts over white, all pixels loaded.

    Of an animation, the first frame. 16-bit greys are scaled to 8 bits.

    Raises:
        UserError: the file is missing, empty, truncated, too large (`MAX_PIXELS`), too thin (`MAX_RATIO`) or no image
            in one of `FORMATS`; the message names it.
    """
    try:
        if path.stat().st_size == 0:
            raise UserError(_message(path, "the file is empty (0 bytes)"))
        with path.open("rb") as file:
            return open_rgb(file, path)
    except FileNotFoundError as error:
        unfolded = "; the shell has put no names in place of * and ?: give the folder" if {*path.name} & {*"*?"} else ""
        raise UserError(_message(path, f"there is no such file{unfolded}")) from error
    except IsADirectoryError as error:
        raise UserError(_message(path, "it is a folder: give its images")) from error
    except PermissionError as error:
        raise UserError(_message(path, "you may not read it")) from error
    except OSError as error:
        raise UserError(_message(path, f"the file is truncated or damaged ({error})")) from error


def open_rgb(file: BinaryIO, name: str | Path) -> Image.Image:
    """Do the same with an image's bytes.

    Args:
        file: open at the first of them.
        name: of the image, for messages.

    Raises:
        UserError: see `load_rgb`.
    """
    try:
        Image.init()
        if _boxed(file):
            register_heic()
        with Image.open(file, formats=[one for one in FORMATS if one in Image.OPEN]) as image:
            return to_rgb(image, name)
    except UnidentifiedImageError as error:
        raise UserError(_message(name, _unidentified(file))) from error
    except Image.DecompressionBombError as error:
        raise UserError(_message(name, f"it has far more than the {MAX_PIXELS} pixels allowed")) from error
    except _DAMAGED as error:
        raise UserError(_message(name, f"the file is truncated or damaged ({str(error)[:300]})")) from error


def reads_heic() -> bool:
    """Whether .heic and .heif files can be read: pillow-heif is installed."""
    return installed("pillow_heif")


def register_heic() -> None:
    """Let Pillow open .heic and .heif files, where that is possible."""
    if reads_heic():
        from pillow_heif import register_heif_opener

        register_heif_opener()


def to_rgb(image: Image.Image, name: str | Path) -> Image.Image:
    """Do the same with an image that is open already.

    Args:
        image: may be one of which only the header was read.
        name: of it, for messages.

    Raises:
        UserError: see `load_rgb`.
    """
    size = f"{image.width} x {image.height} pixels"
    if image.width * image.height > MAX_PIXELS:
        raise UserError(_message(name, f"it has {size}, more than the {MAX_PIXELS} allowed"))
    if not min(image.size):
        raise UserError(_message(name, f"it has {size}: nothing is in it"))
    if max(image.size) > MAX_RATIO * min(image.size):
        raise UserError(_message(name, f"it has {size}, and no photograph's sides differ more than {MAX_RATIO} times"))
    try:
        image.load()  # opening reads the header alone; here a truncated file is noticed
        return _to_rgb(_upright(image))
    except _DAMAGED as error:
        raise UserError(_message(name, f"the file is truncated or damaged ({str(error)[:300]})")) from error


def _boxed(file: BinaryIO) -> bool:
    """Whether a file begins as HEIF, AVIF and many videos do."""
    file.seek(0)
    begins = file.read(12)
    file.seek(0)
    return begins[4:8] == b"ftyp"


def _unidentified(file: BinaryIO) -> str:
    if not reads_heic() and _boxed(file):
        return "it looks like a .heic photograph: pip install 'gan_caption[heic]' reads it"
    return f"it is no image, cut short, or none of {', '.join(FORMATS)}"


def _upright(image: Image.Image) -> Image.Image:
    with suppress(*_DAMAGED):  # damaged EXIF data turns nothing
        return ImageOps.exif_transpose(image) or image
    return image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        grey = np.asarray(image, np.int32)  # of 16 bits, where 65535 + 128 has no room in
        if grey.min() < 0 or grey.max() > 65535:
            raise ValueError(f"grey values from {grey.min()} to {grey.max()}, at most 16 bits are understood")
        if isinstance(clear := image.info.get("transparency"), int):
            grey = np.where(grey == clear, 65535, grey)
        return Image.fromarray(((grey + 128) // 257).astype(np.uint8)).convert("RGB")  # rounded
    if image.mode == "F":
        raise ValueError("grey values as floating-point numbers; save it with 8 bits")
    if image.mode in _ALPHA or "transparency" in image.info:
        image = image if image.mode == "RGBA" else image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def _message(name: str | Path, why: str) -> str:
    return f"{shown(str(name))} cannot be read as an image: {why}"
