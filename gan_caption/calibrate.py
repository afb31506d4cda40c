"""Fit how probably a run's captions are right: `python -m gan_caption.calibrate run=outputs/...`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gan_caption.configuration.launching import launch

if TYPE_CHECKING:
    from omegaconf import DictConfig


def main(config: DictConfig) -> None:
    """Caption validation images, fit the confidence by what is right, and leave it in the run's folder."""
    from gan_caption.inference.calibrating import calibrate_run
    from gan_caption.inference.settings import calibration_from

    calibrate_run(calibration_from(config))


if __name__ == "__main__":
    launch(main, config_name="calibrate")
