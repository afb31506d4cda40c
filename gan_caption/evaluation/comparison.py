"""Which runs are one system, and which systems can be compared."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gan_caption.distributed.world import say
from gan_caption.errors import UserError
from gan_caption.evaluation.trained import left_weights
from gan_caption.training.folders import BASELINE, WITHOUT_EFFECT, read_config

NOT_OF_THE_METHOD = (*WITHOUT_EFFECT, "seed", "pretrained", "name", "allow", "skip_unreadable", "metrics")
"""Settings in which runs of one system may differ."""


@dataclass(frozen=True)
class Chosen:
    """Weights that take part."""

    folder: Path
    config: Mapping[str, Any]
    phase: str
    """The phase that left the weights."""

    @property
    def seed(self) -> int:
        """Of the training."""
        return int(self.config["seed"])


def choose_systems(folders: Sequence[str], *, baseline: str) -> dict[str, list[Chosen]]:
    """Return the weights of each system, the baseline first, by seed; the seeds are those that all systems have.

    Runs with the same name that differ in more than their seed are systems of their own, named by what differs.

    Args:
        folders: run folders.
        baseline: the system that comes first. Where no run has this name, it is made of the weights that the runs'
            maximum-likelihood phase left.

    Raises:
        UserError: a folder holds no finished run, runs were trained on different data, a run is given twice, there is
            nothing to compare, the baseline is unknown, or no seed is common to all.
    """
    if not folders:
        raise UserError("runs=[]: no runs are given; runs=[outputs/a,outputs/b]")
    runs = [_finished(Path(folder)) for folder in folders]
    data = {json.dumps(run.config["data"], sort_keys=True): run.folder for run in runs}
    if len(data) > 1:
        one, other = list(data.values())[:2]
        raise UserError(f"runs={one} and {other} were trained on different data: compare runs of one data set")
    groups: dict[str, list[Chosen]] = defaultdict(list)
    for run in runs:
        kept = {key: value for key, value in run.config.items() if key not in NOT_OF_THE_METHOD}
        groups[json.dumps([run.config["name"], kept], sort_keys=True)].append(run)
    systems = dict(zip(_names(list(groups.values())), groups.values(), strict=True))
    if baseline not in systems:
        if baseline != BASELINE:
            raise UserError(f"baseline={baseline}: the runs are of {', '.join(systems)}")
        began = {run.seed: Chosen(run.folder, run.config, BASELINE) for run in runs}
        systems = {BASELINE: list(began.values()), **systems}
    systems = {baseline: systems[baseline], **systems}
    for name, own in systems.items():
        seeds = [run.seed for run in own]
        if len(set(seeds)) < len(seeds):
            raise UserError(f"runs: two runs of {name} have the same seed ({sorted(seeds)}): give one of them")
    common = set.intersection(*({run.seed for run in own} for own in systems.values()))
    if not common:
        told = "; ".join(f"{name}: {sorted(run.seed for run in own)}" for name, own in systems.items())
        raise UserError(f"runs: systems are compared seed by seed, and no seed is common to all ({told})")
    if len(systems) < 2:
        raise UserError(f"runs: all of them are {baseline}; give runs of another method as well")
    for name, own in systems.items():
        if left := sorted({run.seed for run in own} - common):
            say(f"{name}: seeds {left} are left out, the other systems do not have them")
    return {
        name: sorted((run for run in own if run.seed in common), key=lambda run: run.seed)
        for name, own in systems.items()
    }


def _finished(folder: Path) -> Chosen:
    config = read_config(folder)
    left = list(left_weights(folder, config))
    if not left or not (folder / "results.json").exists():
        raise UserError(f"runs={folder}: that run has not finished; `resume={folder}` with its command takes it up")
    return Chosen(folder, config, left[-1])


def _names(groups: Sequence[Sequence[Chosen]]) -> list[str]:
    """Name groups by their method, and where that is ambiguous by the settings in which they differ as well."""
    names = []
    for group in groups:
        name = str(group[0].config["name"])
        alike = [flattened(other[0].config) for other in groups if other[0].config["name"] == name]
        own = flattened(group[0].config)
        differing = [
            f"{key}={value}"
            for key, value in own.items()
            if key.split(".")[0] not in NOT_OF_THE_METHOD and any(other.get(key) != value for other in alike)
        ]
        names.append(" ".join([name, *differing]))
    return names


def flattened(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return settings by their dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            flat |= flattened(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat
