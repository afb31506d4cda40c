"""Pages of configuration, composed as the command line does."""

from __future__ import annotations

from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from gan_caption.configuration.launching import conf_dir


def composed(*overrides: str, config_name: str = "config") -> dict[str, Any]:
    """Compose a page, as the command line does."""
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return OmegaConf.to_container(compose(config_name, overrides=list(overrides)), resolve=True)
