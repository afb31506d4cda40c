"""Measure runs at home and away: `python -m gan_caption.transfer runs=[outputs/a,...] data=coco data.root=...`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gan_caption.configuration.launching import launch

if TYPE_CHECKING:
    from omegaconf import DictConfig


def main(config: DictConfig) -> None:
    """Evaluate runs on their own and on other data where that was not done before, and tell what each loses."""
    from gan_caption.evaluation.settings import transfer_from
    from gan_caption.reporting.transfer import measure_transfer

    measure_transfer(transfer_from(config))


if __name__ == "__main__":
    launch(main, config_name="transfer")
