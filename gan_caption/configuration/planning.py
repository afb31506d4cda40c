"""How the door works: a node of configuration is checked and turned into a plan, then the plan is carried out."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, is_dataclass
from typing import Any, get_type_hints

from gan_caption.configuration.finding import find
from gan_caption.configuration.fitting import Later, fit
from gan_caption.configuration.wording import dotted, in_words, key_of, short, suggest
from gan_caption.errors import UserError
from gan_caption.untrusted.parsing import shown

TARGET = "_target_"


@dataclass(frozen=True)
class Door:
    """What is let through."""

    allowed: tuple[str, ...]
    """Prefixes of modules."""
    offered: frozenset[str]
    """Names of what the program gives."""


@dataclass(frozen=True)
class Absent:
    """What the program would give and does not have."""

    reason: str
    """What follows the key in the message to whoever asks for it."""


@dataclass(frozen=True)
class Plan(Later):
    """A checked node: what will be called, with what."""

    path: str
    target: Callable[..., Any]
    arguments: dict[str, Any]
    """Plain values and, in place of nodes, their plans."""
    hints: dict[str, Any]
    """The type of each argument."""
    given: frozenset[str]
    """Names of the parameters that the program gives."""

    @property
    def made(self) -> type:
        """The target, or what it is annotated to return."""
        made: type = self.target if inspect.isclass(self.target) else get_type_hints(self.target)["return"]
        return made

    def build(self, offered: Mapping[str, Any]) -> Any:
        """Build what is inside, check it, and call."""
        arguments = {
            name: fit(_build_inside(value, offered), self.hints[name], key_of(self.path, name))
            for name, value in self.arguments.items()
        }
        given = {name: offered[name] for name in self.given}
        for value in given.values():
            if isinstance(value, Absent):
                raise UserError(f"{self.path}: {value.reason}")
        try:
            return self.target(**arguments, **given)
        except ValueError as error:
            # A message that begins with the argument, "hidden=-1: ...", continues the key: "generator.hidden=-1: ...".
            named = re.match(r"(\w+)\b", str(error))
            key = key_of(self.path, "") if named and named[1] in self.arguments else f"{self.path}: "
            raise UserError(f"{key}{error}") from error


def _build_inside(value: Any, offered: Mapping[str, Any]) -> Any:
    """Build the plans in a value."""
    if isinstance(value, Plan):
        return value.build(offered)
    if isinstance(value, dict):
        return {key: _build_inside(item, offered) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_build_inside(item, offered) for item in value)
    return value


def plan_of(node: Any, path: str, door: Door) -> Plan:
    """Return the plan of a node and of all inside it; `building.build` says what is refused."""
    try:
        return _plan(named(node, path), path, door)
    except RecursionError:
        where = path or "the configuration"
        raise UserError(f"{where} is nested too deeply: no part has so many inside each other") from None


def named(node: Any, path: str) -> Mapping[str, Any]:
    """Return a node that names something to build."""
    if not isinstance(node, Mapping) or TARGET not in node:
        raise UserError(f"{path}: {short(node)} names nothing to build: it needs {TARGET}, the dotted name of a class")
    return node


def _plan(node: Mapping[str, Any], path: str, door: Door) -> Plan:
    """Check a node against its target's signature."""
    target = find(node[TARGET], f"{path}.{TARGET}", door.allowed)
    return call_of(target, {key: value for key, value in node.items() if key != TARGET}, path, door)


def call_of(target: Callable[..., Any], given: Mapping[str, Any], path: str, door: Door) -> Plan:
    """Check arguments against a signature."""
    parameters = _parameters(target)
    hints = _hints_of(target, path)
    offered = door.offered & parameters.keys()
    arguments = {}
    for key, value in given.items():
        if key in offered:
            raise UserError(f"{key_of(path, key)} is set by the program: remove it from the configuration")
        if key not in parameters:
            known = sorted(parameters.keys() - offered)
            raise UserError(
                f"{key_of(path, shown(str(key)))} is not known.{suggest(key, known, key_of(path, ''))} "
                f"{dotted(target)} knows {', '.join(known) or 'no keys'}"
            )
        if key not in hints:
            raise UserError(
                f"{key_of(path, key)}: {dotted(target)} does not say of which type {key} is: write `{key}: int`, say; "
                "what pages give is checked by that"
            )
        if value == "???":
            raise _no_value(key_of(path, key), f" ({in_words(hints[key])})")
        arguments[key] = fit(_planned(value, key_of(path, key), door), hints[key], key_of(path, key))
    for name, parameter in parameters.items():
        if parameter.default is parameter.empty and name not in arguments and name not in offered:
            kind = f", {in_words(hints[name])}" if name in hints else ""
            raise UserError(f"{key_of(path, name)} is missing: {dotted(target)} needs it{kind}")
    return Plan(path, target, arguments, hints, offered)


def _hints_of(target: Callable[..., Any], path: str) -> dict[str, Any]:
    """Return the types that a class or function asks for."""
    # A dataclass's own hints, since its fields may come from a base in another module, whose names these are.
    plain = inspect.isclass(target) and not is_dataclass(target)
    try:
        return get_type_hints(target.__init__ if plain else target)
    except NameError as error:
        raise UserError(
            f"{path}: the types that {dotted(target)} asks for are looked up when it is built, and {error}: import "
            "them outside of `if TYPE_CHECKING`"
        ) from error


def known_to(name: Any, path: str, allowed: tuple[str, ...]) -> set[str]:
    """Return what a class or function can be given by name; see `find`, which says what is refused.

    Args:
        name: its dotted name.
        path: the full key where that stands.
        allowed: prefixes of modules.
    """
    return set(_parameters(find(name, path, allowed)))


def _planned(value: Any, path: str, door: Door) -> Any:
    """Return a value with plans in place of the nodes in it."""
    if isinstance(value, Mapping):
        if TARGET in value:
            return _plan(value, path, door)
        return {key: _planned(item, f"{path}.{key}", door) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_planned(item, f"{path}[{index}]", door) for index, item in enumerate(value))
    if value == "???":
        raise _no_value(path)
    return value


def _no_value(path: str, kind: str = "") -> UserError:
    return UserError(f"{path} has no value: give one, {path}=...{kind}")


def _parameters(target: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Return the parameters that can be given by name."""
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    try:
        return {name: one for name, one in inspect.signature(target).parameters.items() if one.kind in kinds}
    except ValueError:  # an exception class, say, whose constructor is not written in Python
        return {}
