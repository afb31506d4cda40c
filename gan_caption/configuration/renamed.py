"""Keys that once had another name: who gives an old one is told the new one, and old runs are read by the new ones."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from gan_caption.errors import UserError

RENAMED = {"critic": "discriminator_training", "finetuning": "adversarial"}
"""Keys of `conf/config.yaml`: what they were called, and what they are called now."""


def now_called(key: str) -> str | None:
    """Return the full key that an old full key has become; None where it is no old one."""
    first, dot, rest = key.partition(".")
    return f"{RENAMED[first]}{dot}{rest}" if first in RENAMED else None


def refuse_old_keys(keys: Iterable[str]) -> None:
    """Refuse full keys that have another name now.

    Raises:
        UserError: "critic.learning_rate is now discriminator_training.learning_rate".
    """
    for key in keys:
        if now := now_called(key):
            raise UserError(f"{key} is now {now}")


def refuse_old_overrides(arguments: Iterable[str]) -> None:
    """Refuse a command line that sets or sweeps over an old key; raises as `refuse_old_keys`."""
    keys = (argument.lstrip("+~").partition("=")[0] for argument in arguments)
    refuse_old_keys(key.removeprefix("hydra.sweeper.params.") for key in keys)


def advice(message: str) -> str:
    """Return a message that quotes a key, such as that of a broken interpolation, with what an old key is now."""
    old = next((key for key in re.findall(r"'([\w.]+)'", message) if now_called(key)), None)
    return f"{message}: {old} is now {now_called(old)}" if old else message


def renewed(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration, written when some keys had other names, by the names of today."""
    return {now_called(key) or key: value for key, value in config.items()}
