"""Every method's page, a few steps of each phase: whether it runs on a device, and takes up there where it stopped."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from experiments.composing import composed
from experiments.gpu.elsewhere import DEVICE
from experiments.soak.run import compare, records
from gan_caption.configuration.launching import conf_dir
from gan_caption.errors import Interrupted
from gan_caption.experiment import run_experiment
from gan_caption.training.tracking import Sample

PAGES = tuple(sorted(path.stem for path in (conf_dir() / "experiment").glob("*.yaml")))
STEPS = 2
TINY = (
    "tracker=local", "threads=1", "log_every=1", "save_every=1", "max_length=8", "data.train=16", "data.val=4",
    "data.test=4", "encoder.width=8", "size.hidden=16", "size.embedding=16", "phases.words.images_per_batch=8",
    "phases.mle.epochs=1", "phases.mle.images_per_batch=8", "phases.mle.learning_rate_schedule.warmup_steps=2",
    "discriminator_training.steps_per_update=1", "text_cnn.embedding=8", "text_cnn.filters=4",
)  # fmt: skip
EVERYWHERE = {
    "_target_": "gan_caption.training.optimizers.RMSprop", "alpha": 0.99, "eps": 1e-8, "momentum": 0.0,
    "weight_decay": 0.0,
}  # fmt: skip
"""An optimizer without kernels of its own for certain devices."""


def run_page(page: str, device: torch.device, folder: Path) -> None:
    """Train a page for two steps of each phase, and evaluate it."""
    config = tiny(page, device, folder, steps=STEPS)
    if device == DEVICE:
        replace_optimizers(config["phases"])
    run_experiment(config, data="scenes")


def check_resumed(page: str, device: torch.device, folder: Path) -> None:
    """Train a page for four steps of each phase, and once more, stopped before the last two and taken up again.

    Raises:
        AssertionError: a bit of what the two runs left is another.
    """
    before = torch.are_deterministic_algorithms_enabled()
    try:
        _check_resumed(page, device, folder / "alone", folder / "stopped")
    finally:
        torch.use_deterministic_algorithms(before)  # what is timed next may choose


def _check_resumed(page: str, device: torch.device, alone: Path, stopped: Path) -> None:
    same = "resume=auto", "deterministic=true", "allow=[experiments]"
    run_experiment(tiny(page, device, alone, *same, steps=2 * STEPS), data="scenes")
    (run,) = alone.glob("outputs/*")
    before = records(run)[-1]["step"] - STEPS
    stopping = tiny(page, device, stopped, *same, steps=2 * STEPS)
    stopping["tracker"] = {"_target_": f"{StopsAfter.__module__}.{StopsAfter.__name__}", "steps": before}
    try:
        run_experiment(stopping, data="scenes")
    except Interrupted:
        run_experiment(tiny(page, device, stopped, *same, steps=2 * STEPS), data="scenes")
        compare(alone, stopped)
    else:
        raise AssertionError("the run did not stop")


class StopsAfter:
    """A tracker that asks the run to stop, as a scheduler does, once so many steps are logged."""

    def __init__(self, *, steps: int) -> None:
        self.steps = steps

    def log(self, values: Mapping[str, float], *, step: int, phase: str | None = None) -> None:
        if step == self.steps and not any(name.startswith("val/") for name in values):
            signal.raise_signal(signal.SIGTERM)

    def samples(self, rows: Sequence[Sample], *, step: int, phase: str | None = None) -> None:
        pass

    def finish(self, status: str) -> None:
        pass


def tiny(page: str, device: torch.device, folder: Path, *more: str, steps: int) -> dict[str, Any]:
    """Compose a page with sizes and budgets that take seconds."""
    places = (f"outputs={folder}/outputs", f"cache={folder}/cache", f"device={device}")
    config = composed(f"+experiment={page}", *TINY, f"phases.words.steps={steps}", *places, *more)
    phases = config["phases"]
    for phase in filter(None, phases.values()):
        if "quality_floor" in phase:
            phase |= {"steps": steps, "images_per_batch": 4, "validate_every": steps, "quality_floor": 0.0}
            if "most" in phase.get("gate", {}):
                phase["gate"] |= {"fewest": 1, "most": 2}
        if phase.get("trainer"):
            phase["trainer"]["images_per_batch"] = 4
    if phases.get("discriminator"):
        phases["discriminator"]["steps"] = steps
    for ratio in (phase for name, phase in phases.items() if phase and name.startswith("ratio")):
        ratio |= {"steps": steps, "check_every": 1, "patience": 0}
        config["holdout"]["check"] = 0.25
    return config


def replace_optimizers(node: Any) -> None:
    """Let every part of a configuration that has an optimizer have the one that runs everywhere."""
    if isinstance(node, list):
        for item in node:
            replace_optimizers(item)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key == "optimizer" and value:
                node[key] = dict(EVERYWHERE)
            else:
                replace_optimizers(value)
