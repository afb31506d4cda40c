"""Choices of pages that were made on the command line, and undone by a page that is composed after them.

Hydra merges a chosen page, then the pages that stand later in its list: one of these that names another class takes the
place of the chosen one, without a word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gan_caption.errors import UserError

if TYPE_CHECKING:
    from omegaconf import DictConfig

_CHOICE = re.compile(r"\+?(?P<group>[\w/]+)(@(?P<place>[\w.]+))?=(?P<page>[\w/]+)")
_TARGET = "_target_"


def check_choices(config: DictConfig, overrides: Sequence[str], folders: Sequence[Path]) -> None:
    """Refuse a choice of a page that has no effect.

    Args:
        config: composed.
        overrides: as they were given; where several choose a place's page, the last one holds, as in Hydra, and a class
            that is given by its name is what was asked for.
        folders: of pages, the first that has a page holds.

    Raises:
        UserError: another class stands where the chosen page's should, or `+study` before the `+experiment` whose page
            undoes it.
    """
    from omegaconf import DictConfig, OmegaConf

    _check_order(overrides)
    choices = {_place(choice): choice for choice in map(_CHOICE.fullmatch, overrides) if choice}
    named = {override.lstrip("+").partition("=")[0] for override in overrides}
    for place, choice in choices.items():
        if f"{place}.{_TARGET}" in named:
            continue
        wanted = _class_of(Path(choice["group"], f"{choice['page']}.yaml"), folders)
        node = OmegaConf.select(config, place)
        found = node.get(_TARGET) if isinstance(node, DictConfig) else None
        if wanted is None or found is None:
            continue
        if found != wanted:
            raise UserError(
                f"{choice[0]} has no effect: a page that is composed after it says {place}.{_TARGET}={found}; give "
                f"{place}.{_TARGET}={wanted} beside it, or leave the choice out"
            )
        if others := _instead_of_shared(config, place, wanted):
            raise UserError(
                f"{choice[0]} has no effect: the experiment's page has its own; give "
                f"{choice['group']}@{others[0]}={choice['page']}"
            )


def _check_order(overrides: Sequence[str]) -> None:
    """Refuse a study that stands before the experiment."""
    groups = [override.partition("=")[0] for override in overrides]
    if "+study" in groups and "+experiment" in groups[groups.index("+study") :]:
        study = overrides[groups.index("+study")]
        raise UserError(f"{study} stands before +experiment=..., whose page would undo a part of it: give it after")


def _instead_of_shared(config: DictConfig, place: str, wanted: str) -> list[str]:
    """Return where phases have the part that a shared key is for (`adversarial.baseline`), if none is as chosen."""
    shared, _, name = place.rpartition(".")
    if shared != "adversarial":
        return []
    found = dict(_parts(config.phases, "phases", name))
    return [] if wanted in found.values() else list(found)


def _parts(node: object, path: str, name: str) -> Iterator[tuple[str, str]]:
    """Yield the place and the class of each part of this name in a node of configuration."""
    from omegaconf import DictConfig

    if not isinstance(node, DictConfig):
        return
    for key, own in node.items():
        if key == name and isinstance(own, DictConfig) and _TARGET in own:
            yield f"{path}.{key!s}", own[_TARGET]
        yield from _parts(own, f"{path}.{key!s}", name)


def _place(choice: re.Match[str]) -> str:
    """Return where the chosen page stands in the configuration."""
    return choice["place"] or choice["group"].replace("/", ".")


def _class_of(page: Path, folders: Sequence[Path]) -> str | None:
    """Return what a page builds; None where it is no page of one part, or takes its class from another page."""
    from omegaconf import DictConfig, OmegaConf

    for path in (folder / page for folder in folders):
        if path.is_file():
            content = OmegaConf.load(path)
            return content.get(_TARGET) if isinstance(content, DictConfig) else None
    return None
