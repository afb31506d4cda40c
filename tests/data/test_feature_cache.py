"""The cache of features: never stale, continued where it was interrupted, and honest about unreadable images."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gan_caption.data.corpus import CaptionedImage, Split
from gan_caption.data.feature_cache import half
from gan_caption.encoders.scene_cnn import SceneCNN
from gan_caption.errors import UserError
from tests.tiny_runs import part

CPU = torch.device("cpu")


def photographs(folder: Path, count: int = 70) -> Split:
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    items = []
    for index in range(count):
        path = folder / f"{index}.png"
        if not path.exists():
            Image.fromarray(rng.integers(0, 255, (20, 30, 3), dtype=np.uint8)).save(path)
        items.append(CaptionedImage(path.name, ("a photo",), path))
    return Split("train", tuple(items))


def encoder(seed: int = 0) -> SceneCNN:
    torch.manual_seed(seed)
    return part("encoder/scene_cnn", width=4, finetune=False)


def features(network: SceneCNN, split: Split, cache: Path, *, skip: bool = False, progress=None):
    told: list[int] = []
    source = network.source(
        split,
        cache=cache,
        skip_unreadable=skip,
        device=CPU,
        progress=progress or (lambda done, total: told.append(done)),
    )
    return source, told


def test_cached_features_are_those_of_the_network_in_half_precision(tmp_path):
    split, network = photographs(tmp_path / "photos"), encoder()
    source, told = features(network, split, tmp_path / "cache")
    assert told[-1] == 70
    rows = [3, 69, 0]
    cached = source.features(rows, grid=True, device=CPU)
    with torch.no_grad():
        direct = network(torch.stack([network.preprocess(split.image(row)) for row in rows]))
    assert cached.pooled.dtype == torch.float32
    torch.testing.assert_close(cached.pooled, direct.pooled, rtol=2e-3, atol=2e-3)
    torch.testing.assert_close(cached.grid, direct.grid, rtol=2e-3, atol=2e-3)
    assert source.features(rows, grid=False, device=CPU).grid is None


class Masked(SceneCNN):
    """Knows how many regions of an image are real: one more than its brightest pixel tells."""

    def forward(self, pixels):
        return replace(super().forward(pixels), regions=pixels.flatten(1).amax(1).long() // 32 + 1)


def test_the_cache_keeps_which_regions_are_real(tmp_path):
    split = photographs(tmp_path / "photos", count=6)
    for row, brightness in ((1, 40), (4, 100)):
        Image.new("RGB", (30, 20), (brightness, 0, 0)).save(split.items[row].path)
    network = Masked(width=4, finetune=False)
    source, _ = features(network, split, tmp_path / "cache")
    assert source.features([4, 0, 1], grid=True, device=CPU).regions.tolist() == [4, 8, 2]
    plain, _ = features(encoder(), split, tmp_path / "cache")
    assert plain.features([4, 0], grid=True, device=CPU).regions.tolist() == [36, 36]  # all of them


@pytest.mark.parametrize("value", [1e6, -1e6, 0.1])
def test_what_is_too_large_for_half_precision_becomes_its_largest(value):
    kept = half(torch.tensor([value]))
    assert kept.dtype == torch.float16
    assert kept.item() == pytest.approx(max(min(value, 65504), -65504), rel=1e-3)


def test_an_infinite_feature_is_named_though_half_precision_would_bound_it(tmp_path):
    split, network = photographs(tmp_path / "photos", 3), encoder()
    plain = network.forward

    def forward(pixels):
        found = plain(pixels)
        found.grid[1, 0, 0] = math.inf
        return found

    network.forward = forward
    with pytest.raises(UserError, match=r"1\.png: the encoder's features are NaN or infinite"):
        features(network, split, tmp_path / "cache")


def test_features_cut_short_while_in_use_are_an_error_and_are_made_again(tmp_path):
    split, network = photographs(tmp_path / "photos"), encoder()
    source, _ = features(network, split, tmp_path / "cache")
    whole = source.features([69], grid=True, device=CPU)
    (grid,) = (tmp_path / "cache").glob("*/grid.npy")
    with grid.open("r+b") as file:
        file.truncate(grid.stat().st_size - 1)
    source.features([0], grid=True, device=CPU)
    with pytest.raises(UserError, match=r"grid\.npy was cut short while it was in use: start again"):
        source.features([69], grid=True, device=CPU)
    again, _ = features(network, split, tmp_path / "cache")
    assert torch.equal(again.features([69], grid=True, device=CPU).grid, whole.grid)


def test_nothing_is_extracted_twice(tmp_path):
    split = photographs(tmp_path / "photos")
    features(encoder(), split, tmp_path / "cache")
    _, told = features(encoder(), split, tmp_path / "cache")
    assert told == []


def test_other_weights_never_meet_an_old_cache(tmp_path):
    split = photographs(tmp_path / "photos")
    first, _ = features(encoder(0), split, tmp_path / "cache")
    second, told = features(encoder(1), split, tmp_path / "cache")
    assert told[-1] == 70
    assert not torch.equal(*(one.features([0], grid=True, device=CPU).pooled for one in (first, second)))


def test_a_changed_photograph_is_read_again_and_the_others_are_not(tmp_path):
    split = photographs(tmp_path / "photos")
    before, _ = features(encoder(), split, tmp_path / "cache")
    old = before.features(range(70), grid=False, device=CPU).pooled.clone()
    path = split.items[5].path
    Image.new("RGB", (30, 20), "red").save(path)
    os.utime(path, ns=(1, 1))
    after, told = features(encoder(), split, tmp_path / "cache")
    assert told == [70]  # one batch of one image, counted from 69
    new = after.features(range(70), grid=False, device=CPU).pooled
    changed = (old != new).any(1).nonzero().flatten().tolist()
    assert changed == [5]
    read = before.features(range(70), grid=False, device=CPU).pooled
    assert torch.equal(read, old), "a run that has begun goes on with what it began with"


def test_a_photograph_that_became_unreadable_has_the_cache_copied_once(tmp_path):
    """And not at every start: of a large corpus that is gigabytes."""
    split = photographs(tmp_path / "photos", count=3)
    features(encoder(), split, tmp_path / "cache")
    Path(split.items[1].path).write_bytes(b"no picture")
    (grid,) = (tmp_path / "cache").glob("*/grid.npy")
    inodes = [grid.stat().st_ino]
    for _ in range(3):
        source, _ = features(encoder(), split, tmp_path / "cache", skip=True)
        assert len(source.split) == 2
        inodes.append(grid.stat().st_ino)
    assert inodes[0] != inodes[1] == inodes[2] == inodes[3]


def test_photographs_of_the_same_names_in_another_folder_do_not_disturb_a_run_that_reads_these(tmp_path):
    one, other = photographs(tmp_path / "photos"), photographs(tmp_path / "others")
    for item in other.items:
        Image.new("RGB", (30, 20), "red").save(item.path)
    mine, _ = features(encoder(), one, tmp_path / "cache")
    before = mine.features(range(70), grid=True, device=CPU)
    theirs, told = features(encoder(), other, tmp_path / "cache")
    assert told[-1] == 70
    assert torch.equal(mine.features(range(70), grid=True, device=CPU).grid, before.grid)
    assert theirs.features(range(70), grid=False, device=CPU).pooled.unique(dim=0).shape[0] == 1


def test_another_list_of_images_is_another_cache(tmp_path):
    split = photographs(tmp_path / "photos")
    features(encoder(), split, tmp_path / "cache")
    _, told = features(encoder(), split.select(range(1, 70)), tmp_path / "cache")
    assert told[-1] == 69


@pytest.mark.parametrize("name", ["grid.npy", "pooled.npy", "regions.npy", "signatures.npy"])
@pytest.mark.parametrize("cut", [False, True])
def test_a_lost_or_cut_file_is_extracted_again(tmp_path, name, cut):
    split = photographs(tmp_path / "photos")
    source, _ = features(encoder(), split, tmp_path / "cache")
    whole = source.features(range(70), grid=True, device=CPU)
    del source
    (path,) = (tmp_path / "cache").glob(f"*/{name}")
    if cut:
        os.truncate(path, path.stat().st_size // 2)
    else:
        path.unlink()
    again, told = features(encoder(), split, tmp_path / "cache")
    found = again.features(range(70), grid=True, device=CPU)
    assert told[-1] == 70
    assert torch.equal(found.grid, whole.grid)
    assert torch.equal(found.pooled, whole.pooled)


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="this system cannot reserve space for a file")
def test_a_full_disk_stops_the_extraction_with_a_message(tmp_path):
    split = photographs(tmp_path / "photos")
    script = f"""
import resource, signal, sys, torch
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from gan_caption.errors import UserError
from tests.data.test_feature_cache import encoder, features, photographs
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    features(encoder(), photographs(Path({str(tmp_path / "photos")!r})), Path({str(tmp_path / "cache")!r}))
except UserError as error:
    print(error)
"""
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "features cannot be kept in" in told.stdout, told.stderr
    assert "cache=..." in told.stdout
    _, again = features(encoder(), split, tmp_path / "cache")
    assert again[-1] == 70


class Stopped(Exception):
    pass


def test_an_interrupted_extraction_continues(tmp_path):
    split = photographs(tmp_path / "photos")

    def stop(done: int, total: int) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        features(encoder(), split, tmp_path / "cache", progress=stop)
    source, told = features(encoder(), split, tmp_path / "cache")
    assert told[0] == 64  # the first batch was kept
    whole, _ = features(encoder(), split, tmp_path / "other")
    every = [one.features(range(70), grid=True, device=CPU) for one in (source, whole)]
    assert torch.equal(every[0].grid, every[1].grid)


def test_a_killed_extraction_continues(tmp_path):
    split = photographs(tmp_path / "photos")
    script = f"""
import time, torch
from pathlib import Path
from tests.data.test_feature_cache import encoder, features, photographs
def slowly(done, total):
    Path({str(tmp_path / "begun")!r}).touch()
    time.sleep(60)
features(encoder(), photographs(Path({str(tmp_path / "photos")!r})), Path({str(tmp_path / "cache")!r}), progress=slowly)
"""
    process = subprocess.Popen([sys.executable, "-c", script])
    while not (tmp_path / "begun").exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    source, told = features(encoder(), split, tmp_path / "cache")
    assert told[0] == 64
    whole, _ = features(encoder(), split, tmp_path / "other")
    every = [one.features(range(70), grid=True, device=CPU) for one in (source, whole)]
    assert torch.equal(every[0].grid, every[1].grid)


@pytest.mark.parametrize("finetune", [False, True])
def test_unreadable_images_are_all_named_and_left_out_on_request(tmp_path, finetune):
    split = photographs(tmp_path / "photos", count=10)
    split.items[2].path.write_bytes(b"")
    whole = split.items[7].path.read_bytes()
    split.items[7].path.write_bytes(whole[: len(whole) // 2])
    network = encoder()
    network.finetune = finetune
    with pytest.raises(UserError) as error:
        features(network, split, tmp_path / "cache")
    assert "2 of 10 train images cannot be read" in str(error.value)
    assert "2.png" in str(error.value)
    assert "7.png" in str(error.value)
    assert "skip_unreadable=true" in str(error.value)
    source, _ = features(network, split, tmp_path / "cache", skip=True)
    assert [item.image_id for item in source.split.items] == [f"{n}.png" for n in (0, 1, 3, 4, 5, 6, 8, 9)]
    kept = source.features([2], grid=False, device=CPU).pooled
    with torch.no_grad():
        direct = network(network.preprocess(split.image(3))[None]).pooled
    torch.testing.assert_close(kept, direct, rtol=2e-3, atol=2e-3)


def test_an_image_that_cannot_be_read_any_longer_ends_it(tmp_path, monkeypatch):
    monkeypatch.setattr("gan_caption.encoders.base._IN_MEMORY", 0)
    split, network = photographs(tmp_path / "photos", count=3), encoder()
    network.finetune = True
    source, _ = features(network, split, tmp_path / "cache")
    assert len(source.features([0, 2], grid=False, device=CPU)) == 2
    split.items[2].path.unlink()
    with pytest.raises(UserError, match=r"2\.png cannot be read as an image: there is no such file"):
        source.features([0, 2], grid=False, device=CPU)


def test_a_file_where_the_cache_should_be(tmp_path):
    (tmp_path / "cache").write_text("not a folder")
    with pytest.raises(UserError, match="features cannot be kept in"):
        features(encoder(), photographs(tmp_path / "photos", count=2), tmp_path / "cache")


def test_images_whose_names_are_no_utf8_have_a_cache(tmp_path):
    Image.new("RGB", (64, 64)).save(path := Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xe9.png")), "PNG")
    split = Split("train", (CaptionedImage(path.name, ("x",), path),))
    source, _ = features(encoder(), split, tmp_path / "cache")
    assert len(source.split) == 1
