"""Shards: what is written is read, by us and by webdataset; order, position and shares; damage; nothing is executed."""

from __future__ import annotations

import functools
import gzip
import http.server
import io
import json
import os
import pickle
import shutil
import tarfile
import threading
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import webdataset
from PIL import Image
from safetensors.torch import load_file
from torch.utils.data import DataLoader
from webdataset.writer import TarWriter

from experiments.fuzzing.targets.shards import sized
from gan_caption.data.corpus import CaptionedImage, NoSplit, Split
from gan_caption.data.features import ImageFeatures
from gan_caption.data.loading import load
from gan_caption.data.shards.corpus import Shards
from gan_caption.data.shards.features import ShardFeatures
from gan_caption.data.shards.order import ShardOrder, part_of
from gan_caption.data.shards.places import expand
from gan_caption.data.shards.scanning import ABOUT
from gan_caption.data.shards.stream import ShardStream
from gan_caption.data.shards.writer import ShardFolder, features_in, photograph_in
from gan_caption.errors import Unreachable, UserError
from gan_caption.experiment import run_experiment
from tests.small_disk import small_disk
from tests.started import ended
from tests.tiny_runs import part

CPU = torch.device("cpu")


def jpeg(number: int) -> bytes:
    packed = io.BytesIO()
    pixels = np.random.default_rng(number).integers(0, 255, (12, 10, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(packed, "JPEG")
    return packed.getvalue()


def photographs(folder: Path, count: int) -> Path:
    """A folder of photographs with two captions each, in three splits."""
    folder.mkdir()
    lines = []
    for number in range(count):
        name = f"photo.{number}.jpg"
        (folder / name).write_bytes(jpeg(number))
        split = ("train", "train", "val", "test")[number % 4]
        captions = [f"a photo of {number % 7}", f"it is\n{number} – “{number}”"]
        lines.append(json.dumps({"image": name, "captions": captions, "split": split}))
    (folder / "captions.jsonl").write_text("\n".join(lines))
    return folder


def write(corpus, folder: Path, *, samples: int) -> Path:
    with ShardFolder(folder, samples=samples) as shards:
        for name in ("train", "val", "test"):
            split = corpus.split(name)
            shards.write(split, functools.partial(photograph_in, split))
    return folder


def tiny(folder: Path, sizes: list[int]) -> Path:
    """Shards of samples that hold no image worth the name: for order and position."""
    folder.mkdir()
    number = 0
    for shard, size in enumerate(sizes):
        with (folder / f"train-{shard:03}.tar").open("wb") as file, TarWriter(file, encoder=False) as tar:
            for _ in range(size):
                tar.write({"__key__": f"{number:04}", "jpg": b"%d" % number, "txt": f"number {number}".encode()})
                number += 1
    return folder


def shards_in(folder: Path | str, cache: Path, **settings) -> Shards:
    return part("data/shards", **{"root": str(folder), "cache": str(cache), "skip_unreadable": False, **settings})


# What is written is read


def test_a_corpus_comes_back_from_its_shards(tmp_path):
    photos = part("data/folder", root=str(photographs(tmp_path / "photos", 40)))
    folder = write(photos, tmp_path / "shards", samples=7)
    assert sorted(path.name for path in folder.iterdir()) == [
        "test-000000.tar", "test-000001.tar", "train-000000.tar", "train-000001.tar", "train-000002.tar",
        "val-000000.tar", "val-000001.tar",
    ]  # fmt: skip
    for name in ("train", "val", "test"):
        given, read = photos.split(name), shards_in(folder, tmp_path / "cache").split(name)
        assert [(item.image_id, item.captions) for item in read.items] == [
            (item.image_id, item.captions) for item in given.items
        ]
        for row in range(len(given)):
            assert read.image(row).tobytes() == given.image(row).tobytes()
            assert read.content(row) == given.items[row].path.read_bytes()
    chosen = read.select([4, 1])
    assert [item.image_id for item in chosen.items] == [given.items[4].image_id, given.items[1].image_id]
    assert chosen.image(0).tobytes() == given.image(4).tobytes()


def test_webdataset_reads_what_was_written(tmp_path):
    photos = part("data/folder", root=str(photographs(tmp_path / "photos", 40)))
    folder = write(photos, tmp_path / "shards", samples=7)
    read = webdataset.WebDataset([str(path) for path in sorted(folder.glob("train-*.tar"))], shardshuffle=False)
    told = [(json.loads(sample["json"]), sample["jpg"]) for sample in read]
    given = photos.split("train").items
    assert [(one["image_id"], tuple(one["captions"])) for one, _ in told] == [
        (item.image_id, item.captions) for item in given
    ]
    assert [data for _, data in told] == [item.path.read_bytes() for item in given]


def test_what_webdataset_wrote_is_read(tmp_path):
    with webdataset.ShardWriter(f"{tmp_path}/train-%03d.tar", maxcount=2, verbose=0) as writer:
        for number in range(5):
            writer.write({"__key__": f"some/{number}", "jpg": jpeg(number), "txt": f"one {number}\n\ntwo \n"})
        writer.write({"__key__": "meta", "png": jpeg(9), "json": {"caption": "three", "url": "x"}})
        writer.write({"__key__": "coco", "jpg": jpeg(3), "json": {"captions": ["four"], "image_id": 391895}})
    split = shards_in(tmp_path, tmp_path / "cache").split("train")
    assert [item.captions for item in split.items] == [(f"one {n}", "two") for n in range(5)] + [("three",), ("four",)]
    assert split.items[6].image_id == "391895"
    assert [item.image_id for item in split.items[1:3]] == ["train-000/some/1", "train-001/some/2"]
    assert split.image(4).tobytes() == Image.open(io.BytesIO(jpeg(4))).tobytes()


def test_a_failed_or_interrupted_write_leaves_nothing_and_an_old_one_is_not_touched(tmp_path):
    split = Split("train", (CaptionedImage("a", ("a dog",), tmp_path / "missing.jpg"),) * 3)

    def interrupt(row: int) -> tuple[str, bytes]:
        if row == 2:
            raise KeyboardInterrupt
        return "jpg", jpeg(row)

    with (
        pytest.raises(UserError, match=r"missing\.jpg cannot be read"),
        ShardFolder(tmp_path / "new", samples=1) as shards,
    ):
        shards.write(split, functools.partial(photograph_in, split))
    with pytest.raises(KeyboardInterrupt), ShardFolder(tmp_path / "new", samples=1) as shards:
        shards.write(split, interrupt)
    nameless = Split("train", (CaptionedImage(os.fsdecode(b"\xe9.jpg"), ("a dog",), None),))
    with (
        pytest.raises(UserError, match=r"'\\udce9\.jpg' is no UTF-8, .* shards"),
        ShardFolder(tmp_path / "new", samples=1) as shards,
    ):
        shards.write(nameless, lambda row: ("jpg", jpeg(row)))
    assert not list(tmp_path.iterdir())
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "train-000000.tar").touch()
    with pytest.raises(UserError, match="something is there already"):
        ShardFolder(tmp_path / "old", samples=1)


# Order, position, shares


def expected(sizes: list[int], window: int, seed: list[int]) -> list[int]:
    """The order by its definition, written without looking at the code."""
    shards, first = [], 0
    for size in sizes:
        shards.append(list(range(first, first + size)))
        first += size
    turns = [shards[one] for one in np.random.default_rng([*seed, 0]).permutation(len(sizes))]
    order = []
    for window_number, begin in enumerate(range(0, len(turns), window)):
        mixed = [row for shard in turns[begin : begin + window] for row in shard]
        order += [mixed[one] for one in np.random.default_rng([*seed, window_number + 1]).permutation(len(mixed))]
    return order


SIZES = [5, 1, 8, 0, 3, 7, 2]


@pytest.mark.parametrize("window", [1, 2, 3, 7, 50])
def test_the_order_is_that_of_its_definition_from_any_place_to_any_other(window):
    whole = expected(SIZES, window, [3, 1])
    order = ShardOrder(SIZES, window=window, seed=[3, 1])
    assert list(order.rows()) == whole
    assert sorted(whole) == list(range(26))
    for first in range(27):
        for last in range(first, 27):
            assert list(order.rows(first, last)) == whole[first:last]


def test_seed_and_epoch_change_the_order():
    orders = {tuple(ShardOrder(SIZES, window=2, seed=[seed, epoch]).rows()) for seed in (0, 1) for epoch in range(3)}
    assert len(orders) == 6


@pytest.mark.parametrize("parts", [1, 2, 4, 7, 40])
def test_shares_are_even_and_miss_and_repeat_nothing(parts):
    places = [part_of(26, part, parts) for part in range(parts)]
    assert [place for first, last in places for place in range(first, last)] == list(range(26))
    assert {last - first for first, last in places} <= {26 // parts, 26 // parts + 1}


def streamed(split, *, rank: int, taken=None, epoch: int = 0, workers: int = 2) -> list:
    stream = ShardStream(split, seed=5, epoch=epoch, rank=rank, ranks=2, taken=taken)
    return [sample for batch in DataLoader(stream, 3, num_workers=workers, collate_fn=list) for sample in batch]


def test_two_ranks_with_two_workers_share_an_epoch_without_repeats(tmp_path):
    split = shards_in(tiny(tmp_path / "shards", SIZES), tmp_path / "cache", window=2).split("train")
    by_part: dict[int, list[int]] = {}
    for rank in (0, 1):
        for sample in streamed(split, rank=rank):
            by_part.setdefault(sample.part, []).append(sample.row)
            assert sample.taken == len(by_part[sample.part])
            assert sample.content == b"%d" % sample.row
            assert sample.item.captions == (f"number {sample.row}",)
    whole = expected([size for size in SIZES if size], 2, [5, 0])  # a shard without a sample has no turn
    assert [row for part in range(4) for row in by_part[part]] == whole
    assert {len(rows) for rows in by_part.values()} == {6, 7}


def test_a_stream_goes_on_from_every_position(tmp_path):
    split = shards_in(tiny(tmp_path / "shards", SIZES), tmp_path / "cache", window=2).split("train")
    whole = streamed(split, rank=1)
    for stop in range(len(whole) + 1):
        taken = {sample.part: sample.taken for sample in whole[:stop]}
        rest = streamed(split, rank=1, taken=taken)
        assert sorted((one.part, one.taken, one.row) for one in rest) == sorted(
            (one.part, one.taken, one.row) for one in whole[stop:]
        )


def test_training_mixes_a_window_of_shards_at_a_time(tmp_path):
    folder = tiny(tmp_path / "shards", [4] * 6)
    split = shards_in(folder, tmp_path / "cache", window=2).split("train")
    rows = np.array([row for row in range(24) if row % 5])  # some images have no captions
    order = split.shuffled(rows, np.random.default_rng(0))
    assert sorted(order) == rows.tolist()
    changes = [Counter(order[first:] // 4) for first in range(len(order))]
    seen, finished = [], set()
    for place, row in enumerate(order):
        shard = row // 4
        assert shard not in finished
        if shard not in seen:
            seen.append(shard)
        if changes[place][shard] == 1:
            finished.add(shard)
        assert len(set(seen) - finished) <= 2
    assert not np.array_equal(order, split.shuffled(rows, np.random.default_rng(1)))
    all_at_once = shards_in(folder, tmp_path / "cache", window=6).split("train")
    assert np.array_equal(
        all_at_once.shuffled(rows, np.random.default_rng(0)), np.random.default_rng(0).permutation(rows)
    )


# Damage


def pack(path: Path, members: list[tuple[str, bytes]]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            about = tarfile.TarInfo(name)
            about.size = len(content)
            tar.addfile(about, io.BytesIO(content))
    return path


GOOD = [("good.jpg", jpeg(0)), ("good.txt", b"a dog")]


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([("bad.jpg", jpeg(1))], "it has no captions"),
        ([("bad.jpg", jpeg(1)), ("bad.txt", b" \n")], "it has no captions"),
        ([("bad.jpg", jpeg(1)), ("bad.json", b'{"captions": "a dog"}')], "it has no captions"),
        ([("bad.jpg", jpeg(1)), ("bad.json", b'{"captions": ["a dog", ')], r"its \.json is none"),
        ([("bad.jpg", jpeg(1)), ("bad.json", b"[" * 100_000)], r"its \.json is none"),
        ([("bad.jpg", jpeg(1)), ("bad.txt", b"caf\xe9")], "not UTF-8"),
        ([("bad.txt", b"a dog")], "no member is an image"),
        ([("bad.v2.jpg", jpeg(1)), ("bad.v2.txt", b"a dog")], r"the first dot of a name .*\.v2\.jpg is taken"),
        (
            [("bad.1.jpg", jpeg(1)), ("bad.1.txt", b"a dog"), ("bad.jpg", jpeg(1)), ("bad.txt", b"a cat")],
            r"another sample's members are among its own.*\.1\.jpg is taken",
        ),
        ([("bad.pyd", pickle.dumps("x")), ("bad.txt", b"a dog")], "no member is an image"),
        ([("bad.jpg", jpeg(1)), ("bad.png", jpeg(1)), ("bad.txt", b"a dog")], "more than one member is an image"),
        ([("../../bad.jpg", jpeg(1)), ("../../bad.txt", b"a dog")], r"without '\.\.'"),
        ([("bad.jpg", jpeg(1)), ("bad.json", b'{"image_id": "/etc/x", "captions": ["a"]}')], "the image name '/etc/x'"),
        ([("bad.jpg", jpeg(1)), ("bad.txt", b"a"), *GOOD, ("bad.jpg", jpeg(1)), ("bad.txt", b"b")], "the same name"),
    ],
)
def test_a_damaged_sample_is_named_or_left_out_and_counted(tmp_path, members, message):
    shard = pack(tmp_path / "train-0.tar", [*(() if GOOD[0] in members else GOOD), *members])
    with pytest.raises(
        UserError, match=rf"(?s)1 damaged sample: .*skip_unreadable=true.*{shard}, sample .*bad.*{message}"
    ):
        shards_in(tmp_path, tmp_path / "cache").split("train")
    split = shards_in(tmp_path, tmp_path / "cache", skip_unreadable=True).split("train")
    assert "train-0/good" in [item.image_id for item in split.items]
    assert len(split.notes) == 1
    assert "1 damaged sample left out" in split.notes[0]


def test_a_damaged_image_is_named_or_left_out_like_any_other(tmp_path):
    pack(tmp_path / "train-0.tar", [*GOOD, ("bad.jpg", jpeg(1)[:-90]), ("bad.txt", b"a cat")])
    split = shards_in(tmp_path, tmp_path / "cache").split("train")
    with pytest.raises(UserError, match=r"train-0\.tar, sample train-0/bad cannot be read as an image"):
        split.image(1)
    encoder = part("encoder/scene_cnn", width=4, finetune=False)

    def features(skip: bool):
        return encoder.source(
            split, cache=tmp_path / "cache", skip_unreadable=skip, device=CPU, progress=lambda done, total: None
        )

    with pytest.raises(UserError, match=r"(?s)1 of 2 train images cannot be read.*train-0/bad"):
        features(False)
    assert [item.image_id for item in features(True).split.items] == ["train-0/good"]


def test_a_shard_cut_or_damaged_anywhere_is_refused_and_loses_no_sample_in_silence(tmp_path):
    whole = pack(tmp_path / "train-0.tar", [*GOOD, ("next.jpg", jpeg(1)), ("next.txt", b"a cat")]).read_bytes()
    with tarfile.open(tmp_path / "train-0.tar") as tar:
        headers = [member.offset for member in tar]
        end = tar.offset - 512
    for size in [*headers, *(offset + 700 for offset in headers), 0, 100, end]:
        (tmp_path / "train-0.tar").write_bytes(whole[:size])
        with pytest.raises(UserError, match=r"train-0\.tar is"):
            shards_in(tmp_path, tmp_path / f"cache{size}").split("train")
    for offset in headers:
        (tmp_path / "train-0.tar").write_bytes(whole[:offset] + b"\xff" * 512 + whole[offset + 512 :])
        with pytest.raises(UserError, match=r"train-0\.tar is"):
            shards_in(tmp_path, tmp_path / f"bad{offset}").split("train")
    (tmp_path / "train-0.tar").write_bytes(gzip.compress(whole))
    with pytest.raises(UserError, match="unpack a compressed one"):
        shards_in(tmp_path, tmp_path / "zipped").split("train")


@pytest.mark.parametrize(
    ("name", "size"), [("README", -512), ("__x__/y", -512), ("0.txt", -512), (ABOUT, 2**40), ("0.txt", 2**40)]
)
def test_a_member_that_claims_what_no_shard_has_is_refused_and_is_not_read_for_ever(tmp_path, name, size):
    (tmp_path / "train-0.tar").write_bytes(sized(size, name))
    with pytest.raises(UserError, match=r"train-0\.tar is no plain tar, or cut short \(a member of -?\d+ bytes\)"):
        shards_in(tmp_path, tmp_path / "cache").split("train")


@pytest.mark.parametrize("name", ["/data/a.jpg", "a\\b.jpg", "a//b.jpg", "c:x.jpg"])
def test_a_name_that_would_come_back_as_another_is_not_written(tmp_path, name):
    photos = photographs(tmp_path / "photos", 1) / "photo.0.jpg"
    split = Split("train", [CaptionedImage(name, ("a dog",), photos)])
    writing = ShardFolder(tmp_path / "shards", samples=2)
    with pytest.raises(UserError, match=r"image name|would be another name"), writing as to:
        to.write(split, partial(photograph_in, split))


def test_what_a_server_does_not_give_is_no_unreadable_image(served, tmp_path):
    address, _ = served
    tiny(tmp_path / "shards", [3] * 2)
    split = shards_in(address, tmp_path / "cache", train="train-{000..001}.tar").split("train")
    for copy in (tmp_path / "cache" / "shards" / "fetched").glob("*.tar"):
        copy.unlink()
    (tmp_path / "shards" / "train-001.tar").unlink()
    with pytest.raises(Unreachable, match="HTTP Error 404"):
        list(load(split, range(len(split)), lambda image: image))


def test_long_names_without_end_are_no_shard(tmp_path):
    """A header may say that the next member's name follows, and the next member may say so again."""
    nested = tarfile.TarInfo("././@LongLink")
    nested.type, nested.size = tarfile.GNUTYPE_LONGNAME, 1
    (tmp_path / "train-0.tar").write_bytes((nested.tobuf(tarfile.GNU_FORMAT) + b"a" + bytes(511)) * 2000 + bytes(1024))
    with pytest.raises(UserError, match=r"train-0\.tar is no plain tar, or cut short \(maximum recursion"):
        shards_in(tmp_path, tmp_path / "cache").split("train")


def test_other_members_are_passed_over(tmp_path):
    with tarfile.open(tmp_path / "train-0.tar", "w") as tar:
        for kind, name in ((tarfile.SYMTYPE, "link.jpg"), (tarfile.DIRTYPE, "folder"), (tarfile.CHRTYPE, "device.jpg")):
            about = tarfile.TarInfo(name)
            about.type, about.linkname = kind, "/etc/passwd"
            tar.addfile(about)
        for name, content in (*GOOD, ("__meta__/x.json", b"{"), ("README", b"no ending")):
            about = tarfile.TarInfo(name)
            about.size = len(content)
            tar.addfile(about, io.BytesIO(content))
    (item,) = shards_in(tmp_path, tmp_path / "cache").split("train").items
    assert item == CaptionedImage("train-0/good", ("a dog",))


def test_a_shard_whose_name_is_no_utf_8_is_refused(tmp_path):
    """Its samples are named by it, and text files could not hold these names."""
    folder = tiny(tmp_path / "shards", [2])
    os.rename(folder / "train-000.tar", os.fsencode(folder / "train-") + b"\xff.tar")
    for _ in range(2):  # the second time by its index
        with pytest.raises(UserError, match="its name is not UTF-8"):
            shards_in(folder, tmp_path / "cache").split("train")


def test_a_changed_shard_is_read_again(tmp_path):
    shard = pack(tmp_path / "train-0.tar", GOOD)
    corpus = shards_in(tmp_path, tmp_path / "cache")
    before = corpus.split("train")
    pack(shard, [("good.jpg", jpeg(3)), ("good.txt", b"a cat")])
    os.utime(shard, ns=(1, 1))
    after = corpus.split("train")
    assert after.items[0].captions == ("a cat",)
    assert after.version(0) != before.version(0)
    with shard.open("ab") as file:
        file.write(bytes(10240))
    with pytest.raises(UserError, match=r"train-0\.tar has changed since it was indexed .* remove .*\.npz"):
        after.content(0)


def test_two_samples_of_one_name_in_different_shards_are_refused(tmp_path):
    for number in range(2):
        pack(
            tmp_path / f"train-{number}.tar", [("a.jpg", jpeg(0)), ("a.json", b'{"image_id": "a", "captions": ["x"]}')]
        )
    with pytest.raises(UserError, match="several samples are called a:"):
        shards_in(tmp_path, tmp_path / "cache").split("train")


# Nothing is executed


@pytest.mark.parametrize("root", ["pipe:touch {marker}; cat x", "PIPE:touch {marker}", "s3://a", "file:///a", "gs://a"])
def test_only_folders_and_http_are_opened(tmp_path, root):
    marker = tmp_path / "executed"
    with pytest.raises(UserError, match="allowed are a folder and http"):
        shards_in(root.format(marker=marker), tmp_path / "cache")
    for name in (f"pipe:touch {marker}", f"x::pipe:touch {marker}"):
        with pytest.raises(UserError, match="there is no"):
            shards_in(tmp_path, tmp_path / "cache", train=name).split("train")
    assert not marker.exists()


class Harmful:
    """Unpickling this makes a folder."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


def test_features_are_not_unpickled(tmp_path):
    marker, packed = tmp_path / "executed", io.BytesIO()
    np.savez(packed, grid=np.array([Harmful(marker)], dtype=object), pooled=np.zeros(2))
    about = json.dumps({"fingerprint": "x", "description": "y"}).encode()
    pack(
        tmp_path / "train-0.tar",
        [("__about__/features.json", about), ("a.npz", packed.getvalue()), ("a.txt", b"a dog")],
    )
    split = shards_in(tmp_path, tmp_path / "cache").split("train")
    with pytest.raises(UserError, match=r"train-0\.tar, sample train-0/a: no features"):
        split.features(0)
    assert not marker.exists()
    with np.load(io.BytesIO(packed.getvalue()), allow_pickle=True) as arrays:
        _ = arrays["grid"]
    assert marker.exists()  # so the test could have failed


# URLs


@pytest.fixture
def served(tmp_path):
    """Serve a folder; yields its address and the names that were asked for."""
    asked: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            super().do_GET()

        def log_message(self, *args: object) -> None:
            pass

    handler = functools.partial(Handler, directory=str(tmp_path / "shards"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


def test_shards_behind_a_url_are_those_of_the_folder(tmp_path, served):
    address, asked = served
    local = shards_in(tiny(tmp_path / "shards", [5, 4, 6]), tmp_path / "cache").split("train")
    there = shards_in(address, tmp_path / "remote", train="train-{000..002}.tar").split("train")
    assert there.items[:] == local.items[:]
    assert [there.content(row) for row in range(15)] == [local.content(row) for row in range(15)]
    assert asked == [f"/train-00{number}.tar" for number in range(3)]  # once each
    again = shards_in(address, tmp_path / "remote", train="train-{000..002}.tar").split("train")
    assert [sample.row for sample in ShardStream(again, seed=0)] == [
        sample.row for sample in ShardStream(local, seed=0)
    ]
    assert len(asked) == 3


def test_no_more_is_kept_than_there_is_room_for(tmp_path, served):
    address, asked = served
    shard = tiny(tmp_path / "shards", [3] * 6) / "train-000.tar"
    room = 2.5 * shard.stat().st_size / 1e9
    split = shards_in(address, tmp_path / "cache", train="train-{000..005}.tar", keep=room, window=2).split("train")
    asked.clear()
    for epoch in range(3):
        samples = list(ShardStream(split, seed=0, epoch=epoch))
        assert sorted(sample.content for sample in samples) == sorted(b"%d" % number for number in range(18))
        assert len(list((tmp_path / "cache").glob("shards/fetched/*.tar"))) == 2
    assert len(asked) <= 18  # each shard once an epoch, though only two are kept


def test_a_shard_that_changed_behind_its_url_is_not_mistaken_for_the_old_one(tmp_path, served):
    address, _ = served
    folder = tiny(tmp_path / "shards", [3, 3])
    split = shards_in(address, tmp_path / "cache", train="train-{000..001}.tar", keep=0.0).split("train")
    with (folder / "train-000.tar").open("ab") as file:
        file.write(bytes(10240))
    assert split.content(3) == b"3"
    with pytest.raises(UserError, match=r"train-000\.tar is another file than when it was fetched first: .* remove"):
        split.content(0)
    shutil.rmtree(tmp_path / "cache")
    again = shards_in(address, tmp_path / "cache", train="train-{000..001}.tar", keep=0.0).split("train")
    path = folder / "train-000.tar"
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"number 1", b"number 7"))
    assert path.stat().st_size == len(whole)
    again.content(3)
    with pytest.raises(UserError, match="is another file"):
        again.content(0)


def test_nobody_reads_a_fetched_shard_that_is_not_the_one_that_was_indexed(tmp_path, served):
    """It has no name until it was compared: another run would open it meanwhile."""
    address, _ = served
    folder, cache = tiny(tmp_path / "shards", [3]), tmp_path / "cache"
    split = shards_in(address, cache, train="train-000.tar").split("train")
    (copy,) = cache.glob("shards/fetched/*.tar")
    copy.unlink()
    path = folder / "train-000.tar"
    path.write_bytes(path.read_bytes().replace(b"number 1", b"number 7"))
    with pytest.raises(UserError, match="is another file"):
        split.content(0)
    assert not [*cache.glob("shards/fetched/*.tar")]


def test_a_damaged_shard_is_fetched_again_once_it_was_mended(tmp_path, served):
    address, _ = served
    path = tiny(tmp_path / "shards", [3]) / "train-000.tar"
    whole = path.read_bytes()
    path.write_bytes(whole[:2000])
    with pytest.raises(UserError, match="cut short"):
        shards_in(address, tmp_path / "cache", train="train-000.tar").split("train")
    path.write_bytes(whole)
    assert len(shards_in(address, tmp_path / "cache", train="train-000.tar").split("train")) == 3


def test_a_full_disk_is_no_fault_of_the_network(tmp_path, served):
    address, asked = served
    tiny(tmp_path / "shards", [3])
    full = pytest.raises(UserError, match=r"cannot save .*train-000\.tar: No space left on device")
    with small_disk(tmp_path / "disk", "8k") as disk, full:
        shards_in(address, disk, train="train-000.tar").split("train")
    assert len(asked) <= 1


def test_a_shard_is_of_one_split(tmp_path):
    folder = write(part("data/folder", root=str(photographs(tmp_path / "photos", 12))), tmp_path / "shards", samples=7)
    for name in ("train", "val"):
        with pytest.raises(UserError, match=r"both name .*val-000000\.tar: no shard may be in two splits"):
            shards_in(folder, tmp_path / "cache", train="*.tar", val="val-*.tar", test="test-*.tar").split(name)


def test_what_is_not_there_is_said(tmp_path, served):
    address, _ = served
    tiny(tmp_path / "shards", [3])
    with pytest.raises(UserError, match=r"train-001\.tar cannot be fetched \(HTTP Error 404"):
        shards_in(address, tmp_path / "cache", train="train-{000..001}.tar").split("train")
    with pytest.raises(UserError, match=r"a b/train-000\.tar cannot be fetched \(URL can't contain control characters"):
        shards_in(f"{address}/a b", tmp_path / "cache", train="train-000.tar").split("train")
    with pytest.raises(UserError, match=r"^http://\[::1 is no address: Invalid IPv6 URL"):
        shards_in("http://[::1", tmp_path / "cache", train="train-000.tar")
    with pytest.raises(UserError, match="a server does not list its files"):
        shards_in(address, tmp_path / "cache").split("train")
    with pytest.raises(UserError, match=r"there is no .*shards/val-\*\.tar"):
        shards_in(tmp_path / "shards", tmp_path / "cache").split("val")
    with pytest.raises(UserError, match="there is no such folder"):
        shards_in(tmp_path / "nowhere", tmp_path / "cache").split("train")
    for pattern in (
        "a" * 2000,
        "{0..999999999}",
        "{0..9999999999999999999}",
        "{a,b}" * 30,
        "{a..z}" * 9,
        "{{0..9999},{0..9999}}{0..9999}",
    ):
        with pytest.raises(UserError, match="means more than 1,000,000 shards"):
            shards_in(tmp_path / "shards", tmp_path / "cache", train=f"train-{pattern}.tar").split("train")
    with pytest.raises(UserError, match=r"names a shard twice: .*train-a0\.tar, .*train-a1\.tar \.\.\."):
        shards_in(address, tmp_path / "cache", train="train-{a,a}{0..99999}.tar").split("train")
    for pattern in ("train-{0..tar", r"{a,b,\{}" * 60):  # an escaped brace is one: it would be made 3^60 times
        with pytest.raises(UserError, match="braces do not match"):
            shards_in(tmp_path / "shards", tmp_path / "cache", train=pattern).split("train")


# Training

SMALL = [
    "tracker=local", "threads=1", "log_every=1", "max_length=10", "vocabulary.min_count=1",
    "encoder=scene_cnn", "encoder.width=4", "generator.hidden=8", "generator.embedding=8", "phases.mle.epochs=2",
    "phases.mle.images_per_batch=6", "phases.mle.learning_rate_schedule.warmup_steps=2", "phases.mle.selected_by=last",
]  # fmt: skip


def trained(configured, tmp_path: Path, *overrides: str) -> tuple[dict, list, dict]:
    """Train; return the baseline's weights, the losses and the test captions."""
    folder = run_experiment(configured(*overrides, base=SMALL), data="data").folder
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    losses = [record["mle/loss"] for record in records if "mle/loss" in record]
    captions = json.loads((folder / "captions_mle.json").read_text())
    return load_file(folder / "checkpoints" / "best_mle.safetensors"), losses, captions


@pytest.mark.parametrize("finetune", [True, False])
def test_training_from_shards_is_training_from_the_files(tmp_path, configured, finetune):
    photos = photographs(tmp_path / "photos", 40)
    write(part("data/folder", root=str(photos)), tmp_path / "shards", samples=6)
    learns = f"encoder.finetune={str(finetune).lower()}"
    weights, losses, captions = trained(configured, tmp_path, "data=folder", f"data.root={photos}", learns)
    others = trained(configured, tmp_path, "data=shards", f"data.root={tmp_path / 'shards'}", learns)
    assert len(losses) == 8
    assert (losses, captions) == others[1:]
    assert all(torch.equal(weights[name], others[0][name]) for name in weights)


@pytest.mark.slow
def test_prepare_writes_shards_of_photographs_and_of_features(tmp_path):
    scenes = ["data.train=7", "data.val=2", "data.test=2", "encoder.width=4", "encoder.finetune=false"]
    for content in ("photos", "features"):
        asked = (f"shards.folder={tmp_path / content}", f"shards.content={content}", "shards.samples=3")
        done = ended("gan_caption.prepare", *scenes, f"cache={tmp_path}/cache", *asked)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[0] == "train: 7 images, 35 captions"
        split = shards_in(tmp_path / content, tmp_path / "index").split("train")
        drawn = part("data/scenes", train=7).split("train")
        assert split.items[:] == list(drawn.items)
        assert len(split.indexed.shards) == 3
        pictures = [drawn.image(row) if content == "photos" else Image.new("RGB", (8, 8)) for row in range(7)]
        assert [split.image(row).tobytes() for row in range(7)] == [picture.tobytes() for picture in pictures]
        assert (split.indexed.features is not None) == (content == "features")
    again = ended("gan_caption.prepare", *scenes, f"cache={tmp_path}/cache", *asked)
    assert again.returncode == 2
    assert "something is there already" in again.stderr


def test_features_in_shards_are_those_of_the_cache(tmp_path):
    photos = part("data/folder", root=str(photographs(tmp_path / "photos", 24))).split("train")
    torch.manual_seed(0)
    encoder = part("encoder/scene_cnn", width=4, finetune=False)

    def source(network, split):
        return network.source(
            split, cache=tmp_path / "cache", skip_unreadable=False, device=CPU, progress=lambda done, total: None
        )

    cached = source(encoder, photos)
    about = {"fingerprint": encoder.fingerprint, "description": encoder.description}
    with ShardFolder(tmp_path / "shards", samples=5) as shards:
        shards.write(photos, functools.partial(features_in, cached), features_of=about)
    split = shards_in(tmp_path / "shards", tmp_path / "index").split("train")
    stored = source(encoder, split).features([7, 0, 11], grid=True, device=CPU)
    whole = cached.features([7, 0, 11], grid=True, device=CPU)
    assert torch.equal(stored.pooled, whole.pooled)
    assert torch.equal(stored.grid, whole.grid)
    assert [item.captions for item in split.items] == [item.captions for item in photos.items]
    for seen in (load(split, range(3), encoder.preprocess), map(functools.partial(photograph_in, split), range(3))):
        with pytest.raises(UserError, match=r"shards hold features and no pictures: give data=\.\.\. with photographs"):
            next(seen)
    torch.manual_seed(1)
    with pytest.raises(UserError, match="Choose the encoder that they were made with"):
        source(part("encoder/scene_cnn", width=4, finetune=False), split)
    with pytest.raises(UserError, match="cannot learn along"):
        source(part("encoder/scene_cnn", width=4, finetune=True), split)


def test_features_in_shards_keep_which_regions_are_real(tmp_path):
    split = part("data/folder", root=str(photographs(tmp_path / "photos", 8))).split("train")
    grids = torch.arange(4 * 5 * 3.0).view(4, 5, 3)

    class Uneven:
        """Images with 5, 2, 1 and 4 regions; what stands after them is rubbish."""

        def __init__(self) -> None:
            self.split = split

        def features(self, rows, *, grid, device):
            counts = torch.tensor([5, 2, 1, 4])[rows]
            return ImageFeatures(grids[rows].mean(1), grids[rows], counts, torch.tensor(rows))

    about = {"fingerprint": "its", "description": "uneven"}
    with ShardFolder(tmp_path / "shards", samples=3) as shards:
        shards.write(split, functools.partial(features_in, Uneven()), features_of=about)
    written = shards_in(tmp_path / "shards", tmp_path / "cache").split("train")
    source = ShardFeatures(written, **about, skip_unreadable=False)
    found = source.features([1, 3, 2], grid=True, device=CPU)
    assert found.regions.tolist() == [2, 4, 1]
    for row, (image, count) in enumerate([(1, 2), (3, 4), (2, 1)]):
        assert torch.equal(found.grid[row, :count], grids[image, :count])
    assert found.grid.shape == (3, 4, 3)
    assert (found.grid[0, 2:] == 0).all()
    none = source.features([], grid=True, device=CPU)  # a process's part of a short batch
    assert (none.pooled.shape, none.grid.shape, none.regions.shape) == ((0, 3), (0, 1, 3), (0,))


def test_damaged_features_of_images_to_be_measured_are_named_or_left_out(tmp_path):
    about = {"fingerprint": "its", "description": "uneven"}
    members = [("__about__/features.json", json.dumps(about).encode())]
    for name, value in (("a", 1.0), ("b", np.nan), ("c", 3.0)):
        packed = io.BytesIO()
        np.savez(packed, grid=np.full((2, 3), value), pooled=np.full(3, value))
        members += [(f"{name}.npz", packed.getvalue()), (f"{name}.txt", b"a dog")]
    pack(tmp_path / "val-0.tar", members)
    split = shards_in(tmp_path, tmp_path / "cache").split("val")
    with pytest.raises(UserError, match=r"1 of 3 val images cannot be read: .*skip_unreadable=true\n.*val-0/b"):
        ShardFeatures(split, **about, skip_unreadable=False)
    source = ShardFeatures(split, **about, skip_unreadable=True)
    assert [item.image_id for item in source.split.items] == ["val-0/a", "val-0/c"]
    assert source.features([1], grid=True, device=CPU).pooled.tolist() == [[3.0] * 3]


def test_names_that_are_no_pattern_are_told(tmp_path):
    with pytest.raises(NoSplit, match="no shards of this split are named"):
        expand(str(tmp_path), "")
    for pattern in (f"{tmp_path}/train-*.tar", "a/**b.tar"):
        with pytest.raises(UserError, match="wanted are names within"):
            expand(str(tmp_path), pattern)
