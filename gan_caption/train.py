"""Train: `python -m gan_caption.train +experiment=seqgan`; of several processes: `torchrun -m gan_caption.train`."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from gan_caption.configuration import launch

if TYPE_CHECKING:
    from omegaconf import DictConfig


def main(config: DictConfig) -> None:
    """Run one experiment as its configuration says."""
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    from gan_caption.training.experiment import run_experiment

    plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    asked = HydraConfig.get()
    command = shlex.join(["python", "-m", "gan_caption.train", *asked.overrides.task])
    run_experiment(plain, data=str(asked.runtime.choices["data"]), command=command)  # type: ignore[arg-type]


if __name__ == "__main__":
    launch(main, several=True)
