"""Compare runs: `python -m gan_caption.compare runs=[outputs/a,outputs/b] split=test out=comparison`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gan_caption.configuration.launching import launch
from gan_caption.configuration.running import command_of

if TYPE_CHECKING:
    from omegaconf import DictConfig


def main(config: DictConfig) -> None:
    """Evaluate runs alike where that was not done before, and write the report."""
    from hydra.core.hydra_config import HydraConfig

    from gan_caption.configuration.building import read
    from gan_caption.evaluation.settings import ComparisonSettings
    from gan_caption.reporting.report import compare_runs

    compare_runs(read(ComparisonSettings, config), command=command_of("compare", HydraConfig.get()))


if __name__ == "__main__":
    launch(main, config_name="compare")
