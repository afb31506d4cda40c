"""One's own images, with captions in each of the three forms."""

from __future__ import annotations

import json
import os

import pytest
from PIL import Image

from gan_caption.errors import UserError
from tests.tiny_runs import part


def add_image(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4)).save(path)


@pytest.fixture
def root(tmp_path):
    """Images a.jpg, B.PNG and far/c.jpg; no captions yet."""
    root = tmp_path / "photos"
    for name in ("a.jpg", "B.PNG", "far/c.jpg"):
        add_image(root / name)
    add_image(root / ".hidden" / "d.jpg")
    return root


def captions(split):
    return {item.image_id: item.captions for item in split.items}


def everything(root, **options):
    """All images in train."""
    return part("data/folder", root=str(root), val_share=0.0, test_share=0.0, **options).split("train")


def refused(root, message, split="train", **options):
    with pytest.raises(UserError, match=message):
        part("data/folder", root=str(root), **options).split(split)


def write_lines(path, *entries):
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")


WANTED = {"B.PNG": ("One, two.",), "a.jpg": ('A "quoted" dog .', "Zwei Hünde ."), "far/c.jpg": ("A\ncat .",)}


def test_csv(root):
    text = 'image,note,caption\r\na.jpg,x,"A ""quoted"" dog ."\r\nB.PNG,,"One, two."\r\n\r\nfar/c.jpg,,"A\ncat ."\r\n'
    (root / "captions.csv").write_bytes(b"\xef\xbb\xbf" + (text + "a.jpg,,Zwei Hünde .").encode())
    split = everything(root)
    assert captions(split) == WANTED
    assert split.items[2].path == root / "far" / "c.jpg"
    assert split.notes == ()


def test_json_lines(root):
    write_lines(
        root / "captions.jsonl",
        {"image": "a.jpg", "captions": ['A "quoted" dog .', "Zwei Hünde ."]},
        {"image": "far\\c.jpg", "caption": "A\ncat ."},
        {"image": "B.PNG", "caption": "One, two.", "more": 1},
    )
    assert captions(everything(root)) == WANTED


def test_text_beside_each_image(root):
    (root / "a.txt").write_text('A "quoted" dog .\r\nZwei Hünde .\r\n\r\n', encoding="utf-8-sig")
    (root / "B.txt").write_text("One, two.")
    (root / "far" / "c.txt").write_text("A cat .")
    split = everything(root)
    assert captions(split) == {**WANTED, "far/c.jpg": ("A cat .",)}
    assert split.notes == ()


def test_text_of_an_old_macintosh_and_text_with_zero_bytes(root):
    (root / "a.txt").write_bytes(b"One .\rTwo .\r")
    assert captions(everything(root)) == {"a.jpg": ("One .", "Two .")}
    (root / "a.txt").write_text("One .\n", encoding="utf-16-le")
    refused(root, r"a\.txt, line 1: a zero byte, which text does not have")


def test_captions_may_lie_elsewhere(root, tmp_path):
    for path in (root / "mine.csv", tmp_path / "mine.csv"):
        path.write_text("image,caption\na.jpg,A dog .\n")
    assert captions(everything(root, captions="mine.csv")) == {"a.jpg": ("A dog .",)}
    assert captions(everything(root, captions=str(tmp_path / "mine.csv"))) == {"a.jpg": ("A dog .",)}
    refused(root, r"data\.captions=gone\.csv: there is no such file", captions="gone.csv")
    (root / "captions.xls").touch()
    refused(root, r"captions\.xls: allowed are \.csv and \.jsonl", captions="captions.xls")
    (root / "captions.csv").touch()
    (root / "captions.jsonl").touch()
    refused(root, r"holds captions\.csv and captions\.jsonl: choose one, data\.captions=")


def test_given_splits(root):
    (root / "captions.csv").write_text("image,caption,split\nB.PNG,One,val\nfar/c.jpg,Two,train\na.jpg,Three,train\n")
    corpus = part("data/folder", root=str(root), val_share=0.9, test_share=0.0)
    assert captions(corpus.split("train")) == {"far/c.jpg": ("Two",), "a.jpg": ("Three",)}
    assert captions(corpus.split("val")) == {"B.PNG": ("One",)}
    refused(root, r"captions\.csv \(test\) lists no image: the split test would be empty", split="test")
    (root / "a.jpg").unlink()
    refused(root, r"1 of 2 images of captions\.csv \(train\) is not in photos/: a\.jpg")


def test_given_splits_in_json_lines(root):
    path = root / "captions.jsonl"
    write_lines(
        path,
        {"image": "a.jpg", "caption": "One", "split": "test"},
        {"image": "B.PNG", "caption": "Two", "split": "val"},
    )
    assert captions(part("data/folder", root=str(root)).split("test")) == {"a.jpg": ("One",)}
    write_lines(path, {"image": "a.jpg", "caption": "One", "split": 1})
    refused(root, r"captions\.jsonl, line 1: wanted is")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a.jpg,One,train\nB.PNG,Two,dev\n", r"line 3: split 'dev' is not known: allowed are train, val, test"),
        ("a.jpg,One,train\nB.PNG,Two,\n", r"line 3: B\.PNG has no split, others have"),
        ("a.jpg,One,\nB.PNG,Two,val\n", r"line 2: a\.jpg has no split, others have"),
        ("a.jpg,One,val\na.jpg,Two,train\n", r"line 3: a\.jpg is in train, and in val by .*captions\.csv, line 2"),
    ],
)
def test_faulty_splits(root, rows, message):
    (root / "captions.csv").write_text(f"image,caption,split\n{rows}")
    refused(root, rf"captions\.csv, {message}")


def many(root, count):
    write_lines(root / "captions.jsonl", *({"image": f"{i}.jpg", "caption": "A dog ."} for i in range(count)))
    for i in range(count):
        (root / f"{i}.jpg").touch()


def homes(root, **options):
    corpus = part("data/folder", root=str(root), **options)
    return {item.image_id: name for name in ("train", "val", "test") for item in corpus.split(name).items}


def test_the_hash_splits_by_the_shares_and_every_image_once(root):
    many(root, 1000)
    found = homes(root, val_share=0.2, test_share=0.1)
    assert len(found) == 1000
    counts = {name: list(found.values()).count(name) for name in ("train", "val", "test")}
    for name, share in (("train", 0.7), ("val", 0.2), ("test", 0.1)):
        assert abs(counts[name] - 1000 * share) < 4 * (1000 * share * (1 - share)) ** 0.5  # four standard deviations
    assert homes(root, val_share=0.2, test_share=0.1, seed=1) != found


def test_images_stay_in_their_split_when_others_come(root):
    many(root, 100)
    before = homes(root)
    many(root, 200)
    assert {name: home for name, home in homes(root).items() if name in before} == before


def test_shares_out_of_range(root):
    for options in ({"val_share": -0.1}, {"test_share": 1.0}, {"val_share": 0.5, "test_share": 0.5}):
        with pytest.raises(UserError, match="below 1"):
            part("data/folder", root=str(root), **options)


def test_unused_images_and_captions_are_reported(root):
    (root / "captions.csv").write_text("image,caption\na.jpg,One\nlost.jpg,Two\nlost.jpg,Three\n")
    assert everything(root).notes == (
        "2 images in photos/ belong to no split, without captions in captions.csv: B.PNG, far/c.jpg",
        "2 captions in captions.csv of 1 image not in photos/, in no split: lost.jpg",
    )
    (root / "captions.csv").unlink()
    (root / "a.txt").write_text("One")
    (root / "read me.txt").write_text("Two\n\nThree\n")
    assert everything(root).notes == (
        "1 .txt file beside no image: read me.txt",
        "2 images in photos/ belong to no split, without captions in the .txt files: B.PNG, far/c.jpg",
    )


def test_no_folder_no_images_no_captions(root, tmp_path):
    refused(tmp_path / "no", r"data\.root=.*no: there is no such folder\. data\.root is a folder of images")
    refused(root, r"photos holds no captions\. data\.root is a folder of images")
    refused(root / ".hidden" / "..", r"holds no captions")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", r"empty holds no image\. data\.root is a folder of images")
    (root / "captions.csv").write_text("image,caption\n")
    refused(root, r"captions\.csv holds no captions")
    (root / "captions.csv").write_text("image,caption\nphotos/a.jpg,One\n")
    refused(
        root, r"none of the images .*B\.PNG, a\.jpg \.\.\.\) has a caption in captions\.csv, which names photos/a\.jpg"
    )


def test_a_split_that_no_image_fell_into(root):
    (root / "captions.csv").write_text("image,caption\na.jpg,One\n")
    message = r"test \(data\.test_share=0 of 1 captioned image\) lists no image: the split test would be empty"
    refused(root, message, "test", test_share=0.0)
    refused(root, "split=dev is not known: allowed are train, val, test", "dev")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            "a.jpg,A dog, a cat\n",
            r"line 2: 3 fields, but 2 columns \(image, caption\); .*'a\.jpg,A dog, a cat'.*quotation",
        ),
        ("a.jpg\n", "line 2: 1 fields, but 2 columns"),
        ('a.jpg,"two\nlines"\n\nB.PNG, \n', r"line 5: the caption of B\.PNG is empty"),
        ('a.jpg,One\nB.PNG,"never closed\nfar/c.jpg,Two\n', "line 3: no CSV"),
        ('a.jpg,One\nB.PNG,"a "quoted" word"\n', "line 3: no CSV .*written twice"),
        ("a.jpg,One\n/etc/a.jpg,Two\n", "line 3: the image name '/etc/a.jpg' is refused"),
        (",One\n", "line 2: the image name '' is refused"),
    ],
)
def test_a_bad_line_of_csv_is_named(root, rows, message):
    (root / "captions.csv").write_text(f"image,caption\n{rows}")
    refused(root, rf"captions\.csv, {message}")


def test_csv_with_other_columns_or_another_encoding(root):
    (root / "captions.csv").write_text("file;text\na.jpg;One\n")
    refused(root, r"captions\.csv, line 1: the columns are file;text; wanted are image, caption")
    (root / "captions.csv").write_bytes("image,caption\na.jpg,Un café\n".encode("latin1"))
    refused(root, r"captions\.csv, line 2: not UTF-8 \(byte 0xe9\)")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"image": "a.jpg", "caption": "A do', r"no JSON .*The line begins .*A do"),
        ('{"image": "a.jpg"}', "wanted is"),
        ('{"image": "a.jpg", "caption": "A", "captions": ["B"]}', "wanted is"),
        ('{"image": "a.jpg", "captions": "A"}', "wanted is"),
        ('{"image": "a.jpg", "caption": 3}', "wanted is"),
        ('{"image": 3, "caption": "A"}', "wanted is"),
        ('["a.jpg", "A"]', "wanted is"),
        ('{"image": "a.jpg", "captions": ["A", ""]}', r"the caption of a\.jpg is empty"),
        ('{"image": "../a.jpg", "caption": "A"}', "the image name '../a.jpg' is refused"),
    ],
)
def test_a_bad_json_line_is_named(root, line, message):
    (root / "captions.jsonl").write_text('{"image": "B.PNG", "caption": "One"}\n\n' + line + "\n")
    refused(root, rf"captions\.jsonl, line 3: {message}")


def test_what_lies_beside_an_image_and_is_no_file_of_this_folder_is_not_read(root, tmp_path):
    (tmp_path / "secret").write_text("A secret .")
    (root / "a.txt").symlink_to(tmp_path / "secret")
    refused(root, r"a\.txt is a link out of ")
    (root / "a.txt").unlink()
    os.mkfifo(root / "a.txt")  # to read it would take until somebody writes
    refused(root, r"a\.txt is no file")


def test_a_text_beside_no_image_is_not_read(root):
    (root / "a.txt").write_text("One")
    (root / "LICENSE.txt").write_bytes(b"\xa9 \0")
    assert everything(root).notes[0] == "1 .txt file beside no image: LICENSE.txt"


def test_faulty_text_beside_an_image(root):
    (root / "a.txt").write_text("One\n \nTwo\n")
    refused(root, r"a\.txt, line 2: the caption of a\.jpg is empty")
    (root / "a.txt").write_text("")
    refused(root, r"a\.txt, line 1: the caption of a\.jpg is empty")
    (root / "a.txt").write_bytes(b"One\nTw\xe9\n")
    refused(root, r"a\.txt, line 2: not UTF-8")
    (root / "a.txt").write_text("One")
    add_image(root / "a.png")
    refused(root, r"a\.txt lies beside a\.jpg and beside a\.png: rename one")
