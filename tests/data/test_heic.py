"""Photographs of telephones: .heic files are read where pillow-heif is installed, and told of where it is not."""

from __future__ import annotations

import functools

import pytest
from PIL import Image

from gan_caption.data.images import load_rgb
from gan_caption.data.shards.writer import ShardFolder, photograph_in
from gan_caption.errors import UserError
from gan_caption.inference.photos import find_photos
from tests.tiny_runs import part

pillow_heif = pytest.importorskip("pillow_heif", reason="pillow-heif is not installed: gan_caption[heic]")


@pytest.fixture
def root(tmp_path):
    """a.jpg and two .heic files, each half red and half blue, with captions."""
    picture = Image.new("RGB", (64, 48), "red")
    picture.paste("blue", (0, 0, 64, 24))
    picture.save(tmp_path / "a.jpg")
    pillow_heif.from_pillow(picture).save(tmp_path / "b.heic", quality=90)
    pillow_heif.from_pillow(picture).save(tmp_path / "C.HEIF", quality=90)
    (tmp_path / "captions.csv").write_text("image,caption\na.jpg,A .\nb.heic,B .\nC.HEIF,C .\n")
    return tmp_path


@pytest.fixture
def without(monkeypatch):
    """As where pillow-heif is not installed."""
    monkeypatch.setattr("gan_caption.extras.find_spec", lambda name: None)
    monkeypatch.setattr(Image, "OPEN", {name: how for name, how in Image.OPEN.items() if name != "HEIF"})


def everything(root):
    return part("data/folder", root=str(root), val_share=0, test_share=0).split("train")


def test_they_are_read(root):
    split = everything(root)
    assert [item.image_id for item in split.items] == ["C.HEIF", "a.jpg", "b.heic"]
    assert split.notes == ()
    for row in (0, 2):
        image = split.image(row)
        assert (image.mode, image.size) == ("RGB", (64, 48))
        top, bottom = image.getpixel((30, 5)), image.getpixel((30, 40))
        assert top[2] > 200 > 60 > top[0]
        assert bottom[0] > 200 > 60 > bottom[2]


def test_a_photograph_that_was_turned_stands_upright(tmp_path):
    exif = Image.Exif()
    exif[0x112] = 6  # a quarter turn clockwise to show it
    picture = Image.new("RGB", (64, 48), "red")
    picture.paste("blue", (0, 0, 32, 48))
    pillow_heif.register_heif_opener()
    picture.save(tmp_path / "a.heic", quality=90, exif=exif.tobytes())
    image = load_rgb(tmp_path / "a.heic")
    assert image.size == (48, 64)
    assert image.getpixel((20, 5))[2] > 200


def test_shards_hold_them_as_well(root):
    split = everything(root)
    with ShardFolder(root / "shards", samples=2) as shards:
        shards.write(split, functools.partial(photograph_in, split))
    found = part("data/shards", skip_unreadable=False, root=str(root / "shards"), cache=str(root / "cache")).split(
        "train"
    )
    assert [item.image_id for item in found.items] == ["C.HEIF", "a.jpg", "b.heic"]
    assert [found.image(row).tobytes() for row in range(3)] == [split.image(row).tobytes() for row in range(3)]


@pytest.mark.parametrize("cut", [20, 300, -40])
def test_one_that_is_cut_short_is_named(root, cut):
    content = (root / "b.heic").read_bytes()
    (root / "b.heic").write_bytes(content[:cut])
    with pytest.raises(UserError, match=r"b\.heic cannot be read as an image"):
        load_rgb(root / "b.heic")


def test_they_are_left_out_and_told_of_without_pillow_heif(root, without):
    split = everything(root)
    assert [item.image_id for item in split.items] == ["a.jpg"]
    assert split.notes[0] == "2 .heic files are left out: pip install 'gan_caption[heic]' reads them"
    with pytest.raises(UserError, match=r"b\.heic .* a \.heic photograph: pip install 'gan_caption\[heic\]'"):
        load_rgb(root / "b.heic")


def test_captioning_tells_of_them_as_well(root, without, capsys):
    assert find_photos(root) == [root / "a.jpg"]
    assert capsys.readouterr().err.startswith(f"{root}: 2 .heic files are left out: pip install")


def test_a_folder_of_nothing_else_and_a_split_that_lists_one_say_what_reads_them(root, without):
    (root / "captions.csv").write_text("image,caption,split\na.jpg,A .,train\nb.heic,B .,train\n")
    told = r"1 \.heic file is left out: pip install 'gan_caption\[heic\]' reads it"
    with pytest.raises(UserError, match=rf"1 of 2 images of captions\.csv \(train\) is not .*b\.heic\. {told}"):
        everything(root)
    (root / "a.jpg").unlink()
    (root / "C.HEIF").unlink()
    with pytest.raises(UserError, match=rf"holds no image\. {told}\. data\.root is"):
        everything(root)
