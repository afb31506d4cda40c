"""Compare runs: `python -m gan_caption.compare runs=[outputs/a,outputs/b] split=test out=comparison`."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from gan_caption.configuration.launching import given_overrides, launch

if TYPE_CHECKING:
    from omegaconf import DictConfig


def main(config: DictConfig) -> None:
    """Evaluate runs alike where that was not done before, and write the report."""
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    from gan_caption.reporting.report import compare_runs

    plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    command = shlex.join(["python", "-m", "gan_caption.compare", *given_overrides(HydraConfig.get())])
    compare_runs(plain, command=command)  # type: ignore[arg-type]


if __name__ == "__main__":
    launch(main, config_name="compare")
