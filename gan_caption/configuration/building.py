"""The one door through which configuration becomes objects.

A node of configuration is a mapping with `_target_`, the dotted name of a class or function of this package; its other
keys are the constructor's keyword arguments. Names and types are checked against the constructor's signature, so that
a mistake is reported by its key before anything runs. `read` makes the typed record of a whole page.
"""

from __future__ import annotations

import types
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from gan_caption.configuration.fitting import fit
from gan_caption.configuration.planning import TARGET, Door, call_of, named, plan_of
from gan_caption.configuration.renamed import advice
from gan_caption.configuration.wording import key_of, listed
from gan_caption.errors import UserError

if TYPE_CHECKING:
    from omegaconf import DictConfig

T = TypeVar("T")
OURS = "gan_caption."
"""The prefix of the modules whose classes and functions every configuration may name."""


def build(
    node: Mapping[str, Any] | DictConfig, kind: type[T], *, path: str, allowed: Sequence[str] = (OURS,), **offered: Any
) -> T:
    """Build the object that a node of configuration describes, and the objects inside it.

    What a node makes is looked at before it is made: where a reward is wanted, nothing but a reward is built.

    Args:
        node: a mapping with `_target_`. Values that are such mappings themselves, also in lists and dicts, are built
            first and handed over as objects.
        kind: what it shall be an instance of.
        path: the node's full key, e.g. "generator"; messages start with it. "" is the whole configuration.
        allowed: prefixes of the modules whose classes and functions may be named, each ending in a dot; or one.
        offered: what only the program knows (a vocabulary's size, other modules). Every constructor in the node is
            given those that it has parameters for; configuration cannot set them.

    Raises:
        UserError: the target is not allowed, does not exist, or makes something else; a key is unknown, missing, or the
            program's to set; a value has the wrong type; a constructor refused it with ValueError. The message names
            the key.
    """
    planned = fit(plan_of(_plain(node, path), path, Door(tuple(listed(allowed)), frozenset(offered))), kind, path)
    built: T = fit(planned.build(offered), kind, path)
    return built


def check(node: Mapping[str, Any] | DictConfig, kind: type, *, path: str, allowed: Sequence[str] = (OURS,),
          offered: Collection[str] = ()) -> None:  # fmt: skip
    """Check a node as `build` does, all but the constructors' own checks, without building anything.

    So a mistake in the last node is found before hours are spent on the first.

    Args:
        node: as in `build`.
        kind: as in `build`.
        path: as in `build`.
        allowed: as in `build`.
        offered: the names of what `build` will be offered.

    Raises:
        UserError: as `build`.
    """
    fit(plan_of(_plain(node, path), path, Door(tuple(listed(allowed)), frozenset(offered))), kind, path)


@dataclass(frozen=True)
class Part:
    """A node of configuration that is built when the program knows what it has to offer."""

    node: Mapping[str, Any]
    """With `_target_`."""
    path: str
    """Its full key."""
    allowed: tuple[str, ...] = (OURS,)
    """As in `build`."""

    @property
    def name(self) -> str:
        """The name of the class or function, without its module."""
        return str(self.node[TARGET]).rpartition(".")[2]

    def build(self, kind: type[T], **offered: Any) -> T:
        """Build it; see `build`."""
        return build(self.node, kind, path=self.path, allowed=self.allowed, **offered)

    def check(self, kind: type, offered: Collection[str] = ()) -> None:
        """Check it; see `check`."""
        check(self.node, kind, path=self.path, allowed=self.allowed, offered=offered)


def read(kind: type[T], config: Mapping[str, Any] | DictConfig, *, besides: Collection[str] = (), **offered: Any) -> T:
    """Return a page of configuration as a typed record.

    Args:
        kind: a dataclass; its fields are the page's keys. A field may be a record itself, a `Part`, a list of
            parts, or a dict of them, of which those that are null are left out. A field `allow` lists packages whose
            classes the parts may name besides this package's.
        config: the page, composed.
        besides: keys that the page may have for others; they are left out.
        offered: fields that are the program's.

    Raises:
        UserError: a key is unknown or missing, a value has the wrong type, or a record refused it with ValueError. The
            message names the key.
    """
    known = {field.name for field in fields(cast(Any, kind))}
    given = {key: value for key, value in _plain(config, "").items() if key in known or key not in besides}
    return _read(kind, given, "", allowed_by(given.get("allow")), offered)


def allowed_by(allow: Any) -> tuple[str, ...]:
    """Return the prefixes of the modules whose classes may be named.

    Args:
        allow: packages besides this one, as a page has them.

    Raises:
        UserError: these are no names.
    """
    packages: list[str] = fit(_plain([] if allow is None else allow, "allow"), list[str], "allow")
    return (OURS, *(f"{package}." for package in packages))


def plain(record: Any) -> Any:
    """Return a record as the page that it was read from, whatever is null in it included."""
    if isinstance(record, Part):
        return dict(record.node)
    if is_dataclass(record):
        return {field.name: plain(getattr(record, field.name)) for field in fields(record)}
    if isinstance(record, list):
        return [plain(value) for value in record]
    if isinstance(record, dict):
        return {key: plain(value) for key, value in record.items()}
    return str(record) if isinstance(record, Path) else record


def _read(kind: type[T], given: Mapping[str, Any], path: str, allowed: tuple[str, ...],
          offered: Mapping[str, Any]) -> T:  # fmt: skip
    """Make a record: what is a record or a part in it first."""
    made = dict(given)
    for key, hint in get_type_hints(kind).items():
        where, value, wanted = key_of(path, key), given.get(key), _sole(hint)
        if wanted is Part:
            made[key] = Part(named(value, where), where, allowed) if value is not None or wanted is hint else None
        elif wanted == list[Part] and not (value is None and wanted is not hint):
            nodes = enumerate(fit(value, list[Any], where))
            made[key] = [Part(named(one, f"{where}[{place}]"), f"{where}[{place}]", allowed) for place, one in nodes]
        elif hint == dict[str, Part]:
            named_nodes = fit(value, dict[str, Any], where).items()
            made[key] = {name: Part(named(one, f"{where}.{name}"), f"{where}.{name}", allowed)
                         for name, one in named_nodes if one is not None}  # fmt: skip
        elif isinstance(wanted, type) and is_dataclass(wanted) and isinstance(value, dict):
            made[key] = _read(wanted, value, where, allowed, {})
    record: T = call_of(kind, made, path, Door(allowed, frozenset(offered))).build(offered)
    return record


def _sole(hint: Any) -> Any:
    """Return the X of `X | None`, or the hint."""
    inner = [one for one in get_args(hint) if one is not type(None)]
    return inner[0] if get_origin(hint) in (Union, types.UnionType) and len(inner) == 1 else hint


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
        raise UserError(advice(f"{error.full_key or path}: {str(error).splitlines()[0]}")) from error
