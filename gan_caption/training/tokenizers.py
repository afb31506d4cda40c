"""The tokenizers of a run, in its folder: the generator's, and that of a discriminator which reads other tokens.

A page whose `discriminator` has a `tokenizer`, or wraps one that has, asks for the latter: it learns from the run's
training captions, and this discriminator and those inside it are built for what it has learned.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from gan_caption.configuration.building import Part
from gan_caption.configuration.settings import Settings
from gan_caption.errors import UserError
from gan_caption.text.base import Tokenizer
from gan_caption.training.folders import has_learned, inside


def keep_tokenizer(tokenizer: Tokenizer, folder: Path, *, file: str) -> None:
    """Keep a tokenizer of a run in its folder, by this name.

    Raises:
        UserError: the run has learned with another one.
    """
    path = inside(folder, file)
    if path.exists() and has_learned(folder) and tokenizer.load(path).fingerprint != tokenizer.fingerprint:
        raise UserError(
            f"{path}: the run has learned with another vocabulary than this version makes of the same captions: go on "
            "with the version that it began with, or start anew, resume=null"
        )
    tokenizer.save(path)


def load_tokenizer(settings: Settings, folder: Path) -> Tokenizer:
    """Return the tokenizer that a run was trained with, as its folder keeps it.

    Raises:
        UserError: the file is missing, leads out of the folder, or holds something else.
    """
    tokenizer = settings.tokenizer.build(Tokenizer)
    return tokenizer.load(inside(folder, tokenizer.file))


def learned_tokenizer(settings: Settings, captions: Iterable[Sequence[str]]) -> Tokenizer | None:
    """Return what the discriminator reads, learned; None where that is what the generator writes.

    Args:
        settings: of the run.
        captions: of every training image, as the generator's tokenizer normalizes them.

    Raises:
        UserError: nothing can be learned from them.
    """
    tokenizer = _asked_tokenizer(settings)
    if tokenizer is None:
        return None
    return tokenizer.learn(chain.from_iterable(tokenizer.normalize(own) for own in captions))


def kept_tokenizer(settings: Settings, folder: Path) -> Tokenizer | None:
    """Return what the discriminator of a run reads, as the run's folder keeps it; None as in `learned_tokenizer`.

    Raises:
        UserError: the file is missing, leads out of the folder, or holds something else.
    """
    tokenizer = _asked_tokenizer(settings)
    return None if tokenizer is None else tokenizer.load(inside(folder, file_of(tokenizer)))


def file_of(tokenizer: Tokenizer) -> str:
    """Return the name of its file in a run's folder, where the generator's own has another."""
    return f"discriminator_{tokenizer.file}"


def told(part: Part, tokenizer: Tokenizer) -> Part:
    """Return the node of a discriminator with what it reads in place of what it asked for."""
    return Part(_told(part.node, tokenizer), part.path, part.allowed)


def _asked_tokenizer(settings: Settings) -> Tokenizer | None:
    """Return the tokenizer that a discriminator asks for, which has learned nothing; None: it reads the generator's."""
    part = settings.discriminator
    while part is not None and "tokenizer" not in part.node:
        part = _part_of(part, "discriminator")
    asked = None if part is None else _part_of(part, "tokenizer")
    return None if asked is None else asked.build(Tokenizer)


def _told(node: Mapping[str, Any], tokenizer: Tokenizer) -> dict[str, Any]:
    if "tokenizer" in node:
        return {**node, "tokenizer": tokenizer}
    return {**node, "discriminator": _told(node["discriminator"], tokenizer)}


def _part_of(part: Part, key: str) -> Part | None:
    """Return a part inside another one, where there is one by this name."""
    node = part.node.get(key)
    return Part(node, f"{part.path}.{key}", part.allowed) if isinstance(node, Mapping) else None
