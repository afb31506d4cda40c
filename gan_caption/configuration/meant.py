"""What a key of the command line was probably meant for: Hydra says of a misspelt one how to add it."""

from __future__ import annotations

import re
from argparse import Namespace
from pathlib import Path
from typing import Any

from gan_caption.configuration.command_line import places_of_pages
from gan_caption.configuration.wording import key_of, suggest

_SETTING = re.compile(r"(?!hydra\.)([\w.]+)=")
"""Begins with the key of a setting, or the group of a page, that is there: no `+`, `~`, `@` or `/`."""
_SWEPT = re.compile(r"(.*=[\w/]+),[\w/,]+")
"""The choice of several pages, of which the first is enough here."""


def unknown_keys(asked: Namespace, entry: Path) -> list[str]:
    """Return a line for each key that the chosen pages do not have.

    Args:
        asked: the command line, as Hydra's parser has it.
        entry: the primary page.
    """
    more = places_of_pages(asked)
    keys, chosen = [], []
    for one in asked.overrides:
        found = _SETTING.match(one)
        if found and not any((folder / found[1]).is_dir() for folder in (entry.parent, *more)):
            keys.append(found[1])
        elif not one.startswith("hydra."):
            chosen.append(_SWEPT.sub(r"\1", one))
    config = _composed(chosen, entry, more)
    return [] if config is None else [line for key in dict.fromkeys(keys) if (line := _missed(key, config))]


def _composed(overrides: list[str], entry: Path, more: list[Path]) -> dict[str, Any] | None:
    """Return what pages say; None where they cannot be composed, of which Hydra has told."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    GlobalHydra.instance().clear()
    places = [f"hydra.searchpath=[{','.join(f'file://{folder.resolve()}' for folder in more)}]"] if more else []
    try:
        with initialize_config_dir(str(entry.parent.resolve()), version_base="1.3"):
            config = compose(entry.stem, overrides=[*overrides, *places])
            return OmegaConf.to_container(config, resolve=False)  # type: ignore[return-value]
    except (HydraException, OmegaConfBaseException):
        return None


def _missed(key: str, config: dict[str, Any]) -> str | None:
    """Say where a key leads nowhere, and what stands there; None of one that is there."""
    node: Any = config
    path = ""
    for name in key.split("."):
        if not isinstance(node, dict):
            return None  # within a list, or a value that refers to others: Hydra has said what is wrong
        if name not in node:
            near = suggest(name, [str(one) for one in node], key_of(path, ""))
            there = "" if near else f" {path or 'The configuration'} has {', '.join(map(str, node))}"
            return f"{key} is not known.{near}{there}"
        node, path = node[name], key_of(path, name)
    return None
