"""Disks that fill up, cannot be written, or go away in the middle of a run: a sentence, and nothing is lost."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from gan_caption.errors import UserError
from gan_caption.training.folders import alone_in
from tests.small_disk import mount, small_disk
from tests.started import Started
from tests.tiny_runs import TINY_SEQGAN, part

LONGER = [*TINY_SEQGAN, "resume=auto", "phases.mle.epochs=8"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> dict[str, bytes]:
    """The results of the run that nothing happened to."""
    outputs = tmp_path_factory.mktemp("whole")
    assert ended(start(outputs)) == ""
    return results(outputs)


def start(outputs: Path, *overrides: str, base: Sequence[str] = LONGER) -> Started:
    return Started("gan_caption.train", *base, f"outputs={outputs}", f"cache={outputs}/cache", *overrides)


def ended(process: Started, status: int = 0) -> str:
    """Wait for a run; return its errors, each one line, without the lines of progress."""
    _, said = process.communicate()
    assert process.returncode == status, said
    assert "Traceback" not in said, said
    return "\n".join(line for line in said.splitlines() if line.startswith("error"))


def in_the_middle(outputs: Path, process: Started) -> None:
    """Wait until a run has saved something of its phase mle."""
    while process.poll() is None and not list(outputs.glob("*/checkpoints/best_mle.safetensors")):
        time.sleep(0.002)
    assert process.poll() is None, process.communicate()


def results(outputs: Path) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in outputs.glob("*/results.json")}


@pytest.mark.slow
def test_a_disk_that_fills_up_in_the_middle(whole, tmp_path):
    with small_disk(tmp_path / "disk", "30m") as disk:
        process = start(disk)
        in_the_middle(disk, process)
        filler = tmp_path / "disk" / "filler"
        with filler.open("wb", buffering=0) as file:
            while process.poll() is None:
                try:
                    file.write(bytes(4096))
                except OSError:
                    time.sleep(0.005)
        told = ended(process, 2)
        assert "No space left on device" in told
        assert "Free some space" in told
        filler.unlink()
        assert ended(start(disk)) == ""
        assert results(disk) == whole


@pytest.mark.slow
@pytest.mark.parametrize("which", ["outputs", "cache"])
def test_a_folder_that_cannot_be_written_is_said_before_training(tmp_path, which):
    frozen = ["encoder.finetune=false", "phases.words=null"]  # so that features are cached
    with small_disk(tmp_path / "disk", "1m") as disk:
        mount("-o", "remount,ro", str(disk))
        asked = [*frozen, f"{which}={disk}/there"]
        told = ended(start(tmp_path, *asked), 2)
        assert f"{disk}/there" in told
        assert "Read-only file system" in told
        assert not list(tmp_path.glob("*/metrics.jsonl")), "not a step was made"


@pytest.mark.slow
def test_photographs_that_go_away_in_the_middle(tmp_path):
    photos, outputs = tmp_path / "photos", tmp_path / "outputs"
    photos.mkdir()
    drawn = part("data/scenes", train=56, val=8, test=8).split("train")
    lines = ["image,caption,split"]
    for row, item in enumerate(drawn.items):
        drawn.image(row).save(photos / f"{row}.png")
        split = "train" if row < 40 else "val" if row < 48 else "test"
        lines += [f'{row}.png,"{text}",{split}' for text in item.captions]
    (photos / "captions.csv").write_text("\n".join(lines) + "\n")
    asked = ["data=folder", f"data.root={photos}", "encoder=scene_cnn", "encoder.width=8"]
    base = [one for one in LONGER if not one.startswith(("data.", "phases.words"))]
    whole = tmp_path / "whole"
    assert ended(start(whole, *asked, base=base)) == ""
    process = start(outputs, *asked, base=base)
    in_the_middle(outputs, process)
    photos.rename(tmp_path / "elsewhere")
    told = ended(process, 2)
    assert str(photos) in told
    told = ended(start(outputs, *asked, base=base), 2)
    assert f"data.root={photos}: there is no such folder" in told
    (tmp_path / "elsewhere").rename(photos)
    assert ended(start(outputs, *asked, base=base)) == ""
    assert results(outputs) == results(whole)


def test_a_run_folder_that_may_not_be_written_to_is_told_in_a_line(tmp_path):
    """As somebody else's, which `resume=` names."""
    with small_disk(tmp_path / "disk", "64k") as disk:
        assert mount("-o", "remount,ro", str(disk))
        refused = pytest.raises(UserError, match=r"^.*/disk cannot be written to: Read-only file system$")
        with refused, alone_in(disk, print):
            pass
