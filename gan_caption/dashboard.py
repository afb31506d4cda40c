"""Make the Weights & Biases dashboard: `python -m gan_caption.dashboard project=gan_caption`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gan_caption.configuration.launching import launch

if TYPE_CHECKING:
    from omegaconf import DictConfig


def main(config: DictConfig) -> None:
    """Write the dashboard, and save it where somebody is logged in."""
    from gan_caption.configuration.building import read
    from gan_caption.configuration.launching import conf_dir
    from gan_caption.reporting.dashboard import DashboardSettings, make_dashboard

    pages = sorted(page.stem for page in (conf_dir() / "experiment").glob("*.yaml"))
    studies = sorted(page.stem for page in (conf_dir() / "study").glob("*.yaml"))
    methods = [*pages, *(f"{page}_{study}" for study in studies for page in pages)]  # as folders and groups are named
    make_dashboard(read(DashboardSettings, config), methods=methods)


if __name__ == "__main__":
    launch(main, config_name="dashboard")
