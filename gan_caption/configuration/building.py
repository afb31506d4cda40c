"""The one door through which configuration becomes objects.

A node of configuration is a mapping with `_target_`, the dotted name of a class or function of this package; its other
keys are the constructor's keyword arguments. Names and types are checked against the constructor's signature, so that
a mistake is reported by its key before anything runs.
"""

from __future__ import annotations

import importlib
import inspect
import re
import types
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from gan_caption.errors import UserError
from gan_caption.untrusted.parsing import briefly, shown

if TYPE_CHECKING:
    from omegaconf import DictConfig

TARGET = "_target_"


def build(node: Mapping[str, Any] | DictConfig, *, path: str, allowed: Sequence[str] = ("gan_caption.",),
          **offered: Any) -> Any:  # fmt: skip
    """Build the object that a node of configuration describes, and the objects inside it.

    Args:
        node: a mapping with `_target_`. Values that are such mappings themselves, also in lists and dicts, are built
            first and handed over as objects.
        path: the node's full key, e.g. "generator"; messages start with it. "" is the whole configuration.
        allowed: prefixes of the modules whose classes and functions may be named, each ending in a dot.
        offered: what only the program knows (a vocabulary's size, other modules). Every constructor in the node is
            given those that it has parameters for; configuration cannot set them.

    Raises:
        UserError: the target is not allowed or does not exist; a key is unknown, missing, or the program's to set; a
            value has the wrong type; a constructor refused it with ValueError. The message names the key.
    """
    return _whole_plan(node, path, _Door(tuple(allowed), frozenset(offered))).build(offered)


def check(node: Mapping[str, Any] | DictConfig, *, path: str, allowed: Sequence[str] = ("gan_caption.",),
          offered: Collection[str] = ()) -> None:  # fmt: skip
    """Check a node as `build` does, all but the constructors' own checks, without building anything.

    So a mistake in the last node is found before hours are spent on the first.

    Args:
        node: as in `build`.
        path: as in `build`.
        allowed: as in `build`.
        offered: the names of what `build` will be offered.

    Raises:
        UserError: as `build`.
    """
    _whole_plan(node, path, _Door(tuple(allowed), frozenset(offered)))


# --- From here on, how `build` works: a node is first checked and turned into a plan, then the plan is carried out. ---


class _Misfit(UserError):
    """A value is not of the type that was asked for."""


@dataclass(frozen=True)
class _Door:
    """What is let through."""

    allowed: tuple[str, ...]
    offered: frozenset[str]


@dataclass(frozen=True)
class _Plan:
    """A checked node: what will be called, with what."""

    path: str
    target: Callable[..., Any]
    arguments: dict[str, Any]
    """Plain values and, in place of nodes, their plans."""
    given: frozenset[str]
    """Names of the parameters that the program gives."""
    hint: Any
    """The type that the place in which the object goes asks for."""

    def build(self, offered: Mapping[str, Any]) -> Any:
        arguments = {name: _build_inside(value, offered) for name, value in self.arguments.items()}
        try:
            made = self.target(**arguments, **{name: offered[name] for name in self.given})
        except ValueError as error:
            # A message that begins with the argument, "hidden=-1: ...", continues the key: "generator.hidden=-1: ...".
            named = re.match(r"(\w+)\b", str(error))
            key = _key(self.path, "") if named and named[1] in self.arguments else f"{self.path}: "
            raise UserError(f"{key}{error}") from error
        if not _is_a(made, self.hint):
            raise UserError(f"{self.path}: {_dotted(self.target)} is not {_in_words(self.hint)}")
        return made


def _build_inside(value: Any, offered: Mapping[str, Any]) -> Any:
    """Build the plans in a value."""
    if isinstance(value, _Plan):
        return value.build(offered)
    if isinstance(value, dict):
        return {key: _build_inside(item, offered) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_build_inside(item, offered) for item in value)
    return value


def _whole_plan(node: Any, path: str, door: _Door) -> _Plan:
    try:
        return _plan(node, Any, path, door)
    except RecursionError:
        where = path or "the configuration"
        raise UserError(f"{where} is nested too deeply: no part has so many inside each other") from None


def _plan(node: Any, hint: Any, path: str, door: _Door) -> _Plan:
    """Check one node against its target's signature."""
    node = _plain(node, path)
    if not isinstance(node, Mapping) or TARGET not in node:
        raise UserError(f"{path}: {_short(node)} names nothing to build: it needs {TARGET}, the dotted name of a class")
    target = _find(node[TARGET], f"{path}.{TARGET}", door.allowed)
    parameters = _parameters(target)
    hints = get_type_hints(target.__init__ if inspect.isclass(target) else target)
    given = door.offered & parameters.keys()
    arguments = {}
    for key, value in node.items():
        if key == TARGET:
            continue
        if key in given:
            raise UserError(f"{_key(path, key)} is set by the program: remove it from the configuration")
        if key not in parameters:
            known = sorted(parameters.keys() - given)
            raise UserError(
                f"{_key(path, shown(str(key)))} is not known.{_suggest(key, known, _key(path, ''))} "
                f"{_dotted(target)} knows {', '.join(known) or 'no keys'}"
            )
        if key not in hints:
            raise TypeError(f"{_dotted(target)}: parameter {key} has no type hint")
        try:
            arguments[key] = _fit(value, hints[key], _key(path, key), door)
        except _Misfit as error:
            raise UserError(str(error)) from None
    for name, parameter in parameters.items():
        if parameter.default is parameter.empty and name not in arguments and name not in given:
            kind = f", {_in_words(hints[name])}" if name in hints else ""
            raise UserError(f"{_key(path, name)} is missing: {_dotted(target)} needs it{kind}")
    return _Plan(path, target, arguments, given, hint)


def _parameters(target: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Return the parameters that can be given by name."""
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    try:
        return {name: one for name, one in inspect.signature(target).parameters.items() if one.kind in kinds}
    except ValueError:  # an exception class, say, whose constructor is not written in Python
        return {}


def _plain(node: Any, path: str) -> Any:
    """Turn OmegaConf's containers into dicts and lists, interpolations resolved."""
    if isinstance(node, dict | list | str | None):
        return node
    from omegaconf import OmegaConf
    from omegaconf.errors import InterpolationResolutionError

    if not OmegaConf.is_config(node):
        return node
    try:
        return OmegaConf.to_container(node, resolve=True)
    except InterpolationResolutionError as error:
        raise UserError(f"{error.full_key or path}: {str(error).splitlines()[0]}") from error


def _find(name: Any, path: str, allowed: tuple[str, ...]) -> Callable[..., Any]:
    """Return the class or function of this dotted name, if it is defined in an allowed module."""
    if not isinstance(name, str) or len(name) > 200 or not all(part.isidentifier() for part in name.split(".")):
        raise UserError(f"{path}: {_short(name)} is not the dotted name of a class")
    if not name.startswith(allowed) or any(part.startswith("_") for part in name.split(".")):
        raise UserError(
            f"{path}: {name} is not allowed; allowed are public names in {', '.join(one + '*' for one in allowed)}. "
            f"Put a class of your own into a file there and name it as {allowed[0]}my_file.MyClass, "
            f"or add allow=[{name.split('.')[0]}] to the command line if you trust that package"
        )
    module_name, _, attribute = name.rpartition(".")
    module = _import(module_name, path, name)

    def is_ours(one: object) -> bool:
        return (inspect.isclass(one) or inspect.isfunction(one)) and f"{one.__module__}.".startswith(allowed)

    found = getattr(module, attribute, None)
    if not is_ours(found):
        here = [key for key, one in vars(module).items() if is_ours(one) and one.__module__ == module_name]
        known = sorted(key for key in here if not key.startswith("_")) or _modules_in(module)
        raise UserError(
            f"{path}: {module_name} defines no class or function {attribute}."
            f"{_suggest(attribute, known, module_name + '.')} It defines {', '.join(known) or 'none'}"
        )
    assert callable(found)
    if inspect.isabstract(found) or getattr(found, "_is_protocol", False):
        raise UserError(f"{path}: {name} is a contract; name a class that fulfils it")
    if inspect.isfunction(found) and not _makes_a_part(found, allowed):
        raise UserError(
            f"{path}: {name} is a function that makes no part: name a class, or a function annotated to return one"
        )
    return found


def _makes_a_part(function: Callable[..., Any], allowed: tuple[str, ...]) -> bool:
    """Whether a function is annotated to return an object of an allowed class.

    Others do something, such as writing a file, or hand out paths and dicts, with which more could be done.
    """
    try:
        made = get_type_hints(function).get("return")
    except NameError:  # a name that only the type checker knows
        return False
    return inspect.isclass(made) and f"{made.__module__}.".startswith(allowed)


def _import(module_name: str, path: str, target: str) -> types.ModuleType:
    """Import a module; where it does not exist, name the nearest that does."""
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the module is there, and something that it imports is not
        package_name, _, missing = error.name.rpartition(".")
    known = _modules_in(importlib.import_module(package_name)) if package_name else []
    raise UserError(
        f"{path}: {target}: there is no module {missing} in {package_name or 'this environment'}."
        f"{_suggest(missing, known, package_name + '.')} It has {', '.join(known) or 'none'}"
    )


def _modules_in(package: types.ModuleType) -> list[str]:
    import pkgutil

    return sorted(one.name for one in pkgutil.iter_modules(getattr(package, "__path__", [])) if one.name[0] != "_")


def _fit(value: Any, hint: Any, path: str, door: _Door) -> Any:
    """Return the value as the hint wants it: nodes planned, ints as floats, lists as tuples, where those are wanted."""
    origin, inner = get_origin(hint) or hint, get_args(hint)
    if origin is Annotated:
        return _fit(value, inner[0], path, door)
    if isinstance(value, Mapping) and TARGET in value:
        return _plan(value, hint, path, door)
    if isinstance(value, str) and value == "???":
        raise UserError(f"{path} has no value: give one, {path}=... ({_in_words(hint)})")
    if origin in (Union, types.UnionType):
        return _fit_one_of(value, inner, hint, path, door)
    if isinstance(value, list | tuple):
        if origin is tuple and inner and inner[-1] is not Ellipsis:
            if len(value) != len(inner):
                raise _misfit(value, hint, path)
            return tuple(_fit(value[i], one, f"{path}[{i}]", door) for i, one in enumerate(inner))
        if origin in (list, tuple, Sequence, Iterable, Collection, Any, object):
            items = [_fit(item, inner[0] if inner else Any, f"{path}[{i}]", door) for i, item in enumerate(value)]
            return tuple(items) if origin is tuple else items
    elif isinstance(value, Mapping):
        if origin in (dict, Mapping, Any, object):
            keys, values = inner or (Any, Any)
            return {
                _fit(key, keys, f"{path}: the key {key}", door): _fit(item, values, f"{path}.{key}", door)
                for key, item in value.items()
            }
    elif origin is float and type(value) is int:
        return float(value)
    elif origin is Literal:  # 1 and True are equal, and not the same choice
        if any(type(value) is type(choice) and value == choice for choice in inner):
            return value
    elif origin in (int, float, bool, str):  # a bool is an int to isinstance, and not to a reader of YAML
        if type(value) is origin:
            return value
    elif _is_a(value, hint):
        return value
    raise _misfit(value, hint, path)


def _fit_one_of(value: Any, choices: tuple[Any, ...], hint: Any, path: str, door: _Door) -> Any:
    """Fit a value to a union: to a type that takes it unchanged before one that converts it."""
    if type(value) in choices:
        return value
    holders = [one for one in choices if one is not type(None) and get_origin(one) not in (None, Literal)]
    if isinstance(value, list | dict) and len(holders) == 1:
        return _fit(value, holders[0], path, door)  # so that the message names the faulty item
    for one in choices:
        try:
            return _fit(value, one, path, door)
        except _Misfit:
            continue
    raise _misfit(value, hint, path)


def _is_a(value: Any, hint: Any) -> bool:
    """Whether an object is of this type; of a protocol: whether it has the protocol's methods."""
    if getattr(hint, "_is_protocol", False):
        return all(hasattr(value, name) for name in vars(hint) if name == "__call__" or not name.startswith("_"))
    if get_origin(hint) in (Union, types.UnionType):
        return any(_is_a(value, one) for one in get_args(hint))
    from beartype.door import is_bearable

    return is_bearable(value, hint)


def _misfit(value: Any, hint: Any, path: str) -> _Misfit:
    """Say that a value does not fit, and what would."""
    more = ""
    if str in (hint, *get_args(hint)) and isinstance(value, int | float):
        more = f" (text needs quotes: {path}='\"{value}\"')"
    if get_origin(hint) is Literal and isinstance(value, str):
        more = f".{_suggest(value, [str(choice) for choice in get_args(hint)], '')}"
    return _Misfit(f"{path}: {_short(value)} is not {_in_words(hint)}{more}")


def _suggest(wrong: object, known: Sequence[str], prefix: str) -> str:
    import difflib

    nearest = difflib.get_close_matches(str(wrong), known, n=1)
    return f" Did you mean {prefix}{nearest[0]}?" if nearest else ""


def _in_words(hint: Any) -> str:
    if hint is None or hint is type(None):
        return "None"
    if get_origin(hint) in (Union, types.UnionType):
        words = [_in_words(one) for one in get_args(hint)]
        return f"{', '.join(words[:-1])} or {words[-1]}"
    if get_origin(hint) is Literal:
        return f"one of {', '.join(map(repr, get_args(hint)))}"
    name = hint.__name__ if inspect.isclass(hint) and not get_args(hint) else re.sub(r"\b[a-z_]\w*\.", "", str(hint))
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def _key(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _short(value: object) -> str:
    text = repr(value) if isinstance(value, str | int | float) else briefly(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _dotted(target: Callable[..., Any]) -> str:
    return f"{target.__module__}.{target.__qualname__}"
