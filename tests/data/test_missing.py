"""More is listed than lies on the disk: `skip_missing` leaves it out and says so; and a split may be missing whole."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from gan_caption.data.corpus import NoSplit
from gan_caption.errors import UserError
from tests.tiny_runs import part

LISTED = [f"{number:012}.jpg" for number in range(1, 51)]
THERE = LISTED[::7]


def coco(root):
    (root / "annotations").mkdir()
    content = {
        "images": [{"id": int(name[:12]), "file_name": name} for name in LISTED],
        "annotations": [{"id": key, "image_id": key, "caption": f"Of {key} ."} for key in range(1, 51)],
    }
    (root / "annotations" / "captions_val2017.json").write_text(json.dumps(content))
    return "data/coco", "val2017"


def karpathy(name, kind, folder):
    def write(root):
        images = [{"filename": one, "split": "val", "sentences": [{"raw": f"Of {one} ."}]} for one in LISTED]
        (root / name).write_text(json.dumps({"images": images}))
        return kind, folder

    return write


def tokens(root):
    (root / "Flickr8k.token.txt").write_text("".join(f"{name}#0\tOf {name} .\n" for name in LISTED))
    (root / "Flickr_8k.devImages.txt").write_text("\n".join(LISTED))
    return "data/flickr8k", "Flicker8k_Dataset"


def bars(root):
    rows = "".join(f"{name}| 0| Of {name} .\n" for name in LISTED)
    (root / "results.csv").write_text(f"image_name| comment_number| comment\n{rows}")
    (root / "val.txt").write_text("\n".join(LISTED))
    return "data/flickr30k", "flickr30k_images"


def own(root):
    (root / "captions.csv").write_text("image,caption,split\n" + "".join(f"{name},Of it .,val\n" for name in LISTED))
    return "data/folder", "."


FORMS = {
    "coco": coco,
    "coco of Karpathy": karpathy("dataset_coco.json", "data/coco", "val2014"),
    "flickr8k": tokens,
    "flickr30k of Kaggle": bars,
    "flickr30k of Karpathy": karpathy("dataset_flickr30k.json", "data/flickr30k", "flickr30k-images"),
    "folder": own,
}


@pytest.fixture(params=FORMS)
def made(request, tmp_path):
    """A corpus whose val lists 50 images, of which 8 are there."""
    kind, folder = FORMS[request.param](tmp_path)
    (tmp_path / folder).mkdir(exist_ok=True)
    for name in THERE:
        Image.new("RGB", (2, 2)).save(tmp_path / folder / name)
    return kind, tmp_path, tmp_path / folder


def test_what_is_missing_stops_the_reading_and_the_message_says_what_leaves_it_out(made):
    kind, root, _ = made
    with pytest.raises(UserError, match=r"^42 of 50 images of .* or leave them out with skip_missing=true$") as caught:
        part(kind, root=str(root)).split("val")
    assert not isinstance(caught.value, NoSplit)


def test_what_is_missing_is_left_out_and_counted(made):
    kind, root, _ = made
    split = part(kind, root=str(root), skip_missing=True).split("val")
    assert [item.path.name for item in split.items] == THERE
    assert split.notes[0].startswith("42 of 50 images of ")
    assert split.notes[0].endswith(" ..., left out")


def test_a_split_without_any_of_its_images_is_none(made):
    kind, root, folder = made
    for name in THERE:
        (folder / name).unlink()
    Image.new("RGB", (2, 2)).save(folder / "other.jpg")
    if kind == "data/folder":
        with (root / "captions.csv").open("a") as file:
            file.write("other.jpg,Another .,train\n")
    for skip in (False, True):
        with pytest.raises(NoSplit, match=r"^50 of 50 images of .*Unpack the images of val, or check data\.root$"):
            part(kind, root=str(root), skip_missing=skip).split("val")
