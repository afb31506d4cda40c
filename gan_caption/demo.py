"""A web page that captions photographs: `python -m gan_caption.demo run=outputs/a`, or `run=[outputs/a,outputs/b]`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gan_caption.configuration.launching import launch

if TYPE_CHECKING:
    from omegaconf import DictConfig


def main(config: DictConfig) -> None:
    """Serve the page until it is interrupted."""
    from gan_caption.configuration.building import read
    from gan_caption.inference.page import serve
    from gan_caption.inference.settings import DemoSettings

    serve(read(DemoSettings, config))


if __name__ == "__main__":
    launch(main, config_name="demo")
