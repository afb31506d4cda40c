"""What `${key}` stands for is counted before it is put in: a chain of twenty lines would else write gigabytes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from gan_caption.errors import UserError

LARGEST, LONGEST_CHAIN = 1_000_000, 50
"""Characters and values of a configuration when all that it refers to is in place, and references one after another;
this package's have ten thousand, and four."""

_REFERENCE = re.compile(r"\$\{([^${}:]*)\}")  # one way to match, so that no text takes long
Key = tuple[str, ...]
"""The names from the top of a configuration to a value."""


def check_references(config: Any) -> None:
    """Refuse a configuration that would unfold without end.

    Args:
        config: dicts, lists and values, with references as they are written.

    Raises:
        UserError: it would be larger than `LARGEST`, or a chain of references is longer than `LONGEST_CHAIN`.
    """
    whole = named(config)
    counted: dict[Key, tuple[int, int]] = {}

    def count(key: Key, node: Any) -> tuple[int, int]:
        """Return how large a value is with all in place, and how many references follow one after another."""
        if key in counted:
            return counted[key]
        counted[key] = 0, 0  # a circle ends here; OmegaConf refuses it
        children = [count((*key, name), child) for name, child in node.items()] if isinstance(node, dict) else []
        referred = [count(target, at(whole, target)) for target in targets(node, key)]
        size = 1 + len(str(key[-1:])) + (len(node) if isinstance(node, str) else 0)
        size += sum(one for one, _ in children + referred)
        chain = max([one for _, one in children] + [1 + one for _, one in referred], default=0)
        if size > LARGEST or chain > LONGEST_CHAIN:
            raise _refused(key)
        counted[key] = size, chain
        return counted[key]

    try:
        count((), whole)
    except RecursionError:
        raise _refused(()) from None


def plain(text: str) -> bool:
    """Tell whether a value refers to keys alone, by ${key}: to no key that another one names, and to no function."""
    return "${" not in _REFERENCE.sub("", text)


def named(node: Any) -> Any:
    """Return mappings and lists as mappings whose keys are text, as references write them."""
    if isinstance(node, dict):
        return {str(key): named(value) for key, value in node.items()}
    return {str(place): named(value) for place, value in enumerate(node)} if isinstance(node, list) else node


def targets(node: Any, key: Key) -> Iterator[Key]:
    """Yield the keys that a value refers to; those that begin with points are counted from its own place."""
    for written in _REFERENCE.findall(node) if isinstance(node, str) else ():
        name = written.strip()
        points = len(name) - len(name.lstrip("."))
        before = key[: max(0, len(key) - points)] if points else ()
        yield (*before, *(part for part in re.split(r"[.\[\]]+", name) if part))


def at(node: Any, key: Key) -> Any:
    """Return what lies there; None where nothing does, which OmegaConf will say."""
    for part in key:
        node = node.get(part) if isinstance(node, dict) else None
    return node


def _refused(key: Key) -> UserError:
    return UserError(
        f"{'.'.join(key) or 'the configuration'}: with all that it refers to by ${{}} it is larger than {LARGEST} "
        f"characters, or has more than {LONGEST_CHAIN} references one after another; write the values themselves"
    )
