"""Flickr8k with the captions of Flickr8k-CN, in the form of its files."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from gan_caption.data.flickr8k import Flickr8k
from gan_caption.errors import UserError
from gan_caption.experiment import run_experiment

ZHC = "flickr8kzhc.caption.txt"
SAID = {
    "1_a.jpg": ("一个穿着泳装的女人躺在海水里。", "女人在 T恤 里。"),
    "2_b.jpg": ("两只狗在草地上面玩耍。",),
    "3_c.jpg": ("一个男人在树下钓鱼。",),
}


@pytest.fixture
def root(tmp_path):
    (tmp_path / "Flicker8k_Dataset").mkdir()
    for name in SAID:
        Image.new("RGB", (8, 8)).save(tmp_path / "Flicker8k_Dataset" / name)
    lines = [f"{name}#zhc#{index} {text}\n" for name, own in SAID.items() for index, text in enumerate(own)]
    (tmp_path / ZHC).write_text("".join(lines), encoding="utf-8")
    for split, name in zip(("train", "val", "test"), SAID, strict=True):
        (tmp_path / f"flickr8k{split}.txt").write_text(f"{name.removesuffix('.jpg')}\n")
    return tmp_path


def read(root, split="train"):
    return Flickr8k(root=str(root), skip_missing=False).split(split)


def test_captions_and_splits_as_they_are_published(root):
    (item,) = read(root).items
    assert (item.image_id, item.captions) == ("1_a.jpg", SAID["1_a.jpg"])
    assert item.path == root / "Flicker8k_Dataset" / "1_a.jpg"
    assert [item.image_id for split in ("val", "test") for item in read(root, split).items] == ["2_b.jpg", "3_c.jpg"]


def test_the_official_lists_will_do(root):
    for split in ("train", "val", "test"):
        (root / f"flickr8k{split}.txt").unlink()
    (root / "Flickr_8k.trainImages.txt").write_text("3_c.jpg\n2_b.jpg\n")
    assert [item.image_id for item in read(root).items] == ["3_c.jpg", "2_b.jpg"]


def test_the_official_captions_come_first(root):
    (root / "Flickr8k.token.txt").write_text("".join(f"{name}#0\tA man .\n" for name in SAID))
    assert read(root).items[0].captions == ("A man .",)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("4_d.jpg 一个人。", "line 5: wanted is name#language#number"),
        ("4_d.jpg#zhc 一个人。", "line 5: wanted is name#language#number"),
        ("4_d.jpg#zhc#0", "line 5"),
        ("1_a.jpg#zhc#1 一个人。", "has a caption #zhc#1 already"),
        ("../x.jpg#zhc#0 一个人。", "refused"),
    ],
)
def test_faulty_lines_are_named(root, line, message):
    with (root / ZHC).open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")
    with pytest.raises(UserError, match=message):
        read(root)


def test_several_files_of_captions_are_refused(root):
    (root / "flickr8kzhmtest.captions.txt").write_text("1_a.jpg#zhm#0 一个人。\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"flickr8kzhc\.caption\.txt, flickr8kzhmtest\.captions\.txt\): leave the one"):
        read(root)


@pytest.mark.slow
def test_a_run_writes_chinese(root, configured, tmp_path):
    lines = []
    for split in ("train", "val", "test"):
        names = [f"{split}_{row}" for row in range(3)]
        (root / f"flickr8k{split}.txt").write_text("\n".join(names))
        for name, own in zip(names, SAID.values(), strict=True):
            Image.new("RGB", (8, 8)).save(root / "Flicker8k_Dataset" / f"{name}.jpg")
            lines += [f"{name}.jpg#zhc#{index} {text}\n" for index, text in enumerate(own)]
    (root / ZHC).write_text("".join(lines), encoding="utf-8")
    few = ("log_every=1", "tracker=local", "threads=1", "size.hidden=8", "size.embedding=8", "phases.mle.epochs=1",
           "phases.mle.images_per_batch=2", "phases.mle.learning_rate_schedule.warmup_steps=1", "encoder.width=4",
           "vocabulary.min_count=1")  # fmt: skip
    asked = ("+experiment=mle", "data=flickr8k", f"data.root={root}", "tokenizer=characters", "encoder=scene_cnn")
    run = run_experiment(configured(*asked, *few, base=[]), data="flickr8k").folder
    assert {"狗", "恤", "t"} <= set(json.loads((run / "vocabulary.json").read_text()))
    said = json.loads((run / "captions_mle.json").read_text())
    written = {letter for row in said for letter in row["caption"]}
    assert written <= {letter for own in SAID.values() for text in own for letter in text} | set("t <unk>")
