"""Photographs."""

from __future__ import annotations

import io
import tempfile
import warnings
import zlib
from pathlib import Path
from typing import Any

from PIL import Image

from experiments.fuzzing.refusals import reading
from gan_caption.data.images import load_rgb

READERS = {"load_rgb"}
PATH = Path(tempfile.mkdtemp()) / "a.jpg"


def seeds() -> dict[str, bytes]:
    colours = Image.effect_noise((9, 7), 90).convert("RGB")
    kinds = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
    made = {f"{kind.lower()}_rgb": _saved(colours, kind) for kind in kinds}
    modes = {mode: _saved(colours.convert(mode), "PNG") for mode in ("1", "L", "LA", "P", "RGBA", "I")}
    packed = ("tiff_lzw", "tiff_adobe_deflate", "packbits")
    compressions = {one: _saved(colours, "TIFF", compression=one) for one in packed}
    exif = Image.Exif()
    exif[0x0112] = 6
    return (
        made
        | {f"png_{mode}": content for mode, content in modes.items()}
        | compressions
        | {
            "progressive": _saved(colours, "JPEG", progressive=True),
            "turned": _saved(colours, "JPEG", exif=exif),
            "animation": _saved(colours, "GIF", save_all=True, append_images=[colours.rotate(90), colours.rotate(180)]),
            "bomb": _png(30_000, 30_000),
            "just_too_large": _png(10_000, 8_001),
            "absurd": _png(2**31 - 1, 2**31 - 1),
            "flat": _png(0, 7),
            "icon": _saved(colours, "ICO", sizes=[(9, 7)]),
        }
    )


def _saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _png(width: int, height: int) -> bytes:
    """A PNG that claims a size."""

    def chunk(name: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(name + content)
        return len(content).to_bytes(4, "big") + name + content + checksum.to_bytes(4, "big")

    size = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    chunks = chunk(b"IHDR", size + b"\x08\x02\0\0\0") + chunk(b"IDAT", zlib.compress(bytes(100_000)))
    return b"\x89PNG\r\n\x1a\n" + chunks + chunk(b"IEND", b"")


def one_input(data: bytes) -> set[str]:
    taken: set[str] = set()
    PATH.write_bytes(data)
    with warnings.catch_warnings(), reading("load_rgb", taken):
        warnings.simplefilter("ignore")  # Pillow's, on what it could still read
        image = load_rgb(PATH)
        assert image.mode == "RGB"
        assert min(image.size) > 0
        assert len(image.tobytes()) == 3 * image.width * image.height
    return taken
