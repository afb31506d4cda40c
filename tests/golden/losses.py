"""The losses of the first 20 steps of every page, as `losses.json` keeps them.

    python -m tests.golden.losses [page ...]

writes them anew, of these pages or of all: after a change that is meant to move them, and is told in CHANGELOG.md.
"""

from __future__ import annotations

import json
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from gan_caption.configuration.launching import conf_dir
from gan_caption.experiment import run_experiment
from gan_caption.training.records import METRICS, read_records

HERE = Path(__file__).parent
KEPT = HERE / "losses.json"
PAGES = sorted(path.stem for path in (conf_dir() / "experiment").glob("*.yaml"))
STEPS = 20
SMALL = [
    "tracker=local", "threads=1", "log_every=1", "save_every=100", "max_length=10",
    "data.train=40", "data.val=8", "data.test=8", "encoder.width=8", "generator.hidden=16", "generator.embedding=16",
    "discriminator_training.steps_per_update=1",
    "phases.words.steps=5", "phases.words.images_per_batch=8", "phases.mle.images_per_batch=8",
    "phases.mle.epochs=4", "phases.mle.validations_per_epoch=1", "phases.mle.learning_rate_schedule.warmup_steps=2",
]  # fmt: skip
"""Sizes that take a second; words are learned for 5 steps and captions for 4 epochs of 5."""


def trained(page: str, folder: Path) -> Path:
    """Train 20 steps of each phase of a page, and return the folder of the run."""
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        composed = compose("config", [*SMALL, f"+experiment={page}", f"outputs={folder}", f"cache={folder}/cache"])
    config = OmegaConf.to_container(composed, resolve=True)
    phases = config["phases"]
    for phase in filter(None, phases.values()):
        if phase.get("trainer"):
            phase["trainer"]["images_per_batch"] = 8
    if config["holdout"]["check"]:
        config["holdout"]["check"] = 0.25  # a few of the images: an epoch is a batch shorter
        phases["mle"]["epochs"] = 5
    for ratio in of_the_ratio(phases):
        ratio |= {"steps": STEPS, "check_every": 5, "patience": 0}
    if phases.get("discriminator"):
        phases["discriminator"] |= {"steps": STEPS, "target_accuracy": 1.0}
    for phase in of_the_policy(phases):
        phase |= {"steps": STEPS, "images_per_batch": 4, "validate_every": STEPS, "quality_floor": 0.0}
        if "most" in phase.get("gate", {}):  # steps of D an update, of which there may be 50
            phase["gate"] |= {"fewest": 1, "most": 2}
    return run_experiment(config, data="scenes").folder


def losses_of(run: Path) -> dict[str, list[float]]:
    """Return every loss and reward that a run logged, by phase and name."""
    found: dict[str, list[float]] = {}
    for record in read_records(run / METRICS):
        for name, value in record.items():
            if name.rsplit("/")[-1] in ("loss", "mle_loss") or name == "reward/mean":
                found.setdefault(f"{record['phase']}: {name}", []).append(value)
    return found


def of_the_policy(phases: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the phases after maximum likelihood that train the policy: they have floors."""
    return [phase for phase in phases.values() if phase and "quality_floor" in phase]


def of_the_ratio(phases: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the phases that teach D the density ratio."""
    return [phase for name, phase in phases.items() if phase and name.startswith("ratio")]


def machine() -> str:
    """Return what decides the last digits of a sum: the processor, the vector instructions, PyTorch."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    capability = torch.backends.cpu.get_cpu_capability()
    return f"{platform.machine()}, {model or platform.processor()}, {capability}, torch {torch.__version__}"


def main(pages: list[str]) -> None:
    """Write the losses of these pages."""
    torch.set_num_threads(1)
    told = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {"pages": {}}
    if told.get("machine") != machine():
        pages = PAGES  # two machines do not mix
    for page in pages:
        with tempfile.TemporaryDirectory() as folder:
            told["pages"][page] = losses_of(trained(page, Path(folder)))
    kept = {page: told["pages"][page] for page in PAGES if page in told["pages"]}
    told = {"machine": machine(), "pages": kept}
    KEPT.write_text(json.dumps(told, indent=0) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:] or PAGES)
