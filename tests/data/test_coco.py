"""COCO from the official annotations and from Karpathy's JSON, with the image folders of either year."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from gan_caption.errors import UserError
from tests.tiny_runs import part

JSON = "dataset_coco.json"


def add_image(folder, name):
    folder.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4)).save(folder / name)


def number(image_id):
    return f"{image_id:012}.jpg"


def official(images, pairs):
    """The content of an annotation file: `images` by id, `pairs` of image id and caption."""
    return {
        "info": {},
        "images": [{"id": key, "file_name": name} for key, name in images.items()],
        "annotations": [
            {"id": 100 + index, "image_id": key, "caption": text} for index, (key, text) in enumerate(pairs)
        ],
    }


def write(path, content):
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content))


@pytest.fixture
def root(tmp_path):
    """2017: images 1 and 2 in train, 3 in val; the official files only."""
    for key, folder in ((1, "train2017"), (2, "train2017"), (3, "val2017")):
        add_image(tmp_path / folder, number(key))
    pairs = [(2, "A dog ."), (1, "A cat. "), (2, "One dog .")]
    write(tmp_path / "annotations" / "captions_train2017.json", official({1: number(1), 2: number(2)}, pairs))
    write(tmp_path / "annotations" / "captions_val2017.json", official({3: number(3)}, [(3, "A cow .")]))
    return tmp_path


def karpathy(homes):
    return {
        "images": [
            {"filename": f"COCO_val2014_{number(key)}", "filepath": "val2014", "split": split, "cocoid": key,
             "sentences": [{"raw": f"Caption of {key}."}]}
            for key, split in homes.items()
        ]
    }  # fmt: skip


def ids(split):
    return [item.image_id for item in split.items]


def refused(root, message, split="train", **options):
    with pytest.raises(UserError, match=message):
        part("data/coco", root=str(root), **options).split(split)


def test_official_annotations(root, capsys):
    train = part("data/coco", root=str(root)).split("train")
    assert [(item.image_id, item.captions) for item in train.items] == [
        ("1", ("A cat.",)),
        ("2", ("A dog .", "One dog .")),
    ]
    assert train.items[0].path == root / "train2017" / number(1)
    assert train.notes == ()
    assert ids(part("data/coco", root=str(root)).split("val")) == ["3"]
    assert capsys.readouterr().out == ""


def test_annotations_of_one_year_go_with_the_folders_of_the_other(root):
    for split in ("train", "val"):
        new, old = (root / "annotations" / f"captions_{split}{year}.json" for year in (2017, 2014))
        content = json.loads(new.read_text())
        for image in content["images"]:
            image["file_name"] = f"COCO_val2014_{image['file_name']}"
        write(old, content)
    official_2017, official_2014 = (
        part("data/coco", root=str(root), year=year).split("train") for year in (2017, 2014)
    )
    assert official_2014 == official_2017
    refused(root, r"several annotations.*choose data\.year=2014 or data\.year=2017")


def test_images_may_lie_in_a_folder_of_images(root):
    (root / "images").mkdir()
    (root / "train2017").rename(root / "images" / "train2017")
    assert part("data/coco", root=str(root)).split("train").items[0].path == root / "images" / "train2017" / number(1)


def test_the_official_files_have_no_captioned_test_split(root):
    refused(root, r"official test images are not public\. Use Karpathy's splits.*data\.karpathy=", split="test")


def test_unknown_split_and_missing_files(root):
    refused(root, "split=restval is not known: allowed are train, val, test", split="restval")
    refused(
        root / "no", r"data\.root=.*no: there is no such folder\. data\.root is the folder that holds images in any"
    )
    (root / "annotations" / "captions_val2017.json").unlink()
    assert len(part("data/coco", root=str(root)).split("train")) == 2
    refused(root, r"captions_val2017\.json: there is no such file\. data\.root is", split="val")
    refused(root, r"captions_train2014\.json: there is no such file\. data\.root is", year=2014)
    (root / "annotations" / "captions_train2017.json").unlink()
    refused(root, r"captions_train2017\.json: there is no such file\. data\.root is")


def test_no_image_folder(root):
    for name in ("train2017", "val2017"):
        (root / name).rename(root / name.upper())
    refused(root, r"train2014: there is no such folder\. data\.root is")


def test_years_and_files_that_exclude_each_other(root):
    with pytest.raises(UserError, match="year=2015: allowed are 2014, 2017 and null"):
        part("data/coco", root=str(root), year=2015)
    with pytest.raises(UserError, match="give one of them"):
        part("data/coco", root=str(root), year=2014, karpathy=JSON)


def test_annotations_cut_in_half(root):
    path = root / "annotations" / "captions_train2017.json"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    refused(root, r"captions_train2017\.json is incomplete: its JSON breaks off after \d+ bytes\. Download it again")


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        ("annotations", {"caption": " "}, r"annotations\[1\], id 101: the caption of image 1 is empty"),
        ("annotations", {"caption": None}, r"annotations\[1\]: wanted is an entry with id, image_id and caption"),
        ("annotations", {"image_id": "1"}, r"annotations\[1\]: wanted is an entry"),
        ("annotations", {"image_id": "1"}, r"annotations\[1\]: .* Write image_id without quotes"),
        ("images", {"id": "1"}, r"images\[1\]: .* Write id without quotes"),
        ("images", {"id": None}, r"images\[1\]: wanted is an entry with id \(a number\) and file_name"),
        ("images", {"file_name": "../2.jpg"}, r"images\[1\]: the image name '\.\./2\.jpg' is refused"),
        ("images", {"file_name": "/2.jpg"}, r"images\[1\]: the image name '/2\.jpg' is refused"),
    ],
)
def test_a_faulty_entry_is_named(root, kind, change, message):
    path = root / "annotations" / "captions_train2017.json"
    content = json.loads(path.read_text())
    content[kind][1].update(change)
    write(path, content)
    refused(root, rf"captions_train2017\.json, {message}")


def test_another_json_file_and_another_encoding(root):
    path = root / "annotations" / "captions_train2017.json"
    path.write_bytes(path.read_bytes().replace(b"A dog", b"A d\xf6g"))
    refused(root, r"captions_train2017\.json, line 1: not UTF-8 \(byte 0xf6\)")
    for content in ([], {"images": []}, {"images": [], "annotations": {}}):
        write(path, content)
        refused(root, r"captions_train2017\.json is not an official annotation file")


def test_unused_images_and_captions_are_reported(root):
    add_image(root / "val2017", number(9))
    path = root / "annotations" / "captions_train2017.json"
    write(path, official({1: number(1), 2: number(2)}, [(1, "A cat ."), (7, "Who?"), (7, "What?")]))
    sources = "captions_train2017.json and captions_val2017.json"
    assert part("data/coco", root=str(root)).split("train").notes == (
        f"1 image of captions_train2017.json without captions in {sources}: 2",
        f"1 image in train2017/ and val2017/ belongs to no split, without captions in {sources}: 9",
        f"2 captions in {sources} of 1 image not in train2017/ and val2017/, in no split: 7",
    )


def test_captions_of_a_number_that_is_not_listed_take_nobodys_place(root):
    """A file's numbers may be others than those of its images' names: the second annotation is of no image."""
    for split, (first, second) in {"train": (3, 4), "val": (1, 2)}.items():  # here as there
        path = root / "annotations" / f"captions_{split}2017.json"
        listed = {10: number(1), 11: number(2)} if split == "train" else {12: number(3)}
        told = [(one, f"Of {one} .") for one in listed]
        write(path, official(listed, [*told, (first, "Stray ."), (second, "Stray .")]))
    for split, captions in {"train": [("Of 10 .",), ("Of 11 .",)], "val": [("Of 12 .",)]}.items():
        assert [item.captions for item in part("data/coco", root=str(root)).split(split).items] == captions


def test_missing_images_leaks_and_empty_splits(root):
    (root / "train2017" / number(1)).unlink()
    refused(root, r"1 of 2 images of captions_train2017\.json is not in train2017/ and val2017/: 1\.")
    path = root / "annotations" / "captions_val2017.json"
    write(path, official({3: number(3), 2: number(2)}, [(3, "A cow .")]))
    refused(root, r"1 image in both captions_train2017\.json and captions_val2017\.json: 2\.", split="val")
    write(path, official({}, []))
    refused(root, r"captions_val2017\.json lists no image: the split val would be empty", split="val")


def test_names_of_another_form_are_ids_themselves(root):
    add_image(root / "train2017", "cat.jpg")
    path = root / "annotations" / "captions_train2017.json"
    write(path, official({1: number(1), 2: number(2), 50: "cat.jpg"}, [(1, "A."), (2, "B."), (50, "C.")]))
    assert ids(part("data/coco", root=str(root)).split("train")) == ["1", "2", "cat.jpg"]


def test_karpathy_splits(root):
    elsewhere = root / "annotations" / "mine.json"
    write(elsewhere, karpathy({1: "train", 2: "restval", 3: "test"}))
    train = part("data/coco", root=str(root), karpathy=str(elsewhere)).split("train")
    assert [(item.image_id, item.captions) for item in train.items] == [
        ("1", ("Caption of 1.",)),
        ("2", ("Caption of 2.",)),
    ]
    assert train.items[0].path == root / "train2017" / number(1)
    assert train.notes == ()
    assert ids(part("data/coco", root=str(root), karpathy=str(elsewhere)).split("test")) == ["3"]
    refused(root, r"mine\.json \(val\) lists no image: the split val would be empty", "val", karpathy=str(elsewhere))
    refused(root, r"data\.karpathy=gone\.json: there is no such file", karpathy="gone.json")


def test_restval_can_be_left_out_and_is_then_reported(root):
    write(root / JSON, karpathy({1: "train", 2: "restval", 3: "val"}))
    train = part("data/coco", root=str(root), karpathy=JSON, restval=False).split("train")
    assert ids(train) == ["1"]
    assert train.notes == (f"1 image in train2017/ and val2017/, with 1 caption in {JSON}, belongs to no split: 2",)


def test_what_lies_in_root_decides_where_it_is_one_thing(root):
    write(root / JSON, karpathy({1: "test"}))
    refused(root, rf"several annotations.*choose data\.year=2017 or data\.karpathy={JSON}")
    assert ids(part("data/coco", root=str(root), year=2017).split("val")) == ["3"]
    (root / "annotations").rename(root / "hidden")
    assert ids(part("data/coco", root=str(root)).split("test")) == ["1"]


def test_karpathy_file_cut_in_half_and_listing_twice(root):
    content = karpathy({1: "train", 2: "val"})
    write(root / JSON, {"images": [*content["images"], {**content["images"][0], "split": "test"}]})
    refused(root, rf"1 image in both {JSON} \(train\) and {JSON} \(test\): 1\.", karpathy=JSON)
    whole = (root / JSON).read_bytes()
    (root / JSON).write_bytes(whole[: len(whole) // 2])
    refused(root, rf"{JSON} is incomplete", karpathy=JSON)
