"""Whether a value of configuration is of the type that a parameter's hint asks for: pydantic decides, strictly.

What it is told besides: YAML has no tuples, so a list stands for one; 1 is not True; of a protocol an object has the
methods; and of what is still to be built its class is looked at, before anything of it runs. Where a list of texts or
paths is wanted, one stands for a list of it alone. A path is a text, or a whole number, since YAML makes one of a
folder's name such as 2024; its `~` is the user's home. Numbers are finite.
"""

from __future__ import annotations

import re
import types
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from gan_caption.configuration.wording import dotted, in_words, short, suggest
from gan_caption.errors import UserError
from gan_caption.files import at_home

if TYPE_CHECKING:
    from pydantic import TypeAdapter
    from pydantic_core import ErrorDetails

_PLAIN = (float, bool, str, Any, object, None, type(None))
_CONTAINERS: dict[Any, Any] = {
    list: list, tuple: tuple, Sequence: Sequence, Collection: Sequence, Iterable: Sequence, dict: dict, Mapping: Mapping
}  # fmt: skip
"""Of which the elements are looked at, and as what."""


class Later(ABC):
    """A value that is still to be built."""

    @property
    @abstractmethod
    def made(self) -> type:
        """What it will be an instance of."""


def fit(value: Any, hint: Any, path: str) -> Any:
    """Return a value as the hint has it: ints as floats and lists as tuples, where those are asked for.

    Raises:
        UserError: it is of another type. The message begins with its full key: path, and the place inside.
    """
    from pydantic import ValidationError

    try:
        return _check_of(_Hint(hint)).validate_python(value)
    except ValidationError as error:
        raise UserError(_told(error.errors(), value, hint, path)) from None


class _Hint:
    """A hint, equal only to what is also written alike: `int | str` equals `str | int`, whose messages differ."""

    def __init__(self, hint: Any) -> None:
        self.hint, self.told = hint, repr(hint)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Hint) and self.told == other.told and bool(self.hint == other.hint)

    def __hash__(self) -> int:
        return hash(self.told)


@lru_cache(maxsize=1024)
def _check_of(known: _Hint) -> TypeAdapter[Any]:
    """Return pydantic's check of a hint: it takes a millisecond to make, and a run asks for some of them very often."""
    from pydantic import ConfigDict, TypeAdapter

    return TypeAdapter(_checked(known.hint), config=ConfigDict(strict=True, allow_inf_nan=False))


def _checked(hint: Any) -> Any:
    """Return a hint as pydantic shall understand it."""
    from pydantic import BeforeValidator, Field, Strict, WrapValidator

    origin, inner = get_origin(hint) or hint, get_args(hint)
    if origin is Annotated:
        return _checked(inner[0])
    if isinstance(hint, TypeVar):
        return Any
    told: Any
    if origin in (Union, types.UnionType):
        told = Union[tuple(map(_checked, inner))]  # noqa: UP007 - the members are not known here
    elif origin is Literal:
        told = Annotated[hint, WrapValidator(_same_kind)]
    elif origin is Path:
        told = Annotated[Any, WrapValidator(_a_path)]
    elif origin in _CONTAINERS:
        container = _CONTAINERS[origin]
        told = container[tuple(one if one is ... else _checked(one) for one in inner)] if inner else container
        told = Annotated[told, Strict(False)] if container in (list, tuple) else told
        alone = (str, int, Path) if Path in inner else (str,) if str in inner else ()
        if alone and container in (list, Sequence):
            told = Annotated[told, BeforeValidator(partial(_in_a_list, alone=alone))]
    elif origin is int:
        told = Annotated[int, Field(ge=-(2**63), lt=2**63)]  # more bits than this have no room in a tensor
    elif origin in _PLAIN:
        told = hint
    else:
        told = Annotated[Any, WrapValidator(partial(_is_a, kind=origin))]
    return told


def _in_a_list(value: Any, *, alone: tuple[type, ...]) -> Any:
    return [value] if isinstance(value, alone) and not isinstance(value, bool) else value


def _a_path(value: Any, _: Any) -> Path:
    """Take what names a file or a folder."""
    from pydantic_core import PydanticCustomError

    named = isinstance(value, str | int | Path) and not isinstance(value, bool)
    if not named or not str(value) or "\0" in str(value):
        raise PydanticCustomError("path", "Input should be a path")
    return at_home(str(value))


def _same_kind(value: Any, check: Callable[[Any], Any]) -> Any:
    """Take a choice of a Literal, and not one that is equal to it and of another type, as True is to 1."""
    kept = check(value)
    return kept if type(kept) is type(value) else check(None)


def _is_a(value: Any, _: Any, *, kind: Any) -> Any:
    """Take an instance of a class; of a protocol what has its methods. What is still to be built counts as built."""
    from pydantic_core import PydanticCustomError

    made = value.made if isinstance(value, Later) else type(value)
    if getattr(kind, "_is_protocol", False):
        methods = {name for name in vars(kind) if name == "__call__" or not name.startswith("_")}
        fits = methods <= ({*dir(made), *_fields(made)} if isinstance(value, Later) else {*dir(value)})
    else:
        fits = issubclass(made, kind)
    if not fits:
        raise PydanticCustomError("another_class", "Input should be {what}", {"what": in_words(kind)})
    return value


def _fields(made: type) -> set[str]:
    """Return the names that a class says its instances have."""
    return {name for one in made.__mro__ for name in vars(one).get("__annotations__", ())}


def _told(errors: Sequence[ErrorDetails], value: Any, hint: Any, path: str) -> str:
    """Say what does not fit, and what would: of a union's members, those that the value nearly fits."""
    places = [_place(value, error["loc"], path) for error in errors]
    deepest = max(depth for depth, _, _ in places)
    (_, where, wrong), *_ = near = [place for place in places if place[0] == deepest]
    faults = [error for error, place in zip(errors, places, strict=True) if place in near and place[1] == where]
    wanted = list(dict.fromkeys(map(_wanted, faults)))
    if not deepest and (None in get_args(hint) or type(None) in get_args(hint)):
        wanted.append("None")
    if not all(error["msg"].startswith("Input should be") for error in faults):
        where, wrong, wanted = path, value, [in_words(hint)]
    more = ""
    if any(error["type"] in ("string_type", "path") for error in faults) and type(wrong) in (int, float):
        as_typed = wrong if type(wrong) is int else "..."  # 2024.10 has become 2024.1
        more = f" (text needs quotes: '\"{as_typed}\"')"
    choices = re.findall(r"'(\w+)'", " ".join(wanted)) if isinstance(wrong, str) else []
    more += f".{nearest}" if (nearest := suggest(wrong, choices, "")) else ""
    said = dotted(wrong.made) if isinstance(wrong, Later) else short(wrong)
    return f"{where}: {said} is not {' or '.join(dict.fromkeys(wanted))}{more}"


def _wanted(error: ErrorDetails) -> str:
    """Return what pydantic wants, without its "Input should be"."""
    wanted = error["msg"].removeprefix("Input should be ")
    return f"one of {wanted}" if error["type"] == "literal_error" else wanted


def _place(value: Any, location: Sequence[int | str], path: str) -> tuple[int, str, Any]:
    """Return where an error lies (its depth, its full key, the value there), whatever union members pydantic names."""
    depth = 0
    for step in location:
        if isinstance(value, list | tuple) and isinstance(step, int) and step < len(value):
            depth, path, value = depth + 1, f"{path}[{step}]", value[step]
        elif isinstance(value, dict) and step in value:
            depth, path, value = depth + 1, f"{path}.{step}", value[step]
    if location and location[-1] == "[key]":
        before, _, key = path.rpartition(".")
        return depth, f"{before}: the key {key}", next(one for one in location[-2:-1])
    return depth, path, value
