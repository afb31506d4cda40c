"""Flickr8k and Flickr30k as Kaggle has them: tables of captions, and no official lists."""

from __future__ import annotations

import csv
import hashlib
import io

import pytest
from PIL import Image

from gan_caption.errors import UserError
from tests.tiny_runs import part

NAMES = [f"{number}.jpg" for number in range(60)]
SPLITS = ("train", "val", "test")
HARD = ("A dog , brown , runs .", 'A sign says " stop " .', '"Quoted" all the way , twice .')


def share(name: str) -> float:
    """Where the hash of a name lies in [0, 1)."""
    return int(hashlib.sha256(f"0/{name}".encode()).hexdigest()[:16], 16) / 2**64


def add_images(folder, names=NAMES):
    folder.mkdir(parents=True)
    for name in names:
        Image.new("RGB", (2, 2)).save(folder / name)


def rows(columns, values) -> str:
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows([columns, *values])
    return written.getvalue()


@pytest.fixture
def flickr8k(tmp_path):
    add_images(tmp_path / "Images")
    values = [(name, caption) for name in NAMES for caption in HARD]
    (tmp_path / "captions.txt").write_text(rows(("image", "caption"), values))
    return tmp_path


def by_name(corpus) -> dict:
    return {item.image_id: item.captions for name in SPLITS for item in corpus.split(name).items}


def test_captions_hold_commas_and_quotation_marks_and_every_image_is_in_one_split(flickr8k):
    splits = {name: part("data/flickr8k", root=str(flickr8k)).split(name) for name in SPLITS}
    assert sorted(item.image_id for split in splits.values() for item in split.items) == sorted(NAMES)
    assert {item.captions for split in splits.values() for item in split.items} == {HARD}
    assert splits["train"].items[0].path.parent == flickr8k / "Images"


def test_the_division_goes_by_a_hash_of_the_names_and_is_told(flickr8k):
    for name, low, high in (("test", 0, 0.1), ("val", 0.1, 0.2), ("train", 0.2, 1)):
        split = part("data/flickr8k", root=str(flickr8k)).split(name)
        assert [item.image_id for item in split.items] == [one for one in NAMES if low <= share(one) < high]
        (note,) = split.notes
        assert "divided by a hash of their names (seed 0; 0.1 of them in val, 0.1 in test)" in note
        assert "not comparable with those of the official splits" in note


def test_official_lists_beside_the_table_are_used(flickr8k):
    for split, names in {"train": NAMES[:50], "dev": NAMES[50:54], "test": NAMES[54:]}.items():
        (flickr8k / f"Flickr_8k.{split}Images.txt").write_text("\n".join(names))
    split = part("data/flickr8k", root=str(flickr8k)).split("val")
    assert [item.image_id for item in split.items] == NAMES[50:54]
    assert split.notes == ()


def test_the_official_captions_come_first(flickr8k):
    (flickr8k / "Flickr8k.token.txt").write_text("3.jpg#0\tOfficial .\n")
    (flickr8k / "Flickr_8k.trainImages.txt").write_text("3.jpg\n")
    assert part("data/flickr8k", root=str(flickr8k)).split("train").items[0].captions == ("Official .",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("image,caption\n3.jpg,A dog , brown .\n", r"line 2: 3 fields, but 2 columns .*needs quotation marks"),
        ("image;caption\n3.jpg;A dog .\n", "line 1: the columns are image;caption; wanted are image and caption"),
        ("image,caption,caption\n3.jpg,A dog .,A .\n", "line 1: several columns are called caption: give each a name"),
        ("image,caption,split,split\n3.jpg,A.,val,train\n", "line 1: several columns are called split"),
        ("image,caption\n3.jpg,\n", r"line 2: the caption of 3\.jpg is empty"),
        ("image,caption\n../3.jpg,A dog .\n", r"line 2: the image name '\.\./3\.jpg' is refused"),
        ('image,caption\n3.jpg,"A dog .\n', r"line 2: no CSV \(unexpected end of data\).*cut short"),
    ],
)
def test_a_faulty_table_is_named_with_its_line(flickr8k, content, message):
    (flickr8k / "captions.txt").write_text(content)
    with pytest.raises(UserError, match=rf"captions\.txt, {message}"):
        part("data/flickr8k", root=str(flickr8k)).split("train")


PIPED = "image_name| comment_number| comment\n0.jpg| 0| Two dogs , one brown .\n0.jpg| 1|  A | B .\n"


def test_flickr30k_between_bars_with_the_row_whose_comment_stands_in_its_number(tmp_path):
    add_images(tmp_path / "flickr30k_images", NAMES[:2])
    (tmp_path / "results.csv").write_text(f"{PIPED}1.jpg| 4   A dog runs across the grass .\n")
    (tmp_path / "train.txt").write_text("0\n1\n")
    split = part("data/flickr30k", root=str(tmp_path)).split("train")
    assert {item.image_id: item.captions for item in split.items} == {
        "0.jpg": ("Two dogs , one brown .", "A | B ."),
        "1.jpg": ("A dog runs across the grass .",),
    }
    assert split.notes == ()


def test_flickr30k_between_commas_without_lists(tmp_path):
    add_images(tmp_path / "Images")
    values = [(name, number, caption) for name in NAMES for number, caption in enumerate(HARD)]
    values[0] = (NAMES[0], f"0   {HARD[0]}", "")
    (tmp_path / "captions.txt").write_text(rows(("image_name", "comment_number", "comment"), values))
    corpus = part("data/flickr30k", root=str(tmp_path))
    assert by_name(corpus) == dict.fromkeys(NAMES, HARD)
    assert "train.txt, val.txt, test.txt are not there: the images are divided" in corpus.split("val").notes[0]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1.jpg| 4", r"the caption of 1\.jpg is empty"),
        ("1.jpg| 4| ", r"the caption of 1\.jpg is empty"),
        ("1.jpg", r"no \| in it; wanted is image_name\| comment_number\| comment"),
    ],
)
def test_a_row_without_a_comment_is_named(tmp_path, row, message):
    add_images(tmp_path / "flickr30k_images", NAMES[:2])
    (tmp_path / "results.csv").write_text(f"{PIPED}{row}\n")
    with pytest.raises(UserError, match=rf"results\.csv, line 4: {message}"):
        part("data/flickr30k", root=str(tmp_path)).split("train")
