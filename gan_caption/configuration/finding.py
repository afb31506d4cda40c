"""From a dotted name in a configuration to the class or function: the allow-list, and who else could be meant."""

from __future__ import annotations

import importlib
import inspect
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_type_hints

from gan_caption.configuration.wording import short, suggest
from gan_caption.errors import UserError

_ROOMS = ["text", "data", "encoders", "generators", "discriminators", "decoding", "rewards", "objectives", "metrics"]
ROOMS = tuple(f"gan_caption.{room}." for room in _ROOMS)
"""Of this package, where functions make parts; elsewhere they read runs and configurations, and could be handed any."""


def find(name: Any, path: str, allowed: tuple[str, ...]) -> Callable[..., Any]:
    """Return the class or function of a dotted name, if it is defined in an allowed module and makes a part.

    Args:
        name: as a page has it, so perhaps no name at all.
        path: the full key where it stands; messages start with it.
        allowed: prefixes of modules, each ending in a dot.

    Raises:
        UserError: it is no name, is not allowed, does not exist, is a contract, or is a function that does something
            instead of making a part.
    """
    if not isinstance(name, str) or len(name) > 200 or not all(part.isidentifier() for part in name.split(".")):
        raise UserError(f"{path}: {short(name)} is not the dotted name of a class")
    if not name.startswith(allowed) or any(part.startswith("_") for part in name.split(".")):
        raise UserError(
            f"{path}: {name} is not allowed; allowed are public names in {', '.join(one + '*' for one in allowed)}. "
            f"Give allow={name.split('.')[0]} as well, on the command line or to the function that was called, if you "
            "trust that package: classes of your own stay in a folder of your own (CONTRIBUTING.md)"
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
            f"{suggest(attribute, known, module_name + '.')} It defines {', '.join(known) or 'none'}"
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
    """Whether a function is annotated to return an object of an allowed class; one of this package stands in `ROOMS`.

    Others do something, such as writing a file, or hand out paths, dicts and settings, with which more could be done.
    """
    if function.__module__.startswith("gan_caption.") and not function.__module__.startswith(ROOMS):
        return False
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
    if not package_name:
        raise UserError(
            f"{path}: {target}: there is no module {missing} where Python looks, which of `python -m` begins with the "
            f"folder that it starts in, {Path.cwd()}: start in the folder that holds it, or name that in PYTHONPATH"
        )
    known = _modules_in(importlib.import_module(package_name))
    raise UserError(
        f"{path}: {target}: there is no module {missing} in {package_name}."
        f"{suggest(missing, known, package_name + '.')} It has {', '.join(known) or 'none'}"
    )


def _modules_in(package: types.ModuleType) -> list[str]:
    import pkgutil

    return sorted(one.name for one in pkgutil.iter_modules(getattr(package, "__path__", [])) if one.name[0] != "_")
