"""What stands behind a program's name: Hydra's options, and settings; what is neither is refused in one line."""

from __future__ import annotations

import argparse
import functools
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gan_caption.configuration.overrides import is_drawn, is_sweep, typed, understood, values_of
from gan_caption.configuration.renamed import refuse_old_overrides
from gan_caption.configuration.wording import suggest
from gan_caption.errors import UserError
from gan_caption.untrusted.parsing import shown

_SWEEPS = ("sweep=", "cluster=", "hydra.mode=")
"""What makes a command a sweep beside `-m`."""


def read_command_line(arguments: Sequence[str], *, entry: Path) -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    """Return Hydra's parser of options, and what it finds, each override as Hydra understands it.

    Options are written in full: Hydra takes `--experiment` for short for one that reads a pickle. Overrides and options
    may stand in any order.

    Args:
        arguments: of the program.
        entry: the entry point's page.

    Raises:
        UserError: an option is unknown or would run code, a word is no setting, a key has another name now, or it is
            one that only training takes.
    """
    from hydra._internal.utils import get_args_parser

    parser = get_args_parser()
    parser.allow_abbrev = parser.exit_on_error = False
    try:
        found, unknown = parser.parse_known_intermixed_args(arguments)
    except argparse.ArgumentError as error:
        raise UserError(f"{error}; settings are written key=value, without dashes; --help lists both") from error
    if unknown:
        raise _no_option(unknown[0], arguments, list(parser._option_string_actions), entry)
    if found.experimental_rerun is not None:
        raise UserError("--experimental-rerun reads a pickle, which could run code: repeat the command instead")
    if found.config_path is not None or found.config_name is not None:
        raise UserError(
            "--config-path and --config-name would replace this program's own page; --config-dir adds pages"
        )
    refuse_old_overrides(found.overrides)
    page = page_of(entry)
    found.overrides = [_chosen_by(understood(override), page, entry.parent) for override in found.overrides]
    _refuse_of_the_run(found.overrides, page, entry.stem)
    sweeps = found.multirun or any(one.lstrip("+").startswith(_SWEEPS) for one in found.overrides)
    if not sweeps:
        _refuse_sweeps(found.overrides)
    elif not _draws(found, entry.parent):
        _refuse_intervals(found.overrides)
    if sweeps and "out" in page:
        _refuse_one_file(found.overrides)
    return parser, found


def asks_for_a_search(found: argparse.Namespace) -> bool:
    """Tell whether what `read_command_line` found chooses a sweeper.

    Hydra's own composes each run before it hands it on; others leave that to the process that does the run.
    """
    return any(one.lstrip("+").startswith(("sweep=", "hydra/sweeper")) for one in found.overrides)


def _draws(found: argparse.Namespace, pages: Path) -> bool:
    """Tell whether a command's sweeper draws values from intervals: not Hydra's own, nor this package's grid."""
    chosen = [one.lstrip("+").partition("=") for one in found.overrides]
    own = [pages / "sweep" / f"{name}.yaml" for key, _, name in chosen if key == "sweep"]
    return any(key.startswith("hydra/sweeper") for key, _, _ in chosen) or any(
        not page.is_file() or "hydra/sweeper" in page.read_text(encoding="utf-8") for page in own
    )


def places_of_pages(found: argparse.Namespace) -> list[Path]:
    """Return the folders of pages that a command line names, besides this package's own."""
    searched = [one.partition("=")[2].strip("[]") for one in found.overrides if "hydra.searchpath" in one]
    named = [one.strip("'\" ").removeprefix("file://") for several in searched for one in several.split(",")]
    return [Path(one) for one in (found.config_dir, *named) if one and not one.startswith("pkg://")]


def _chosen_by(override: str, page: Mapping[str, Any], pages: Path) -> str:
    """Write `group=null`, of which Hydra makes a traceback, in its own way: ~group.

    Raises:
        UserError: what stands for a page of a group is no name: null, a number.
    """
    from hydra.core.override_parser.types import QuotedString

    key, equals, value = override.partition("=")
    (group, at, _), own = key.lstrip("+").partition("@"), groups_of(page)
    at_the_top = not at and "/" not in group
    is_group = not at_the_top or group in own or (group and (pages / group).is_dir())
    if not equals or key.startswith("~") or not is_group:
        return override
    if value == "null" and key in own:
        return f"~{key}"
    for one in values_of(override):
        if not isinstance(one, str | list | QuotedString):
            wrong = "null" if one is None else str(one).lower()
            raise UserError(f"{shown(override)}: {wrong} is none of the pages of {group}, of which one is chosen here")
    return override


def _refuse_of_the_run(overrides: Sequence[str], page: Mapping[str, Any], entry_point: str) -> None:
    """Refuse what a run was trained with where runs are measured or used: they keep it, and it would do nothing."""
    if not page.keys() & {"run", "runs"}:
        return
    from gan_caption.configuration.settings import OF_A_RUN

    own = page.keys() | groups_of(page)
    for override in overrides:
        key = override.lstrip("+~").partition("=")[0].partition("@")[0].partition(".")[0]
        if key in OF_A_RUN and key not in own:
            raise UserError(
                f"{shown(override)}: {key} is a setting of training, and `{entry_point}` takes none: leave it out"
            )


def _refuse_sweeps(overrides: Sequence[str]) -> None:
    """Refuse commas where nothing is swept."""
    for override in filter(is_sweep, overrides):
        key, _, value = override.partition("=")
        raise UserError(
            f"{shown(override)}: commas divide the values of a sweep, which takes -m. A list is typed "
            f"{shlex.quote(f'{key}=[{value}]')}, a name with commas {typed(key, value)}"
        )


def _refuse_intervals(overrides: Sequence[str]) -> None:
    """Refuse what only a search can draw from."""
    for override in filter(is_drawn, overrides):
        raise UserError(
            f"{shown(override)}: a search draws values from an interval (+sweep=search); other sweeps go through a "
            "list, a,b,c"
        )


def _refuse_one_file(overrides: Sequence[str]) -> None:
    """Refuse a sweep whose runs would write one file, each over that of the one before."""
    for override in overrides:
        if override.startswith("out=") and not is_sweep(override) and "${" not in override:
            raise UserError(
                f"{shown(override)}: each run of a sweep would write it anew; sweep it as well, out=a,b, or give one "
                "command several, run=[a,b] say"
            )


def _no_option(given: str, arguments: Sequence[str], options: Sequence[str], entry: Path) -> UserError:
    """Say what to type instead of an option that does not exist."""
    name, equals, value = given.partition("=")
    place = list(arguments).index(given) if given in arguments else len(arguments)
    after = "".join(arguments[place + 1 : place + 2])
    if not equals and after and not after.startswith("-") and "=" not in after:
        given, value = f"{given} {after}", after
    key = name.lstrip("-").replace("-", "_")
    if (plus := _plus(key, entry)) is not None:
        meant = understood(f"{plus}{key}={value or '...'}")
        return UserError(f"{shown(given)}: settings are written without dashes: type {shlex.quote(meant)}")
    return UserError(
        f"{shown(given)} is no option.{suggest(name, options, '')} Settings are written key=value, without dashes; "
        "--help lists both"
    )


def _plus(key: str, entry: Path) -> str | None:
    """Return what stands before a key on the command line: + where its group is in no list; None where it is no key."""
    page = page_of(entry)
    if key in page.keys() - {"defaults"} or key in groups_of(page):
        return ""
    return "+" if key and (entry.parent / key).is_dir() else None


@functools.cache  # a command asks for its own more than once
def page_of(entry: Path) -> Mapping[str, Any]:
    """Return an entry point's page as it is written; not to be changed."""
    import yaml

    page: dict[str, Any] = yaml.safe_load(entry.read_text(encoding="utf-8"))
    return page


def groups_of(page: Mapping[str, Any]) -> set[str]:
    """Return the groups in its list of defaults."""
    return {name for one in page.get("defaults", []) if isinstance(one, dict) for name in one}
