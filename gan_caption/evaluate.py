"""Evaluate a trained run: `python -m gan_caption.evaluate run=outputs/... split=val decoding=beam`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gan_caption.configuration.launching import launch

if TYPE_CHECKING:
    from omegaconf import DictConfig


def main(config: DictConfig) -> None:
    """Evaluate the weights that each phase of a run left, on any data, with any decoding."""
    from gan_caption.evaluation.settings import evaluation_from
    from gan_caption.reporting.results import evaluate_run

    evaluate_run(evaluation_from(config))


if __name__ == "__main__":
    launch(main, config_name="evaluate", several=True)
