"""The words of commands: those that people type are brought to Hydra's grammar, and those that they shall type.

Hydra's grammar has no `~` and no letters beside the English ones, and reads brackets, commas and equals signs. A value
that it understands means what it means to Hydra; any other is text, as typed.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from gan_caption.errors import UserError
from gan_caption.untrusted.parsing import shown

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

_STRUCTURE = re.compile(
    r"""\\.|(?:(?<=[\[({,:=])|^)\s*(?:'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")|[\[\](){},]""", re.DOTALL
)
"""Characters after a backslash, values in quotes, brackets and commas."""
_ENCLOSED = re.compile(r"(\w+\(|\[|\{)(.*)([\])}])", re.DOTALL)
"""A call of one of Hydra's functions, a list, or a mapping."""
_ESCAPED = re.compile(r"\\([\\()\[\]{}:=, \t])")
"""What a backslash escapes outside of quotes."""
_UNDERSCORED = re.compile(r"(?<![^\[({,:=\s])\d+(?:_\d+)+(?![^\])},:\s])")
"""Digits with underscores between them, a value by themselves."""
_THOUSANDS = re.compile(r"\d{1,3}(?:_\d{3})+")
_QUOTE = re.compile(r"['\"]")


def understood(override: str) -> str:
    """Return an override that means to Hydra what was typed.

    Inside lists, sweeps (`a,b`), mappings and calls (`choice(a,b)`) each value is looked at by itself. A `~` that a
    value begins with is the user's home: bash leaves it alone behind `data.root=`.

    Args:
        override: `key=value`, `+key=value`, `~key` and the like, as the shell hands it over.

    Raises:
        UserError: it sets nothing, or its key is none.
    """
    key, equals, value = override.partition("=")
    if not _QUOTE.search(value):
        value = _UNDERSCORED.sub(_named, value)
    override = f"{key}{equals}{value}"
    if _parsed(override) is not None:
        return override
    if not equals or _parsed(f"{key}=0") is None:
        raise UserError(f"{shown(override)} is no setting: they are written key=value; --help lists them")
    return f"{key}={_understood(value)}"


def _named(found: re.Match[str]) -> str:
    """Quote what Hydra would take for a number, and nobody else would: 2024_01_15; 1_000_000 is one."""
    return found[0] if _THOUSANDS.fullmatch(found[0]) else f"'{found[0]}'"


def is_sweep(override: str) -> bool:
    """Tell whether Hydra reads several values in an override, a run each."""
    parsed = _parsed(override)
    return parsed is not None and parsed.is_sweep_override()


def values_of(override: str) -> list[Any]:
    """Return what an override sets, each value of a sweep by itself; nothing of a sweep that lists none."""
    from hydra.core.override_parser.types import ChoiceSweep, Sweep

    parsed = _parsed(override)
    value = None if parsed is None else parsed.value()
    return value.list if isinstance(value, ChoiceSweep) else [] if isinstance(value, Sweep) else [value]


def is_drawn(override: str) -> bool:
    """Tell whether an override names an interval, from which a search draws values."""
    from hydra.core.override_parser.types import IntervalSweep

    parsed = _parsed(override)
    return parsed is not None and isinstance(parsed.value(), IntervalSweep)


def setting(key: str, value: object) -> str:
    """Return the override by which Hydra gives a setting this value: a list of texts, or one."""
    if isinstance(value, list | tuple):
        return f"{key}=[{','.join(map(_written, value))}]"
    return f"{key}={_written(value)}"


def typed(key: str, value: object) -> str:
    """Return the same as a word for a shell."""
    return shlex.quote(setting(key, value))


def command(entry_point: str, words: Iterable[str]) -> str:
    """Return the command that starts an entry point, to be pasted into a shell.

    Args:
        entry_point: its module's name in this package.
        words: options, and overrides as Hydra reads them; see `setting`.
    """
    return shlex.join(["python", "-m", f"gan_caption.{entry_point}", *words])


def _understood(value: str) -> str:
    """Return a value as Hydra reads it."""
    if _parsed(f"x={value}") is not None:
        return value
    value = value.strip(" \t")
    made = _structured(value)
    if made is not None and _parsed(f"x={made}") is not None:
        return made
    text = os.path.expanduser(_ESCAPED.sub(r"\1", value))
    return text if _means_itself(text) else _quoted(text)


def _structured(value: str) -> str | None:
    """Return a list, a mapping, a call or a sweep, each value in it as Hydra reads it; None of anything else."""
    enclosed = _ENCLOSED.fullmatch(value)
    if enclosed and _is_structure(enclosed):
        opening, inside, closing = enclosed.groups()
        pieces = _pieces(inside)
        if opening == "{":
            pairs = [piece.partition(":") for piece in pieces]
            return "{" + ",".join(f"{key}:{_understood(one)}" for key, _, one in pairs) + "}"
        return opening + ",".join(map(_understood, pieces)) + closing
    pieces = _pieces(value)
    return ",".join(map(_understood, pieces)) if len(pieces) > 1 else None


def _is_structure(enclosed: re.Match[str]) -> bool:
    """Tell whether the first bracket and the last are a pair, and no part of a name such as `photo(1)`."""
    from hydra.core.override_parser.overrides_parser import create_functions

    opening, inside, closing = enclosed.groups()
    depths = [depth for depth, _ in _depths(inside)]
    functions = {f"{name}(" for name in create_functions().functions}
    return opening[-1] + closing in ("()", "[]", "{}") and (opening in "[{" or opening in functions) and not (
        depths and (min(depths) < 0 or depths[-1])
    )  # fmt: skip


def _pieces(text: str) -> list[str]:
    """Split a text at the commas that are in no bracket and no quotes."""
    cuts = [at for (depth, at) in _depths(text) if not depth and text[at] == ","]
    return [text[before + 1 : at] for before, at in pairwise([-1, *cuts, len(text)])]


def _depths(text: str) -> list[tuple[int, int]]:
    """Return how many brackets are open after each bracket and comma, and where that one is."""
    depth, found = 0, []
    for token in _STRUCTURE.finditer(text):
        if len(token[0]) == 1:
            depth += (token[0] in "([{") - (token[0] in ")]}")
            found.append((depth, token.start()))
    return found


def _written(value: object) -> str:
    """Return a value so that Hydra reads it as this text."""
    text = str(value)
    if "${" in text:  # OmegaConf's, and not Hydra's: quotes do not help
        return _quoted(re.sub(r"(\\*)\$\{", r"\1\1\\${", text))
    return text if _means_itself(text) else _quoted(text)


def _means_itself(text: str) -> bool:
    """Tell whether Hydra reads a text, without quotes, as the text that it is, by itself and in a list."""
    parsed: Any = _parsed(f"x=[{text},a]")
    return text != "" and parsed is not None and parsed.value() == [text, "a"]


def _quoted(text: str) -> str:
    from hydra.core.override_parser.types import Quote, QuotedString

    return QuotedString(text, Quote.double).with_quotes()


def _parsed(override: str) -> Override | None:
    """Return an override as Hydra's own parser reads it; None where it cannot."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        return OverridesParser.create().parse_override(override)
    except HydraException:
        return None
