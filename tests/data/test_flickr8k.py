"""Flickr8k in its official layout, whole and damaged; the faults of text files are tested here for all readers."""

from __future__ import annotations

import gzip
import json
import re

import pytest
from PIL import Image

from gan_caption.data.annotations import read_json, relative_name
from gan_caption.data.flickr8k import Flickr8k
from gan_caption.errors import UserError

TRAIN, DEV, TEST = (f"Flickr_8k.{name}Images.txt" for name in ("train", "dev", "test"))
TOKENS = "Flickr8k.token.txt"


@pytest.fixture
def root(tmp_path):
    """a, b, c in train, d in dev, e in test; two captions each."""
    (tmp_path / "Flicker8k_Dataset").mkdir()
    for name in "abcde":
        Image.new("RGB", (4, 4), "red").save(tmp_path / "Flicker8k_Dataset" / f"{name}.jpg")
    (tmp_path / TOKENS).write_text("".join(f"{n}.jpg#{i}\tCaption {i} of {n} .\n" for n in "abcde" for i in range(2)))
    (tmp_path / TRAIN).write_text("c.jpg\na.jpg\nb.jpg\n")
    (tmp_path / DEV).write_text("d.jpg\n")
    (tmp_path / TEST).write_text("e.jpg\n")
    return tmp_path


def refused(root, message, split="train"):
    """The reading stops with this message, which is a pattern."""
    with pytest.raises(UserError, match=message) as caught:
        Flickr8k(root=str(root), skip_missing=False).split(split)
    return str(caught.value)


def test_splits_hold_their_images_in_the_order_of_the_list(root):
    train = Flickr8k(root=str(root), skip_missing=False).split("train")
    assert [item.image_id for item in train.items] == ["c.jpg", "a.jpg", "b.jpg"]
    assert train.items[0].captions == ("Caption 0 of c .", "Caption 1 of c .")
    assert train.items[0].path == root / "Flicker8k_Dataset" / "c.jpg"
    assert train.notes == ()
    assert train.image(0).mode == "RGB"
    assert [item.image_id for item in Flickr8k(root=str(root), skip_missing=False).split("val").items] == ["d.jpg"]
    assert [item.image_id for item in Flickr8k(root=str(root), skip_missing=False).split("test").items] == ["e.jpg"]


def test_the_folder_may_be_spelled_correctly(root):
    (root / "Flicker8k_Dataset").rename(root / "Flickr8k_Dataset")
    assert len(Flickr8k(root=str(root), skip_missing=False).split("train")) == 3


def test_byte_order_marks_windows_line_ends_and_blank_lines_are_fine(root):
    before = Flickr8k(root=str(root), skip_missing=False).split("train")
    for name in (TOKENS, TRAIN):
        text = (root / name).read_text()
        (root / name).write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n\r\n").encode())
    assert Flickr8k(root=str(root), skip_missing=False).split("train") == before


def test_only_line_feeds_end_a_line(root):
    line = "a.jpg#2\tone\u2028two\x0bthree\x85four\n"
    (root / TOKENS).write_text(line + (root / TOKENS).read_text() + "no tab\n", encoding="utf-8")
    refused(root, rf"{TOKENS}, line 12: no tab")


def test_a_missing_test_list_is_missed_when_test_is_asked_for(root):
    (root / TEST).unlink()
    train = Flickr8k(root=str(root), skip_missing=False).split("train")
    assert train.notes == (f"1 image in Flicker8k_Dataset/, with 2 captions in {TOKENS}, belongs to no split: e.jpg",)
    refused(root, rf"{TEST}: there is no such file. data\.root is the folder that holds.*unpack", split="test")


def test_unused_images_and_captions_are_reported(root):
    folder = root / "Flicker8k_Dataset"
    (root / TRAIN).write_text("a.jpg\nb.jpg\n")  # c is in no list now
    for name in "uvwxyz":
        Image.new("RGB", (4, 4)).save(folder / f"{name}.jpg")
    (folder / "Thumbs.db").touch()
    captions = [line for line in (root / TOKENS).read_text().splitlines() if not line.startswith("b.jpg")]
    (root / TOKENS).write_text("\n".join([*captions, "gone.jpg.1#0\tA", "gone.jpg.1#1\tB", "lost.jpg#0\tC"]))
    train = Flickr8k(root=str(root), skip_missing=False).split("train")
    assert [item.image_id for item in train.items] == ["a.jpg"]
    assert train.notes == (
        f"1 image of {TRAIN} without captions in {TOKENS}: b.jpg",
        f"1 image in Flicker8k_Dataset/, with 2 captions in {TOKENS}, belongs to no split: c.jpg",
        f"6 images in Flicker8k_Dataset/ belong to no split, without captions in {TOKENS}: u.jpg, v.jpg, w.jpg, "
        "x.jpg, y.jpg ...",
        f"3 captions in {TOKENS} of 2 images not in Flicker8k_Dataset/, in no split: gone.jpg.1, lost.jpg",
    )


def test_listed_images_without_a_file_stop_the_reading(root):
    (root / TRAIN).write_text("".join(f"m{i:02}.jpg\n" for i in range(12)) + "a.jpg\n")
    first = ", ".join(f"m{i:02}.jpg" for i in range(10))
    refused(root, rf"12 of 13 images of {TRAIN} are not in Flicker8k_Dataset/: {first} \.\.\.\. Unpack")
    assert len(Flickr8k(root=str(root), skip_missing=False).split("val")) == 1


def test_no_such_folder_or_file(root):
    layout = r"data\.root is the folder that holds Flicker8k_Dataset/"
    refused(root / "nowhere", rf"data\.root=.*nowhere: there is no such folder\. {layout}")
    (root / TOKENS).rename(root / "other")
    refused(root, rf"{TOKENS}: there is no such file\. {layout}")
    (root / "Flicker8k_Dataset").rename(root / "photos")
    refused(root, rf"Flicker8k_Dataset: there is no such folder\. {layout}")


def test_unknown_split(root):
    refused(root, "split=dev is not known: allowed are train, val, test", split="dev")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a.jpg#2 A dog .", r"no tab; wanted is name#number<TAB>caption\. The line begins 'a\.jpg#2 A dog \.'"),
        ("A dog .", "no tab; .*'A dog \\.'"),
        ("A cat .\r", r"no tab; .* begins 'A cat \.'"),
        ("a.jpg\tA dog .", r"no #number before the tab; .* begins 'a\.jpg\\tA dog \.'"),
        ("a.jpg#x\tA dog .", "no #number before the tab"),
        ("#2\tA dog .", "no #number before the tab"),
        ("a.jpg#1\tAgain .", r"a\.jpg has a caption #1 already"),
        ("a.jpg#2\t", r"the caption of a\.jpg is empty"),
        ("a.jpg#2\t \u3000 ", r"the caption of a\.jpg is empty"),
        ("../a.jpg#2\tA dog .", r"the image name '\.\./a\.jpg' is refused"),
        ("a.jpg#2 " + 300 * "long", r"no tab; .* begins 'a\.jpg#2 (long){13}\.\.\.'"),
    ],
)
def test_a_bad_line_is_named_with_its_number(root, line, message):
    lines = (root / TOKENS).read_text().splitlines()
    lines.insert(4, line)
    (root / TOKENS).write_text("\n".join(lines), encoding="utf-8")
    refused(root, rf"{TOKENS}, line 5: {message}")


def test_text_in_another_encoding_is_named_with_its_line(root):
    text = (root / TOKENS).read_text().replace("Caption 1 of b", "Un café")  # the fourth line
    (root / TOKENS).write_bytes(text.encode("latin1"))
    message = refused(root, rf"{TOKENS}, line 4: not UTF-8 \(byte 0xe9\); .*Un caf")
    assert "iconv -f LATIN1 -t UTF-8" in message
    (root / TOKENS).write_text(text, encoding="utf-16")
    refused(root, rf"{TOKENS}, line 1: not UTF-8.*iconv -f UTF-16")


def test_lines_of_old_macintoshes_end_with_carriage_returns(root):
    before = Flickr8k(root=str(root), skip_missing=False).split("train")
    for name in (TOKENS, TRAIN):
        (root / name).write_bytes((root / name).read_bytes().replace(b"\n", b"\r"))
    assert Flickr8k(root=str(root), skip_missing=False).split("train") == before


def test_zero_bytes_are_refused(root):
    text = (root / TOKENS).read_text()
    (root / TOKENS).write_text(text, encoding="utf-16-le")  # without a mark; ASCII with zeros is UTF-8 as well
    refused(root, rf"{TOKENS}, line 1: a zero byte.*iconv -f UTF-16LE -t UTF-8")
    content = text.encode()
    (root / TOKENS).write_bytes(content[:60] + bytes(40) + content[100:])  # an interrupted download
    refused(root, rf"{TOKENS}, line 3: a zero byte, which text does not have\. Download the file again")


def test_what_is_compressed_is_to_be_unpacked(root):
    whole = (root / TOKENS).read_bytes()
    for content in (gzip.compress(whole), b"PK\x03\x04" + whole):
        (root / TOKENS).write_bytes(content)
        refused(root, rf"{TOKENS} is compressed: unpack it")


def test_captions_that_come_twice_are_kept_and_reported(root):
    (root / TOKENS).write_text((root / TOKENS).read_text() + "b.jpg#2\tCaption 0 of b .\n")
    train = Flickr8k(root=str(root), skip_missing=False).split("train")
    assert len(train.items[2].captions) == 3
    assert train.notes == (f"1 caption in {TOKENS} that their image has already, word for word: b.jpg",)


def test_an_empty_list(root):
    for content in ("", "\n \r\n"):
        (root / DEV).write_text(content)
        refused(root, rf"{DEV} lists no image: the split val would be empty", split="val")
        assert len(Flickr8k(root=str(root), skip_missing=False).split("train")) == 3


def test_a_split_in_which_no_image_has_a_caption(root):
    (root / TOKENS).write_text("z.jpg#0\tA dog .\n")
    refused(root, rf"no image of {TRAIN} has a caption in {TOKENS}")


def test_a_name_twice_in_a_list(root):
    (root / TRAIN).write_text("a.jpg\n\nb.jpg\na.jpg\n")
    refused(root, rf"{TRAIN}, line 4: a\.jpg is listed twice, on line 1 already")


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_an_image_in_two_splits(root, split):
    (root / TEST).write_text("e.jpg\na.jpg\nb.jpg\n")
    refused(root, rf"2 images in both {TRAIN} and {TEST}: a\.jpg, b\.jpg.*worth nothing", split=split)


@pytest.mark.parametrize(
    "name", ["../secret.jpg", "x/../../a.jpg", "/etc/a.jpg", "C:\\a.jpg", "..\\a.jpg", "\\\\host\\a"]
)
def test_a_name_that_leads_out_of_the_folder_is_refused(root, name):
    (root / TRAIN).write_text(f"a.jpg\n{name}\n")
    refused(root, rf"{TRAIN}, line 2: the image name {re.escape(repr(name))} is refused")


def test_names_that_stay_inside_are_kept():
    assert relative_name("b/./a..jpg", "here") == "b/a..jpg"
    assert relative_name("b\\a.jpg", "here") == "b/a.jpg"


def test_json_cut_anywhere_is_called_incomplete(tmp_path):
    path = tmp_path / "some.json"
    content = {"images": [{"id": 10, "name": 'a]"é\u2028.jpg', "flags": [True, None, -1.5e3]}, {}], "none": []}
    whole = json.dumps(content, ensure_ascii=False).encode()
    path.write_bytes(b"\xef\xbb\xbf" + whole + b"\n")
    assert read_json(path) == content
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match=rf"some\.json is incomplete: .* after {length} bytes\. Download it again"):
            read_json(path)


def test_what_is_no_json_is_named_with_its_place(tmp_path):
    path = tmp_path / "some.json"
    path.write_text('{"a": 1,\n "b": 2 3}')
    with pytest.raises(UserError, match=r"some\.json, line 2, column 9: no JSON .*\"b\": 2 3}'.*Download it again"):
        read_json(path)
    path.write_text("<html>404</html>")
    with pytest.raises(UserError, match=r"some\.json, line 1, column 1: no JSON .*'<html>404</html>'"):
        read_json(path)
