"""Flickr30k from its token file and from Karpathy's JSON."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from gan_caption.errors import UserError
from tests.tiny_runs import part

TOKENS = "results_20130124.token"
JSON = "dataset_flickr30k.json"
HOMES = {"1": "train", "2": "train", "3": "val", "4": "test"}


@pytest.fixture
def root(tmp_path):
    """The images alone."""
    (tmp_path / "flickr30k-images").mkdir()
    for stem in HOMES:
        Image.new("RGB", (4, 4)).save(tmp_path / "flickr30k-images" / f"{stem}.jpg")
    return tmp_path


def add_lists(root):
    (root / TOKENS).write_text(
        "".join(f"{stem}.jpg#{i}\tCaption {i} of {stem} ." + "\n" for stem in HOMES for i in (0, 1))
    )
    (root / "train.txt").write_text("2.jpg\n1\n")  # names and stems
    (root / "val.txt").write_text("3\n")
    (root / "test.txt").write_text("4\n")


def entries():
    return [
        {"filename": f"{stem}.jpg", "split": split, "sentences": [{"raw": f"Caption {i} of {stem} ."} for i in (0, 1)]}
        for stem, split in HOMES.items()
    ]


def add_json(path, images):
    path.write_text(json.dumps({"images": images, "dataset": "flickr30k"}))


def ids(split):
    return [item.image_id for item in split.items]


def refused(root, message, split="train", **options):
    with pytest.raises(UserError, match=message):
        part("data/flickr30k", root=str(root), **options).split(split)


def test_token_file_and_lists(root):
    add_lists(root)
    train = part("data/flickr30k", root=str(root)).split("train")
    assert ids(train) == ["2.jpg", "1.jpg"]
    assert train.items[0].captions == ("Caption 0 of 2 .", "Caption 1 of 2 .")
    assert train.items[0].path == root / "flickr30k-images" / "2.jpg"
    assert train.notes == ()
    assert [ids(part("data/flickr30k", root=str(root)).split(name)) for name in ("val", "test")] == [
        ["3.jpg"],
        ["4.jpg"],
    ]


def test_karpathy_json_gives_the_same_captions(root):
    add_lists(root)
    add_json(root / JSON, entries())
    lists, karpathy = (part("data/flickr30k", root=str(root), annotations=one) for one in (TOKENS, JSON))
    assert ids(karpathy.split("train")) == ["1.jpg", "2.jpg"]
    for name in ("train", "val", "test"):
        assert sorted(karpathy.split(name).items, key=str) == sorted(lists.split(name).items, key=str)
        assert karpathy.split(name).notes == ()


def test_what_lies_in_root_decides_where_it_is_one_thing(root):
    refused(root, rf"{TOKENS}: there is no such file\. data\.root is the folder that holds flickr30k-images/")
    add_json(root / JSON, entries()[::-1])
    assert ids(part("data/flickr30k", root=str(root)).split("train")) == ["2.jpg", "1.jpg"]
    add_lists(root)
    refused(root, rf"holds both.*choose one, data\.annotations={JSON} or data\.annotations={TOKENS}")


def test_annotations_may_lie_elsewhere(root, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "mine.json"
    add_json(elsewhere, entries())
    assert len(part("data/flickr30k", root=str(root), annotations=str(elsewhere)).split("train")) == 2
    refused(root, r"data\.annotations=gone\.json: there is no such file, neither", annotations="gone.json")


def test_a_missing_list_and_an_image_in_two_lists(root):
    add_lists(root)
    (root / "test.txt").write_text("4.jpg\n1\n")
    refused(root, r"1 image in both train\.txt and test\.txt: 1\.jpg")
    (root / "test.txt").unlink()
    assert part("data/flickr30k", root=str(root)).split("val").notes == (
        f"1 image in flickr30k-images/, with 2 captions in {TOKENS}, belongs to no split: 4.jpg",
    )
    refused(root, r"test\.txt: there is no such file\. data\.root is", split="test")


def test_an_image_listed_as_name_and_as_stem(root):
    add_lists(root)
    (root / "train.txt").write_text("1\n2.jpg\n1.jpg\n")
    refused(root, r"train\.txt lists 1 image twice: 1\.jpg")


def test_a_bad_line_of_the_token_file(root):
    add_lists(root)
    (root / TOKENS).write_text((root / TOKENS).read_text() + "4.jpg#2\t\n")
    refused(root, rf"{TOKENS}, line 9: the caption of 4\.jpg is empty")


def test_karpathy_json_cut_in_half(root):
    add_json(root / JSON, entries())
    whole = (root / JSON).read_bytes()
    (root / JSON).write_bytes(whole[: len(whole) // 2])
    refused(root, rf"{JSON} is incomplete: its JSON breaks off after {len(whole) // 2} bytes\. Download it again")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"split": "dev"}, "split 'dev' is not known: allowed are train, restval, val, test"),
        ({"split": ["train"]}, r"split \['train'\] is not known"),
        ({"filename": None}, "filename and raw captions must be text"),
        ({"filename": "../1.jpg"}, "the image name '../1.jpg' is refused"),
        ({"sentences": [{"tokens": ["a"]}]}, "wanted is an entry with filename, split and sentences, each with raw"),
        ({"sentences": [{"raw": "A dog ."}, {"raw": " \n"}]}, r"the caption of 2\.jpg is empty"),
    ],
)
def test_a_faulty_entry_of_karpathy_json_is_named(root, change, message):
    images = entries()
    images[1].update(change)
    add_json(root / JSON, images)
    refused(root, rf"{JSON}, images\[1\]: {message}")


def test_another_json_file(root):
    for content in ("[]", '{"images": 3}', "{}"):
        (root / JSON).write_text(content)
        refused(root, rf"{JSON} is not one of Karpathy's files")


def test_karpathy_json_with_images_of_no_use(root):
    images = entries()
    images[1]["sentences"] = []
    add_json(root / JSON, [*images[:2], images[3]])
    assert part("data/flickr30k", root=str(root)).split("train").notes == (
        f"1 image of {JSON} (train) without captions in {JSON}: 2.jpg",
        f"1 image in flickr30k-images/ belongs to no split, without captions in {JSON}: 3.jpg",
    )
    refused(root, rf"{JSON} \(val\) lists no image: the split val would be empty", split="val")
    (root / "flickr30k-images" / "4.jpg").unlink()
    refused(root, rf"1 image of {JSON} \(test\) is not in flickr30k-images/: 4\.jpg", split="test")


def test_unknown_split(root):
    refused(root, "split=validation is not known: allowed are train, val, test", split="validation")
