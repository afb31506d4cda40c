"""Settings that nothing in a run reads: those that are shared exist for others to refer to (`${adversarial.steps}`)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from gan_caption.untrusted.references import Key, at, named, targets

_SET = re.compile(r"[+~]*(?:[\w/]+@)?(?P<key>[\w.]+)=")


def unread(config: Any, overrides: Sequence[str], shared: Sequence[str]) -> list[str]:
    """Return the overrides whose setting stands below a shared key, where no part refers to it.

    Args:
        config: dicts, lists and values, with references as they are written.
        overrides: as they were given.
        shared: the keys whose content has no effect by itself.
    """
    whole = named(config)
    reached: set[Key] = set()

    def follow(key: Key, node: Any) -> None:
        for name, child in node.items() if isinstance(node, dict) else ():
            follow((*key, name), child)
        for target in targets(node, key):
            if target not in reached:
                reached.add(target)
                follow(target, at(whole, target))

    for name, node in whole.items():
        if name not in shared:
            follow((name,), node)
    return [
        override
        for override in overrides
        if (found := _SET.match(override)) and (key := tuple(found["key"].split(".")))[0] in shared
        and not any(key[: len(one)] == one[: len(key)] for one in reached)
    ]  # fmt: skip
