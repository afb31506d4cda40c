"""TensorBoard's files, read back by TensorBoard: the records of `metrics.jsonl`, also after a kill and a resume."""

from __future__ import annotations

import io
import math
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from gan_caption.training.records import read_records
from tests.started import Started, ended
from tests.tiny_runs import TINY_SEQGAN

PHASES = ("words", "mle", "discriminator", "adversarial")
ALL = {"scalars": 0, "images": 0, "tensors": 0}
"""TensorBoard keeps everything, where it would else draw a few."""


def read(path: Path) -> EventAccumulator:
    events = EventAccumulator(str(path), size_guidance=ALL)
    events.Reload()
    return events


Curves = dict[str, list[tuple[int, float | None]]]


def scalars(path: Path) -> Curves:
    """By name, (step, value) of each record; None is what is not a number."""
    events = read(path)
    return {
        name: [(one.step, None if math.isnan(one.value) else one.value) for one in events.Scalars(name)]
        for name in events.Tags()["scalars"]
    }


def recorded(folder: Path, phase: str) -> Curves:
    """The same, of `metrics.jsonl`; TensorBoard keeps single precision."""
    values: Curves = {}
    for record in read_records(folder / "metrics.jsonl"):
        if record["phase"] == phase:
            for name in record.keys() - {"step", "phase", "time"}:
                value = record[name]
                values.setdefault(name, []).append((record["step"], value and float(np.float32(value))))
    return values


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tensorboard")
    result = ended("gan_caption.train", *TINY_SEQGAN, "tracker=tensorboard", folder=folder)
    assert result.returncode == 0, result.stderr
    (run,) = folder.glob("outputs/*")
    return run


@pytest.mark.slow
@pytest.mark.parametrize("phase", PHASES)
def test_every_metric_is_there_by_its_name(run, phase):
    assert scalars(run / "tensorboard" / phase) == recorded(run, phase)


@pytest.mark.parametrize("phase", ["mle", "adversarial"])
def test_samples_are_there_as_images_and_text(run, phase):
    samples = [record for record in read_records(run / "samples.jsonl") if record["phase"] == phase]
    assert samples
    events = read(run / "tensorboard" / phase)
    for record in samples:
        tag = f"samples/{record['image_id']}"
        (text,) = [one for one in events.Tensors(f"{tag}/text_summary") if one.step == record["step"]]
        said = text.tensor_proto.string_val[0].decode()
        for name, caption in record["captions"].items():
            assert f"| {name} | {caption} |" in said
        for reference in record["references"]:
            assert f"| reference | {reference} |" in said
        (image,) = [one for one in events.Images(tag) if one.step == record["step"]]
        shown = Image.open(io.BytesIO(image.encoded_image_string))
        assert shown.tobytes() == Image.open(run / record["image"]).tobytes()


@pytest.mark.slow
def test_a_resumed_run_has_no_step_twice(tmp_path):
    """Killed after steps that no checkpoint holds, and taken up: those steps are made, and noted, again."""
    overrides = [*TINY_SEQGAN, "tracker=tensorboard", "resume=auto", "save_every=1000"]
    overrides += ["phases.adversarial.steps=25", "phases.adversarial.validate_every=25"]
    process = Started("gan_caption.train", *overrides, folder=tmp_path)
    while process.poll() is None and rewarded(tmp_path) < 5:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    (run,) = tmp_path.glob("outputs/*")
    (first,) = (run / "tensorboard" / "adversarial").iterdir()
    before = scalars(first)["reward/mean"]
    assert before

    assert ended("gan_caption.train", *overrides, folder=tmp_path).returncode == 0
    (second,) = set((run / "tensorboard" / "adversarial").iterdir()) - {first}
    assert {step for step, _ in before} & {step for step, _ in scalars(second)["reward/mean"]}  # it did happen
    for phase in PHASES:
        assert scalars(run / "tensorboard" / phase) == recorded(run, phase)


def rewarded(folder: Path) -> int:
    """How many adversarial steps were recorded so far."""
    return sum(path.read_text().count('"reward/mean"') for path in folder.glob("outputs/*/metrics.jsonl"))


@pytest.mark.slow
def test_a_missing_tensorboard_is_said_before_anything_is_trained(tmp_path):
    """In an interpreter that finds no such package."""
    code = (
        "import sys; sys.modules['tensorboard'] = None\n"
        "from gan_caption.train import main\n"
        "from gan_caption.configuration.launching import launch\n"
        "launch(main)\n"
    )
    command = [sys.executable, "-c", code, *TINY_SEQGAN, "tracker=tensorboard"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 2
    assert "need tensorboard: pip install 'gan_caption[tensorboard]'" in result.stderr
    assert not list(tmp_path.iterdir())
