"""Configurations as the command line composes them."""

from __future__ import annotations

from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from gan_caption.configuration.launching import conf_dir


def composed(page: str, *overrides: str) -> dict[str, Any]:
    """Return a page of `conf/` with these overrides, resolved."""
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return OmegaConf.to_container(compose(page, list(overrides)), resolve=True)
