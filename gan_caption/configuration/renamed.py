"""Keys that once had another name, or were not there yet.

Who gives an old one is told the new one, and old runs are read by the keys of today.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from gan_caption.errors import UserError

RENAMED = {
    "critic": "discriminator_training",
    "finetuning": "adversarial",
    "phases.adversarial.discriminator_steps": "phases.adversarial.gate.steps",
    "phases.adversarial.accuracy_ceiling": "phases.adversarial.gate.accuracy",
}
"""Full keys: what they were called, and what they are called now."""
_ONCE_THE_ONLY_LAW = {"noise_law": "normal"}
_OLDER_THAN_LAWS = (
    "gan_caption.generators.lstm.LSTMGenerator", "gan_caption.generators.attention_lstm.AttentionLSTMGenerator",
)  # fmt: skip
"""Generators that had noise before they had `noise_law`."""
_LATER = {"edited": 0.0, "negatives": None, "pretrained_learning_rate": None}
"""Settings inside parts that were not there yet, each with the value of what was done before there were any."""


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


def with_noise_law(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration with its generator's `noise_law`: where none is written, there was only the normal one."""
    return _with_generator(config, lambda generator: {**_ONCE_THE_ONLY_LAW, **generator})


def without_noise_law(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration as it was written when there was only the normal law, where it has that."""
    usual = _ONCE_THE_ONLY_LAW.items()
    return _with_generator(config, lambda generator: dict(own for own in generator.items() if own not in usual))


def without_later(value: Any) -> Any:
    """Return a configuration, or what is inside one, as it was written before there was what it does not ask for."""
    if isinstance(value, Mapping):
        kept = {key: own for key, own in value.items() if key not in _LATER or own != _LATER[key]}
        return {key: without_later(own) for key, own in kept.items()}
    return [without_later(own) for own in value] if isinstance(value, list) else value


def _with_generator(config: Mapping[str, Any], change: Callable[[Mapping[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    """Return a configuration with its generator changed, where that is one that had noise before it had a law."""
    generator = config.get("generator")
    if not isinstance(generator, Mapping) or generator.get("_target_") not in _OLDER_THAN_LAWS:
        return dict(config)
    return {**config, "generator": change(generator)}


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
