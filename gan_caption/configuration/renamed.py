"""Keys that once had another name: who gives an old one is told the new one, and old runs are read by the new ones."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from gan_caption.errors import UserError

RENAMED = {
    "critic": "discriminator_training",
    "finetuning": "adversarial",
    "phases.adversarial.discriminator_steps": "phases.adversarial.gate.steps",
    "phases.adversarial.accuracy_ceiling": "phases.adversarial.gate.accuracy",
}
"""Full keys: what they were called, and what they are called now."""


def now_called(key: str) -> str | None:
    """Return the full key that an old full key has become; None where it is no old one."""
    for old, new in RENAMED.items():
        if key == old or key.startswith(f"{old}."):
            return new + key.removeprefix(old)
    return None


def refuse_old_keys(config: Mapping[str, Any]) -> None:
    """Refuse a configuration with keys that have another name now.

    Raises:
        UserError: "finetuning is now adversarial".
    """
    _refuse(old for old in RENAMED if _has(config, old.split(".")))


def refuse_old_overrides(arguments: Iterable[str]) -> None:
    """Refuse a command line that sets or sweeps over an old key; raises as `refuse_old_keys`."""
    keys = (argument.lstrip("+~").partition("=")[0] for argument in arguments)
    _refuse(key.removeprefix("hydra.sweeper.params.") for key in keys)


def _refuse(keys: Iterable[str]) -> None:
    for key in keys:
        if now := now_called(key):
            raise UserError(f"{key} is now {now}")


def advice(message: str) -> str:
    """Return a message that quotes a key, such as that of a broken interpolation, with what an old key is now."""
    old = next((key for key in re.findall(r"'([\w.]+)'", message) if now_called(key)), None)
    return f"{message}: {old} is now {now_called(old)}" if old else message


def renewed(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration, written when some keys had other names, by the names of today."""
    told = dict(config)
    for old, new in RENAMED.items():
        if _has(told, old.split(".")):
            told, value = _without(told, old.split("."))
            told = _with(told, new.split("."), value)
    return told


def _has(config: Any, path: list[str]) -> bool:
    """Tell whether there is something at a path of keys."""
    if not isinstance(config, Mapping) or path[0] not in config:
        return False
    return len(path) == 1 or _has(config[path[0]], path[1:])


def _without(config: Mapping[str, Any], path: list[str]) -> tuple[dict[str, Any], Any]:
    """Return a copy without what is at a path of keys, and that."""
    told = dict(config)
    value = told.pop(path[0])
    if len(path) > 1:
        told[path[0]], value = _without(value, path[1:])
    return told, value


def _with(config: Any, path: list[str], value: Any) -> dict[str, Any]:
    """Return a copy with a value at a path of keys."""
    told = dict(config) if isinstance(config, Mapping) else {}
    told[path[0]] = _with(told.get(path[0]), path[1:], value) if len(path) > 1 else value
    return told
