"""Caption photographs: `python -m gan_caption.caption run=outputs/... images=[photo.jpg,holiday/] out=all.jsonl`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gan_caption.configuration.launching import launch

if TYPE_CHECKING:
    from omegaconf import DictConfig


def main(config: DictConfig) -> None:
    """Caption photographs with what a run has learned."""
    from gan_caption.configuration.building import read
    from gan_caption.inference.captioning import caption_photos
    from gan_caption.inference.settings import CaptionSettings

    caption_photos(read(CaptionSettings, config))


if __name__ == "__main__":
    launch(main, config_name="caption", several=True)
