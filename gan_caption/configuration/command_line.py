"""What stands behind a program's name: Hydra's options, and settings; what is neither is refused in one line."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path

from gan_caption.configuration.overrides import is_sweep, typed, understood
from gan_caption.configuration.renamed import refuse_old_overrides
from gan_caption.configuration.wording import suggest
from gan_caption.errors import UserError
from gan_caption.untrusted.parsing import shown

_SWEEPS = ("sweep=", "hydra.mode=")
"""What makes a command a sweep beside `-m`."""


def read_command_line(arguments: Sequence[str], *, entry: Path) -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    """Return Hydra's parser of options, and what it finds, each override as Hydra understands it.

    Options are written in full: Hydra takes `--experiment` for short for one that reads a pickle. Overrides and options
    may stand in any order.

    Args:
        arguments: of the program.
        entry: the entry point's page.

    Raises:
        UserError: an option is unknown or would run code, a word is no setting, or a key has another name now.
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
    refuse_old_overrides(found.overrides)
    found.overrides = [understood(override) for override in found.overrides]
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
    after = [*arguments, ""][list(arguments).index(given) + 1]
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
    import yaml

    page = yaml.safe_load(entry.read_text(encoding="utf-8"))
    chosen = {name for one in page.get("defaults", []) if isinstance(one, dict) for name in one}
    if key in page.keys() - {"defaults"} or key in chosen:
        return ""
    return "+" if key and (entry.parent / key).is_dir() else None
