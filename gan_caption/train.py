"""Train: `python -m gan_caption.train +experiment=seqgan`; a sweep: +sweep=grid; several processes: `torchrun -m`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gan_caption.configuration.jobs import Job
from gan_caption.configuration.launching import launch
from gan_caption.configuration.running import command_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from omegaconf import DictConfig

    from gan_caption.reporting.sweep import Trial


def main(config: DictConfig) -> Trial:
    """Run one experiment as its configuration says, and return what a search wants to know of it."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode
    from omegaconf import OmegaConf

    from gan_caption.distributed import world
    from gan_caption.experiment import run_experiment
    from gan_caption.reporting.sweep import trial_of

    plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    asked = HydraConfig.get()
    alone = ["hydra.mode=RUN"] if asked.mode == RunMode.MULTIRUN else []  # the command of this run, not of its sweep
    command = command_of("train", asked, *alone)
    data = str(asked.runtime.choices.get("data")).rpartition("/")[2]  # a name, in the folder's
    folder = run_experiment(plain, data=data, command=command).folder  # type: ignore[arg-type]
    # One process writes the results, and the others come to this line before it has.
    sought = (config.search_metric, config.diversity_metric)
    floor, allow = config.diversity_floor, config.allow
    return world.from_main(lambda: trial_of(folder, floor=floor, sought=sought, allow=allow))


def after_sweep(folder: Path, jobs: Sequence[Job]) -> None:
    """Write the table of a sweep."""
    from gan_caption.reporting.sweep import write_summary

    write_summary(folder, jobs)


if __name__ == "__main__":
    launch(main, after_sweep=after_sweep, several=True)
