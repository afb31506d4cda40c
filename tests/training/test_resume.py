"""A real process is killed in every phase, and taken up again: the result is that of a run that was never stopped."""

from __future__ import annotations

import json
import random
import signal
import time
from pathlib import Path

import pytest
import torch

from tests.started import Started

SMALL = [
    "+experiment=seqgan", "tracker=local", "resume=auto", "threads=1", "log_every=1", "save_every=2",
    "data.train=40", "data.val=8", "data.test=8", "max_length=10", "encoder.width=8",
    "generator.hidden=16", "generator.embedding=16", "generator.noise_size=2",
    "discriminator.embedding=8", "discriminator.filters=4",
    "phases.words.steps=4", "phases.words.images_per_batch=8",
    "phases.mle.epochs=3", "phases.mle.images_per_batch=8", "phases.mle.learning_rate_schedule.warmup_steps=2",
    "phases.mle.objective.label_smoothing=0.1", "phases.mle.objective.scheduled_sampling=0.2",
    "phases.discriminator.steps=8", "phases.adversarial.steps=10", "phases.adversarial.validate_every=4",
    "phases.adversarial.quality_floor=0", "phases.adversarial.images_per_batch=8",
    "phases.adversarial.objective.credit.rollouts=2", "discriminator_trainer.images_per_batch=8",
    # A state of its own is a thing to forget in a checkpoint.
    "baseline@adversarial.baseline=moving_average",
]  # fmt: skip
KILLS = [("words", 2), ("mle", 9), ("mle", 17), ("discriminator", 22), ("adversarial", 29), ("adversarial", 32)]
"""The phase, and the step in all, after which the process is killed."""


def start(outputs: Path) -> Started:
    return Started("gan_caption.train", *SMALL, f"outputs={outputs}", f"cache={outputs / 'cache'}")


def records(outputs: Path) -> list[dict]:
    found = []
    for path in outputs.glob("*/metrics.jsonl"):
        for line in path.read_text().splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:  # the line is being written
                continue
    return found


def kill_at(
    outputs: Path,
    phase: str,
    step: int,
    delay: float,
    how: signal.Signals = signal.SIGKILL,
    status: int = -signal.SIGKILL,
) -> str:
    """Send a signal to a run, and return what it said."""
    process = start(outputs)
    while process.poll() is None:
        if any(record["phase"] == phase and record["step"] >= step for record in records(outputs)):
            time.sleep(delay)
            process.send_signal(how)
            break
        time.sleep(0.01)
    _, errors = process.communicate()
    assert process.returncode == status, f"ended before its kill, or otherwise: {errors}"
    return errors


def finish(outputs: Path) -> Path:
    process = start(outputs)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    (folder,) = [path for path in outputs.iterdir() if path.name != "cache"]
    return folder


def assert_equal(one, other, where: str) -> None:
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other), where
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            assert_equal(one[key], other[key], f"{where}.{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), where
        for index, pair in enumerate(zip(one, other, strict=True)):
            assert_equal(*pair, f"{where}[{index}]")
    else:
        assert repr(one) == repr(other), where  # NaN is not equal to itself


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """The folder of the run that was never stopped."""
    return finish(tmp_path_factory.mktemp("whole"))


@pytest.mark.slow
def test_a_run_that_is_told_to_stop_saves_its_step_and_says_so_to_schedulers(whole, tmp_path):
    for (phase, step), how, status in (
        (("mle", 7), signal.SIGTERM, 128 + signal.SIGTERM), (("adversarial", 28), signal.SIGINT, 128 + signal.SIGINT),
    ):  # fmt: skip
        errors = kill_at(tmp_path / "stopped", phase, step, 0.0, how, status)
        assert f"interrupted by {how.name}: phase {phase}, step " in errors
        (folder,) = [path for path in (tmp_path / "stopped").iterdir() if path.name != "cache"]
        saved = torch.load(folder / "checkpoints" / "last.pt", weights_only=True)["step"]
        assert saved == records(tmp_path / "stopped")[-1]["step"] >= step  # nothing that was done is lost
    stopped = finish(tmp_path / "stopped")
    last = [torch.load(folder / "checkpoints" / "last.pt", weights_only=True) for folder in (whole, stopped)]
    assert_equal(*last, "last.pt")


@pytest.mark.slow
def test_a_run_killed_six_times_ends_bitwise_like_one_that_was_not(whole, tmp_path):
    moments = random.Random(0)
    for phase, step in KILLS:
        kill_at(tmp_path / "killed", phase, step, delay=moments.uniform(0, 0.15))
    (folder,) = [path for path in (tmp_path / "killed").iterdir() if path.name != "cache"]
    saved = torch.load(folder / "checkpoints" / "last.pt", weights_only=True)["step"]
    before = [record for record in records(tmp_path / "killed") if record["step"] <= saved]
    killed = finish(tmp_path / "killed")
    assert records(tmp_path / "killed")[: len(before)] == before  # with their times: no saved step was made twice

    last = [torch.load(folder / "checkpoints" / "last.pt", weights_only=True) for folder in (whole, killed)]
    assert last[0]["finished"]
    assert_equal(*last, "last.pt")  # weights, optimizers, averages, random states
    for name in ("checkpoints/best_mle.safetensors", "checkpoints/best_adversarial.safetensors", "vocabulary.json",
                 "results.json", "captions_mle.json", "captions_adversarial.json"):  # fmt: skip
        assert (whole / name).read_bytes() == (killed / name).read_bytes(), name
    logs = [[{**record, "time": 0} for record in records(folder.parent)] for folder in (whole, killed)]
    assert logs[0] == logs[1]
    assert {record["phase"] for record in logs[0]} == {"words", "mle", "discriminator", "adversarial"}
