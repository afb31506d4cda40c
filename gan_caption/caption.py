"""Caption photographs: `python -m gan_caption.caption run=outputs/... images=[photo.jpg,holiday/] out=all.jsonl`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gan_caption.configuration.launching import launch

if TYPE_CHECKING:
    from omegaconf import DictConfig


def main(config: DictConfig) -> None:
    """Caption photographs with what a run has learned."""
    from omegaconf import OmegaConf

    from gan_caption.inference.captioning import caption_photos

    plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    caption_photos(plain)  # type: ignore[arg-type]


if __name__ == "__main__":
    launch(main, config_name="caption", several=True)
