"""Any readable file becomes RGB; any other is named, with the reason."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from gan_caption.data.images import MAX_PIXELS, load_rgb
from gan_caption.errors import UserError


def save(path, image, **options):
    image.save(path, **options)
    return path


def pixel(path, x, y):
    return load_rgb(path).getpixel((x, y))


def noise(size=48):
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8))


def test_rgb_comes_back_as_it_was(tmp_path):
    image = noise()
    assert load_rgb(save(tmp_path / "a.png", image)).tobytes() == image.tobytes()


def test_grayscale_has_three_equal_channels(tmp_path):
    assert pixel(save(tmp_path / "a.png", Image.new("L", (2, 2), 77)), 0, 0) == (77, 77, 77)
    assert pixel(save(tmp_path / "b.png", Image.new("1", (2, 2), 1)), 0, 0) == (255, 255, 255)
    near = pixel(save(tmp_path / "c.jpg", Image.new("L", (8, 8), 77)), 0, 0)
    assert max(near) - min(near) == 0
    assert abs(near[0] - 77) <= 1


def palette_image():
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((1, 0), 1)
    return image


def test_a_palette_is_looked_up(tmp_path):
    path = save(tmp_path / "a.png", palette_image())
    assert (pixel(path, 0, 0), pixel(path, 1, 0)) == ((255, 0, 0), (0, 0, 255))


def test_a_transparent_palette_colour_becomes_white(tmp_path):
    for name in ("a.png", "a.gif"):
        path = save(tmp_path / name, palette_image(), transparency=0)
        assert (pixel(path, 0, 0), pixel(path, 1, 0)) == ((255, 255, 255), (0, 0, 255))


@pytest.mark.parametrize(
    ("mode", "colour", "wanted"),
    [
        ("RGBA", (200, 100, 0, 255), (200, 100, 0)),
        ("RGBA", (200, 100, 0, 0), (255, 255, 255)),
        ("RGBA", (0, 0, 0, 128), (127, 127, 127)),  # 255 * (1 - 128 / 255)
        ("LA", (50, 0), (255, 255, 255)),
        ("LA", (50, 255), (50, 50, 50)),
    ],
)
def test_alpha_lies_over_white(tmp_path, mode, colour, wanted):
    assert pixel(save(tmp_path / "a.png", Image.new(mode, (2, 2), colour)), 1, 1) == wanted


def test_cmyk_jpeg(tmp_path):
    path = save(tmp_path / "a.jpg", Image.new("CMYK", (16, 16), (0, 255, 255, 0)), quality=95)  # no red is taken away
    assert Image.open(path).mode == "CMYK"
    red, green, blue = pixel(path, 8, 8)
    assert red > 245
    assert max(green, blue) < 10


def test_sixteen_bit_grey_keeps_its_range(tmp_path):
    values = np.array([[0, 257 * 100, 65535]], dtype=np.uint16)
    for name in ("a.png", "a.tif"):
        path = save(tmp_path / name, Image.fromarray(values))
        assert Image.open(path).mode.startswith("I")
        assert [pixel(path, x, 0)[0] for x in range(3)] == [0, 100, 255]


def test_a_transparent_sixteen_bit_grey_becomes_white(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(np.array([[0, 257 * 100]], dtype=np.uint16)).save(path, transparency=0)
    assert Image.open(path).info["transparency"] == 0
    assert [pixel(path, x, 0)[0] for x in range(2)] == [255, 100]


def test_floating_point_grey_is_refused(tmp_path):
    path = save(tmp_path / "a.tif", Image.new("F", (2, 2), 0.5))
    with pytest.raises(UserError, match=r"a\.tif cannot be read as an image.*floating-point.*8 bits"):
        load_rgb(path)


def test_exif_orientation_is_applied(tmp_path):
    image = Image.new("RGB", (32, 16), "black")
    image.paste("white", (0, 0, 16, 16))  # the left half
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned clockwise by a quarter: left goes up
    loaded = load_rgb(save(tmp_path / "a.jpg", image, exif=exif))
    assert loaded.size == (16, 32)
    assert loaded.getpixel((8, 4))[0] > 250
    assert loaded.getpixel((8, 28))[0] < 5


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_exif_does_not_cost_the_image(tmp_path):
    for number, exif in enumerate((b"Exif\0\0garbage, not TIFF", b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01")):
        path = save(tmp_path / f"{number}.jpg", Image.new("RGB", (8, 8), "white"), exif=exif)
        assert pixel(path, 0, 0) == (255, 255, 255)


@pytest.mark.parametrize("ending", ["jpg", "png", "gif", "bmp", "tif", "webp"])
def test_a_truncated_file_is_noticed_and_named(tmp_path, ending):
    buffer = io.BytesIO()
    noise().save(buffer, {"jpg": "JPEG", "tif": "TIFF"}.get(ending, ending.upper()))
    whole = buffer.getvalue()
    path = tmp_path / f"photo.{ending}"
    path.write_bytes(whole)
    load_rgb(path)
    for share in (0.02, 0.1, 0.5, 0.9):
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(UserError, match=rf"photo\.{ending} cannot be read as an image: .*(truncated|cut short)"):
            load_rgb(path)


def test_zero_bytes(tmp_path):
    (tmp_path / "a.jpg").touch()
    with pytest.raises(UserError, match=r"a\.jpg cannot be read as an image: the file is empty \(0 bytes\)"):
        load_rgb(tmp_path / "a.jpg")


def test_no_image_no_file_and_a_folder(tmp_path):
    (tmp_path / "a.jpg").write_text("<html>404</html>")
    with pytest.raises(UserError, match=r"a\.jpg cannot be read as an image: it is no image"):
        load_rgb(tmp_path / "a.jpg")
    with pytest.raises(UserError, match=r"b\.jpg cannot be read as an image: there is no such file"):
        load_rgb(tmp_path / "b.jpg")
    with pytest.raises(UserError, match="cannot be read as an image"):
        load_rgb(tmp_path)


@pytest.mark.parametrize("side", [9_000, 30_000])
def test_a_small_file_that_claims_too_many_pixels_is_refused(tmp_path, side):
    assert side**2 > MAX_PIXELS
    header = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    data = b"IDAT" + zlib.compress(b"\0" * 1000)
    chunks = b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in (header, data)
    )
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    with pytest.raises(
        UserError, match=rf"bomb\.png cannot be read as an image: .*more than the {MAX_PIXELS}.* allowed"
    ):
        load_rgb(tmp_path / "bomb.png")


def test_an_image_too_thin_for_a_photograph_is_refused(tmp_path):
    load_rgb(save(tmp_path / "wide.png", Image.new("RGB", (200, 2))))
    for size in ((201, 2), (2, 201)):
        path = save(tmp_path / "thin.png", Image.new("RGB", size))
        with pytest.raises(UserError, match=rf"thin\.png cannot .*: it has {size[0]} x {size[1]} pixels, and no"):
            load_rgb(path)
