"""What stands behind a program's name: Hydra's options, and settings; what is neither is refused in one line."""

from __future__ import annotations

import argparse
import functools
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gan_caption.configuration.overrides import is_sweep, typed, understood
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
    found.overrides = [_left_out(understood(override), page) for override in found.overrides]
    _refuse_of_the_run(found.overrides, page, entry.stem)
    if not found.multirun and not any(one.lstrip("+").startswith(_SWEEPS) for one in found.overrides):
        _refuse_sweeps(found.overrides)
    return parser, found


def asks_for_a_search(found: argparse.Namespace) -> bool:
    """Tell whether what `read_command_line` found chooses a sweeper.

    Hydra's own composes each run before it hands it on; others leave that to the process that does the run.
    """
    return any(one.lstrip("+").startswith(("sweep=", "hydra/sweeper")) for one in found.overrides)


def places_of_pages(found: argparse.Namespace) -> list[Path]:
    """Return the folders of pages that a command line names, besides this package's own."""
    searched = [one.partition("=")[2].strip("[]") for one in found.overrides if "hydra.searchpath" in one]
    named = [one.strip("'\" ").removeprefix("file://") for several in searched for one in several.split(",")]
    return [Path(one) for one in (found.config_dir, *named) if one and not one.startswith("pkg://")]


def _left_out(override: str, page: Mapping[str, Any]) -> str:
    """Write `group=null`, of which Hydra makes a traceback, in its own way: ~group.

    Raises:
        UserError: null stands among the pages of a sweep, or for one of a group at a place.
    """
    key, _, value = override.partition("=")
    if value == "null" and key in _chosen(page):
        return f"~{key}"
    group = key.lstrip("+").partition("@")[0]
    if "null" in value.split(",") and (key in _chosen(page) or group != key.lstrip("+")):
        raise UserError(f"{shown(override)}: null is none of the pages of {group}, of which one is chosen here")
    return override


def _refuse_of_the_run(overrides: Sequence[str], page: Mapping[str, Any], entry_point: str) -> None:
    """Refuse what a run was trained with where runs are measured or used: they keep it, and it would do nothing."""
    if not page.keys() & {"run", "runs"}:
        return
    from gan_caption.configuration.settings import OF_A_RUN

    own = page.keys() | _chosen(page)
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
    if key in page.keys() - {"defaults"} or key in _chosen(page):
        return ""
    return "+" if key and (entry.parent / key).is_dir() else None


@functools.cache  # a command asks for its own more than once
def page_of(entry: Path) -> Mapping[str, Any]:
    """Return an entry point's page as it is written; not to be changed."""
    import yaml

    page: dict[str, Any] = yaml.safe_load(entry.read_text(encoding="utf-8"))
    return page


def _chosen(page: Mapping[str, Any]) -> set[str]:
    """Return the groups in its list of defaults."""
    return {name for one in page.get("defaults", []) if isinstance(one, dict) for name in one}
