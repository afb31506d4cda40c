"""JSON of unknown origin, and what is said of it: one kind of error, messages of bounded length."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Collection
from typing import Any

_DEEPEST = 100
_BRIEF = reprlib.Repr()
_BRIEF.maxlevel, _BRIEF.maxstring, _BRIEF.maxlong, _BRIEF.maxother = 3, 60, 40, 60


def parse_json(text: str | bytes) -> Any:
    """Parse JSON; of a key that comes twice, the last value counts. NaN and Infinity are numbers here.

    Args:
        text: bytes are UTF-8, with a byte order mark or without.

    Raises:
        json.JSONDecodeError: it is no JSON, is nested deeper than Python's stack, holds an integer of more digits than
            Python converts (4,300), or half of a surrogate pair, which no file can hold.
        UnicodeDecodeError: the bytes are not UTF-8; a ValueError, as the other is.
    """
    text = text if isinstance(text, str) else text.decode("utf-8-sig")
    try:
        value = json.loads(text)
        if "\\ud" in text or "\\uD" in text:  # in text that was decoded from UTF-8 halves come as escapes alone
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError:
        raise
    except RecursionError:
        raise json.JSONDecodeError("Nested too deeply", text, 0) from None
    except UnicodeEncodeError:
        raise json.JSONDecodeError("Half of a surrogate pair", text, 0) from None
    except ValueError as error:
        raise json.JSONDecodeError(f"Number too long: {error}", text, 0) from None
    return value


def parse_settings(text: str | bytes) -> Any:
    """Do the same with settings, which are nested a few levels deep: what goes through them may call itself.

    Raises:
        json.JSONDecodeError: as `parse_json`, or they are nested deeper than 100 levels.
        UnicodeDecodeError: the bytes are not UTF-8.
    """
    value = parse_json(text)
    level = [value]
    for _ in range(_DEEPEST):
        level = [child for node in level if isinstance(node, dict | list)
                 for child in (node.values() if isinstance(node, dict) else node)]  # fmt: skip
    if level:
        raise json.JSONDecodeError("Nested too deeply", str(text), 0)
    return value


def briefly(value: object) -> str:
    """Return a value's beginning as Python writes it, whatever its size and depth."""
    return _BRIEF.repr(value)


def shown(name: str) -> str:
    """Return a name for a message: cut where it is long, quoted where a terminal might obey it."""
    name = name if len(name) <= 300 else f"{name[:300]}..."
    return name if name.isprintable() else repr(name)


def some(names: Collection[str], limit: int = 5) -> str:
    """Return the first names, and a mark where there are more."""
    first = [shown(name) for _, name in zip(range(limit), names, strict=False)]
    return ", ".join(first) + (" ..." if len(names) > limit else "")
