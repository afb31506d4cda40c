"""Evaluate a trained run: `python -m gan_caption.evaluate run=outputs/... split=val decoding=beam`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gan_caption.configuration.launching import launch

if TYPE_CHECKING:
    from omegaconf import DictConfig


def main(config: DictConfig) -> None:
    """Evaluate the weights that each phase of a run left, on any data, with any decoding."""
    from omegaconf import OmegaConf

    from gan_caption.reporting.results import evaluate_run

    plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    evaluate_run(plain)  # type: ignore[arg-type]


if __name__ == "__main__":
    launch(main, config_name="evaluate", several=True)
