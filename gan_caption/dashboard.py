"""Make the Weights & Biases dashboard: `python -m gan_caption.dashboard project=gan_caption`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gan_caption.configuration.launching import launch

if TYPE_CHECKING:
    from omegaconf import DictConfig


def main(config: DictConfig) -> None:
    """Write the dashboard, and save it where somebody is logged in."""
    from omegaconf import OmegaConf

    from gan_caption.configuration.launching import conf_dir
    from gan_caption.reporting.dashboard import make_dashboard

    plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    methods = sorted(page.stem for page in (conf_dir() / "experiment").glob("*.yaml"))
    make_dashboard(**plain, methods=methods)  # type: ignore[arg-type]


if __name__ == "__main__":
    launch(main, config_name="dashboard")
