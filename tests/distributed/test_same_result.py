"""The number of processes changes nothing: losses, metrics, captions, features, resumed runs."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from PIL import Image

from gan_caption.configuration.building import read
from gan_caption.configuration.launching import conf_dir
from gan_caption.distributed import world
from gan_caption.errors import Told, UserError
from gan_caption.inference.captioning import caption_photos
from gan_caption.inference.settings import CaptionSettings
from tests.distributed.launching import TOLERANCE, in_processes, only_run, records, systems, together
from tests.distributed.several import train

METHODS = (
    "mle", "scst", "nsc", "seqgan", "leakgan", "shetty", "ddo", "distilled", "gold", "residual_ebm", "unlikelihood",
)  # fmt: skip
RANKS = 3
"""A batch of 7 images gives them 3, 2 and 2; the last one, of 2, leaves one without any."""
KILLED_AT = 12
"""Steps in all, of the 16 of seqgan: amid its adversarial phase, one after a checkpoint."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The runs by the number of processes: of all methods in one and in three, of seqgan in two."""
    made = {ranks: tmp_path_factory.mktemp(f"ranks{ranks}") for ranks in (1, 2, RANKS)}
    train(made[1], *METHODS)
    in_processes(train, made[RANKS], *METHODS, ranks=RANKS)
    in_processes(train, made[2], "seqgan", ranks=2)
    return made


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A run of two processes, one of which was killed."""
    folder = tmp_path_factory.mktemp("killed")
    return folder, together(2, str(folder), "seqgan", f"--die-at={KILLED_AT}")


@pytest.mark.slow
@pytest.mark.parametrize(("ranks", "method"), [(2, "seqgan"), *((RANKS, method) for method in METHODS)])
def test_every_step_has_the_losses_and_metrics_of_one_process(folders, ranks, method):
    assert_alike(only_run(folders[1], method), only_run(folders[ranks], method))


@pytest.mark.slow
def test_features_are_extracted_once_each_and_are_the_same(folders):
    for path in sorted((folders[1] / "cache").glob("*/*.npy")):
        other = folders[RANKS] / path.relative_to(folders[1])
        np.testing.assert_array_equal(np.load(path), np.load(other), err_msg=str(path))
    assert len(list((folders[1] / "cache").glob("*/*.npy"))) == 12  # of three splits


@pytest.mark.slow
def test_one_process_writes(folders):
    for method in METHODS:
        one, three = (sorted(path.name for path in only_run(folders[ranks], method).rglob("*")) for ranks in (1, RANKS))
        assert one == three


@pytest.mark.slow
def test_a_killed_process_ends_the_run(killed):
    folder, ended = killed
    assert ended.returncode != 0  # within the minutes that `together` allows: neither waits for ever
    assert "SIGKILL" in ended.stderr
    assert not (only_run(folder, "seqgan") / "results.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [1, 4])
def test_a_checkpoint_of_two_goes_on_in_one_and_in_four(folders, killed, tmp_path, ranks):
    shutil.copytree(killed[0] / "seqgan", tmp_path / "seqgan")
    resumed = partial(train, tmp_path, "seqgan", resume="auto")
    if ranks == 1:
        resumed()
    else:
        in_processes(resumed, ranks=ranks)
    assert_alike(only_run(folders[1], "seqgan"), only_run(tmp_path, "seqgan"))


@pytest.mark.slow
def test_torchrun_starts_again_and_the_run_goes_on_from_its_checkpoint(folders, tmp_path):
    ended = together(2, str(tmp_path), "seqgan", f"--die-at={KILLED_AT}", restarts=1)
    assert ended.returncode == 0, ended.stderr
    assert "taken up again" in ended.stderr
    run, whole = only_run(tmp_path, "seqgan"), only_run(folders[2], "seqgan")
    assert records(run) == records(whole)  # bitwise: as many processes as before
    assert systems(run) == systems(whole)


@pytest.mark.slow
def test_three_caption_a_folder_like_one(folders, tmp_path):
    for row in range(70):
        Image.new("RGB", (9, 9), (3 * row, 99, 0)).save(tmp_path / f"{row:02}.png")
    (tmp_path / "50.png").write_bytes(b"no image")
    run = only_run(folders[1], "mle")
    with pytest.raises(UserError, match=r"1 of 70 images cannot be read.*\n.*50\.png"):
        caption(run, tmp_path, "one.jsonl")
    in_processes(caption_together, run, tmp_path, ranks=3)
    in_processes(caption_in_vain, run, tmp_path, ranks=2)
    one, three = ((tmp_path / name).read_text().splitlines() for name in ("one.jsonl", "three.jsonl"))
    assert len(one) == 69
    for expected, found in zip(map(json.loads, one), map(json.loads, three), strict=True):
        assert found["image"] == expected["image"]
        assert found["captions"][0].pop("log_prob") == pytest.approx(expected["captions"][0].pop("log_prob"), abs=1e-5)
        assert found == expected


def caption(run: Path, photos: Path, name: str) -> None:
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        given = [f"run={run}", f"images=[{photos}]", f"out={photos / name}", "device=cpu"]
        settings = read(CaptionSettings, compose("caption", given))
    caption_photos(settings)


def caption_together(run: Path, photos: Path) -> None:
    with pytest.raises(UserError) as told:
        caption(run, photos, "three.jsonl")
    assert isinstance(told.value, Told) != world.is_main()  # which alone prints it


def caption_in_vain(run: Path, photos: Path) -> None:
    """To a file that cannot be written, for the one beside it would have too long a name: all processes hear of it."""
    with pytest.raises(UserError, match="cannot save"):
        caption(run, photos, f"{'a' * 249}.jsonl")


def assert_alike(one: Path, other: Path) -> None:
    assert len(records(one)) == len(records(other))
    for expected, found in zip(records(one), records(other), strict=True):
        assert numbers(found) == pytest.approx(numbers(expected), **TOLERANCE), (expected["phase"], expected["step"])
    assert systems(one).keys() == systems(other).keys()
    for name, expected in systems(one).items():
        assert systems(other)[name] == pytest.approx(expected, nan_ok=True, **TOLERANCE)
    told = list(one.glob("captions_*.json"))
    assert told
    for path in told:
        said, others = (json.loads((run / path.name).read_text()) for run in (one, other))
        for row, same in zip(said, others, strict=True):
            assert (row["image_id"], row["caption"], row["samples"]) == (
                same["image_id"], same["caption"], same["samples"],
            )  # fmt: skip


def numbers(record: dict) -> dict[str, float]:
    return {name: value for name, value in record.items() if isinstance(value, int | float)}
