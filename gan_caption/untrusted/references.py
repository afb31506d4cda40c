"""What `${key}` stands for is counted before it is put in: a chain of twenty lines would else write gigabytes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from gan_caption.errors import UserError

LARGEST, LONGEST_CHAIN = 1_000_000, 50
"""Characters and values of a configuration when all that it refers to is in place, and references one after another;
this package's have ten thousand, and four."""

_REFERENCE = re.compile(r"\$\{\s*(\.*)([^${}:]*?)\s*\}")
Key = tuple[str, ...]


def check_references(config: Any) -> None:
    """Refuse a configuration that would unfold without end.

    Args:
        config: dicts, lists and values, with references as they are written.

    Raises:
        UserError: it would be larger than `LARGEST`, or a chain of references is longer than `LONGEST_CHAIN`.
    """
    counted: dict[Key, tuple[int, int]] = {}

    def count(key: Key) -> tuple[int, int]:
        """Return how large a value is with all in place, and how many references follow one after another."""
        if key in counted:
            return counted[key]
        counted[key] = 0, 0  # a circle ends here; OmegaConf refuses it
        node = _at(config, key)
        children = [count((*key, child)) for child in _children(node)]
        targets = [count(target) for target in _targets(node, key)]
        size = 1 + len(str(key[-1:])) + (len(node) if isinstance(node, str) else 0)
        size += sum(one for one, _ in children + targets)
        chain = max([one for _, one in children] + [1 + one for _, one in targets], default=0)
        if size > LARGEST or chain > LONGEST_CHAIN:
            raise _refused(key)
        counted[key] = size, chain
        return counted[key]

    try:
        count(())
    except RecursionError:
        raise _refused(()) from None


def plain(text: str) -> bool:
    """Tell whether a value refers to keys alone, by ${key}: to no key that another one names, and to no function."""
    return "${" not in _REFERENCE.sub("", text)


def _targets(node: Any, key: Key) -> Iterator[Key]:
    """Yield the keys that a value refers to; those that begin with points are counted from its own place."""
    for points, name in _REFERENCE.findall(node) if isinstance(node, str) else ():
        before = key[: max(0, len(key) - len(points))] if points else ()
        yield (*before, *(part for part in re.split(r"[.\[\]]+", name) if part))


def _children(node: Any) -> list[str]:
    if isinstance(node, dict):
        return [str(key) for key in node]
    return [str(place) for place in range(len(node))] if isinstance(node, list) else []


def _at(config: Any, key: Key) -> Any:
    """Return what lies there; None where nothing does, which OmegaConf will say."""
    node = config
    for part in key:
        if isinstance(node, list):
            node = node[int(part)] if part.isdigit() and int(part) < len(node) else None
        else:
            node = {str(own): value for own, value in node.items()}.get(part) if isinstance(node, dict) else None
    return node


def _refused(key: Key) -> UserError:
    return UserError(
        f"{'.'.join(key) or 'the configuration'}: with all that it refers to by ${{}} it is larger than {LARGEST} "
        f"characters, or has more than {LONGEST_CHAIN} references one after another; write the values themselves"
    )
