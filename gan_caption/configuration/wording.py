"""How the door's messages say keys, values, types and what was probably meant."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from gan_caption.untrusted.parsing import briefly


def listed(given: str | Path | Iterable[Any]) -> list[Any]:
    """Return what was given as a list: of one text or path, which is iterable by its letters, that one alone."""
    return [given] if isinstance(given, str | Path) else list(given)


def key_of(path: str, name: str) -> str:
    """Return the full key of `name` inside `path`, where "" is the whole configuration."""
    return f"{path}.{name}" if path else name


def short(value: object) -> str:
    """Return a value as Python writes it, cut where it is long; of an object that was built, its class's name."""
    if isinstance(value, str | int | float | None):
        text = repr(value)
    else:
        text = briefly(value) if isinstance(value, dict | list | tuple | set) else dotted(type(value))
    return text if len(text) <= 80 else f"{text[:77]}..."


def dotted(target: Any) -> str:
    """Return the dotted name of a class or function."""
    return f"{target.__module__}.{target.__qualname__}"


def in_words(hint: Any) -> str:
    """Return a type hint as one writes it, without modules and with its article: "an int", "a list[int] | None"."""
    name = re.sub(r"\b[a-z_]\w*\.", "", inspect.formatannotation(hint))
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def suggest(wrong: object, known: Sequence[str], prefix: str) -> str:
    """Return " Did you mean ...?" with the nearest of what is known, or nothing where none is near."""
    import difflib

    nearest = difflib.get_close_matches(str(wrong), known, n=1)
    return f" Did you mean {prefix}{nearest[0]}?" if nearest else ""
