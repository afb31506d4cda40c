"""Settings that nothing in a run reads: those that are shared exist for others to refer to (`${adversarial.steps}`)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from gan_caption.configuration.command_line import groups_of
from gan_caption.configuration.wording import suggest
from gan_caption.errors import UserError
from gan_caption.untrusted.references import Key, at, named, targets

_SET = re.compile(r"[+~]*(?:[\w/]+@)?(?P<key>[\w.]+)=")


def unread(config: Any, overrides: Sequence[str], shared: Sequence[str]) -> list[str]:
    """Return the overrides whose setting stands below a shared key, where no part refers to it.

    Args:
        config: dicts, lists and values, with references as they are written.
        overrides: as they were given.
        shared: the keys whose content has no effect by itself.
    """
    reached = _reached(config, shared)
    return [
        override
        for override in overrides
        if (found := _SET.match(override)) and (key := tuple(found["key"].split(".")))[0] in shared
        and not _is_read(key, reached)
    ]  # fmt: skip


def refuse_unknown(config: Any, page: Mapping[str, Any], shared: Sequence[str]) -> None:
    """Refuse a setting below a shared key that the entry point's page lacks and no part refers to: it is misspelt.

    Args:
        config: as in `unread`.
        page: the entry point's own, as it is written.
        shared: as in `unread`.

    Raises:
        UserError: there is one.
    """
    whole, chosen = named(config), groups_of(page)
    for name in shared:
        own = page.get(name)
        if not isinstance(own, dict) or not isinstance(whole.get(name), dict):
            continue
        known = {*own, *(place.partition(f"@{name}.")[2] for place in chosen)}
        for key in whole[name]:
            if key not in known and not _is_read((name, key), _reached(config, shared)):  # few are unknown
                raise UserError(
                    f"{name}.{key} is not known, and no part of this run refers to it."
                    f"{suggest(key, sorted(known), f'{name}.')}"
                )


def _reached(config: Any, shared: Sequence[str]) -> set[Key]:
    """Return the keys that something refers to which is not below a shared one alone."""
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
    return reached


def _is_read(key: Key, reached: set[Key]) -> bool:
    return any(key[: len(one)] == one[: len(key)] for one in reached)
