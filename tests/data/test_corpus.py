"""What tells data from others: names and captions in their order, not where they lie."""

from __future__ import annotations

import functools
import json
from dataclasses import replace
from pathlib import Path

import pytest

from gan_caption.data.corpus import CaptionedImage, Split, locations_of
from gan_caption.data.flickr8k import Flickr8k
from gan_caption.data.folder import Folder
from gan_caption.data.shards.writer import ShardFolder, photograph_in
from tests.tiny_runs import part

HERE = (CaptionedImage("a", ("a dog", "Zwei Hünde"), Path("here/a.jpg")), CaptionedImage("b", ("a cat",)))


def test_the_same_images_and_captions_have_one_fingerprint_wherever_they_lie():
    elsewhere = tuple(replace(item, path=Path("/else/where.jpg")) for item in HERE)
    assert Split("train", HERE).fingerprint == Split("train", elsewhere).fingerprint
    assert Split("train", HERE, notes=("one was left out",)).fingerprint == Split("val", HERE).fingerprint


@pytest.mark.parametrize(
    "items",
    [
        HERE[::-1],
        HERE[:1],
        (*HERE, HERE[1]),
        (replace(HERE[0], image_id="c"), HERE[1]),
        (replace(HERE[0], captions=("a dog", "Zwei Hunde")), HERE[1]),
        (replace(HERE[0], captions=("Zwei Hünde", "a dog")), HERE[1]),
        (replace(HERE[0], captions=("a dogZwei Hünde",)), HERE[1]),
        (replace(HERE[0], captions=("a dog",)), replace(HERE[1], captions=("Zwei Hünde", "a cat"))),
    ],
)
def test_any_change_of_names_captions_or_order_changes_it(items):
    assert Split("train", items).fingerprint != Split("train", HERE).fingerprint


def photographs(folder: Path, count: int) -> Folder:
    folder.mkdir()
    drawn = part("data/scenes", train=count).split("train")
    for row in range(count):
        drawn.image(row).save(folder / f"{row}.png")
    rows = [{"image": f"{row}.png", "captions": item.captions} for row, item in enumerate(drawn.items)]
    (folder / "captions.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return part("data/folder", root=str(folder), val_share=0.0, test_share=0.0)


def test_shards_have_that_of_their_images_in_files(tmp_path):
    split = photographs(tmp_path / "photos", 10).split("train")
    fingerprints = {}
    for samples, window in ((3, 16), (5, 16), (3, 2), (4, 2)):
        folder = tmp_path / f"by{samples}"
        if not folder.exists():
            with ShardFolder(folder, samples=samples) as shards:
                shards.write(split, functools.partial(photograph_in, split))
        settings = {"root": str(folder), "cache": str(tmp_path / "index"), "skip_unreadable": False}
        corpus = part("data/shards", **settings, window=window)
        fingerprints[samples, window] = corpus.split("train").fingerprint
        some = corpus.split("train").select([1, 0, 7])
        assert some.fingerprint == split.select([1, 0, 7]).fingerprint
    assert fingerprints[3, 16] == fingerprints[5, 16] == split.fingerprint
    # Of more shards than a window, an epoch's order depends on where they are cut.
    assert len({split.fingerprint, fingerprints[3, 2], fingerprints[4, 2]}) == 3


def test_what_only_says_where_data_lie():
    assert locations_of(part("data/folder", root="there")) == ("root", "captions")
    assert locations_of(Flickr8k(root="there", skip_missing=False)) == ("root",)
    assert locations_of(part("data/flickr30k", root="there")) == ("root", "annotations")
    assert locations_of(part("data/coco", root="there")) == ("root", "karpathy")
    assert locations_of(part("data/scenes")) == ()
    assert locations_of(part("data/oracle", words=3)) == ("parameters",)

    class Own:
        def split(self, name: str) -> Split:
            return Split(name, HERE)

    assert locations_of(Own()) is None
