"""Choices of pages that were made on the command line, and the pages that are composed after them.

Hydra merges a chosen page, then the pages that stand later in its list: one of these that names another class takes the
place of the chosen one, without a word. What such a page says of the part that it chose itself stays as well, where
another one was chosen that has no such settings.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gan_caption.configuration.planning import known_to
from gan_caption.errors import UserError

if TYPE_CHECKING:
    from omegaconf import DictConfig

_CHOICE = re.compile(r"\+?(?P<group>[\w/]+)(@(?P<place>[\w.]+))?=(?P<page>[\w/]+)")
_TARGET = "_target_"
_WHOLE = "@package _global_"
"""What the page of a whole configuration says."""


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
    for place, choice in _choices(overrides).items():
        wanted = _page_of(choice, folders).get(_TARGET)
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


def check_places(
    overrides: Sequence[str], folders: Sequence[Path], *, chosen: Collection[str], known: Collection[str]
) -> None:
    """Refuse the page of a part that was chosen for no place: `+reward=bleu`.

    Args:
        overrides: as they were given.
        folders: as in `check_choices`.
        chosen: groups of which a page is chosen, with their places, as Hydra has them: `group@place`.
        known: what may stand at the top of this configuration.

    Raises:
        UserError: there is one; the message names the places of such parts.
    """
    for choice in filter(None, map(_CHOICE.fullmatch, overrides)):
        group = choice["group"]
        if choice["place"] or "/" in group or group in known or _is_whole(choice, folders):
            continue
        told = " or ".join(f"{one}={choice['page']}" for one in chosen if one.startswith(f"{group}@"))
        if _has_whole(group, folders):
            advice = f"its page must begin with `# {_WHOLE}`, as others of {group} do"
        else:
            advice = f"give {told}" if told else f"nothing in this configuration has a page of {group}"
        raise UserError(f"{choice[0].lstrip('+')} has no place: {advice}")


def leave_out(
    config: DictConfig, overrides: Sequence[str], folders: Sequence[Path], allowed: tuple[str, ...]
) -> list[str]:
    """Take out of a configuration what pages say of a part of theirs, where another part was chosen in its place.

    These are settings of the chosen part that it does not know, that its own page does not have, and nobody has given.

    Args:
        config: composed; it is changed.
        overrides: as they were given.
        folders: as in `check_choices`.
        allowed: prefixes of the modules whose classes may be named; see `building.build`.

    Returns:
        the keys of what was taken out.
    """
    from omegaconf import DictConfig, OmegaConf, open_dict

    given = _keys(overrides)
    left_out = []
    for place, choice in _choices(overrides).items():
        page, node = _page_of(choice, folders), OmegaConf.select(config, place)
        if _TARGET not in page or not isinstance(node, DictConfig):
            continue
        known = {*page, *known_to(node[_TARGET], f"{place}.{_TARGET}", allowed)}
        for key in [key for key in node if key not in known]:
            full = f"{place}.{key!s}"
            if not any(one == full or one.startswith(f"{full}.") for one in given):
                with open_dict(node):
                    del node[key]
                left_out.append(full)
    return left_out


def _choices(overrides: Sequence[str]) -> dict[str, re.Match[str]]:
    """Return the choices of pages, by place, of those places whose class is not given by its name."""
    named = _keys(overrides)
    choices = {_place(choice): choice for choice in map(_CHOICE.fullmatch, overrides) if choice}
    return {place: choice for place, choice in choices.items() if f"{place}.{_TARGET}" not in named}


def _keys(overrides: Sequence[str]) -> set[str]:
    """Return what is given, choices of pages among it."""
    return {override.lstrip("+").partition("=")[0] for override in overrides}


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


def _page_of(choice: re.Match[str], folders: Sequence[Path]) -> DictConfig:
    """Return the chosen page as it is written; it names a class where it is one of one part, and takes none over."""
    from omegaconf import DictConfig, OmegaConf

    path = _file_of(choice, folders)
    content = None if path is None else OmegaConf.load(path)
    return content if isinstance(content, DictConfig) else OmegaConf.create()


def _file_of(choice: re.Match[str], folders: Sequence[Path]) -> Path | None:
    page = Path(choice["group"], f"{choice['page']}.yaml")
    return next((path for path in (folder / page for folder in folders) if path.is_file()), None)


def _is_whole(choice: re.Match[str], folders: Sequence[Path]) -> bool:
    """Tell whether the chosen page is of a whole configuration, as an experiment is, or no page that is known here."""
    path = _file_of(choice, folders)
    return path is None or _WHOLE in path.read_text(encoding="utf-8")


def _has_whole(group: str, folders: Sequence[Path]) -> bool:
    """Tell whether pages of a group are of whole configurations."""
    pages = (page for folder in folders for page in (folder / group).glob("*.yaml"))
    return any(_WHOLE in page.read_text(encoding="utf-8") for page in pages)
