"""Pages of configuration, composed as the command line does, and the parts that they name."""

from __future__ import annotations

import threading
from typing import Any, cast

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from gan_caption.configuration.building import allowed_by, build
from gan_caption.configuration.choices import leave_out
from gan_caption.configuration.launching import conf_dir

_ONE_AT_A_TIME = threading.Lock()
"""Hydra has one state for all threads."""


def composed(*overrides: str, config_name: str = "config") -> dict[str, Any]:
    """Compose a page, as the command line does."""
    with _ONE_AT_A_TIME, initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config = compose(config_name, overrides=list(overrides))
        leave_out(config, overrides, [conf_dir()], allowed_by(config.get("allow")))
        return cast("dict[str, Any]", OmegaConf.to_container(config, resolve=True))


def part(page: str, *, skip_missing: bool = False, **given: Any) -> Any:
    """Build the part that a page names: what is not given is as the page has it.

    Args:
        page: its group and its name: "data/scenes".
        skip_missing: what a corpus is told by the program.
        given: other values, and all that the page takes from elsewhere.
    """
    group = page.partition("/")[0]
    loaded = OmegaConf.to_container(OmegaConf.load(conf_dir() / f"{page}.yaml"), resolve=False)
    content = cast("dict[str, Any]", loaded)
    return build({**content.get(group, content), **given}, object, path=group, skip_missing=skip_missing)
