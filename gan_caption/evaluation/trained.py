"""A run folder opened again: what was trained, ready for weights."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from gan_caption.configuration.building import TARGET, Part
from gan_caption.configuration.finding import find
from gan_caption.configuration.settings import Settings
from gan_caption.discriminators.base import Discriminator
from gan_caption.encoders.base import Encoder
from gan_caption.errors import UserError
from gan_caption.files import at_home
from gan_caption.text.base import Tokenizer
from gan_caption.training.checkpoint import load_state, load_weights
from gan_caption.training.folders import best_weights, inside, read_settings, within
from gan_caption.training.networks import EncoderDecoder, take_discriminator
from gan_caption.training.setup import (
    build_captioner,
    build_discriminator,
    build_encoder,
    check_encoder,
    choose_device,
)
from gan_caption.training.tokenizers import kept_tokenizer, load_tokenizer

EXPORTED = "weights.safetensors"
"""The weights of an export, which is a run folder otherwise."""


@dataclass(frozen=True)
class Trained:
    """The networks of a run, with the weights that they began with until `load`."""

    folder: Path
    """The run's."""
    settings: Settings
    """The run's, with what its reader changed."""
    device: torch.device
    """Where the networks live."""
    tokenizer: Tokenizer
    """The run's."""
    encoder: Encoder
    """The run's."""
    captioner: EncoderDecoder
    """The run's."""

    def load(self, phase: str) -> None:
        """Give the captioner, and the encoder where it learned, the weights that a phase left.

        Raises:
            UserError: they are missing, damaged, or of another vocabulary.
        """
        path = best_weights(self.folder, phase)
        load_weights(self.captioner, within(self.folder, path), vocabulary=self.tokenizer.fingerprint)


def open_run(folder: Path, *, allow: str | Sequence[str] = (), **changed: Any) -> Trained:
    """Build the networks of a run from its folder.

    Args:
        folder: the run's.
        allow: packages of your own whose classes the run's configuration may name.
        changed: settings that replace the run's own, such as its device.

    Raises:
        UserError: the folder holds no run or no weights, one of its files leads out of it, or its encoder now has other
            weights.
    """
    settings = replace(read_settings(folder, allow=allow), **changed)
    if "cache" in changed:
        settings = settings.cached_in(changed["cache"])  # which has the reader's `skip_unreadable` by now
    device = choose_device(settings.device)
    if not inside(folder, EXPORTED).exists():
        usable_weights(folder, settings)
    tokenizer = load_tokenizer(settings, folder)
    encoder = build_encoder(settings, device=device)
    check_encoder(encoder, folder)
    captioner = build_captioner(settings, encoder, tokenizer, device=device)
    return Trained(folder, settings, device, tokenizer, encoder, captioner)


@contextmanager
def reading_data(own: Part, given: Part | None) -> Iterator[None]:
    """Say what to give where the data that a run was trained on are no longer where they lay.

    Args:
        own: the run's data.
        given: those that are read instead; None: the run's.
    """
    try:
        yield
    except UserError as error:
        root = own.node.get("root")
        if given is not None or not isinstance(root, str) or "://" in root or os.path.exists(at_home(root)):
            raise
        raise UserError(
            f"{error} (these are the data that the run was trained on: where they have moved, give data=... with its "
            "data.root=...)"
        ) from error


def left_weights(folder: Path, settings: Settings) -> dict[str, Path]:
    """Return the weights that a run has left so far, by phase in the order of its schedule."""
    weights = {phase: best_weights(folder, phase) for phase in settings.phases}
    return {phase: path for phase, path in weights.items() if within(folder, path).exists()}


def usable_weights(folder: Path, settings: Settings) -> list[str]:
    """Return the phases that have left weights so far, in the order of a run's schedule; at least one.

    Raises:
        UserError: none has.
    """
    found = list(left_weights(folder, settings))
    if not found:
        raise UserError(f"run={folder}: no phase has validated yet, there are no weights to caption with")
    return found


def chosen_weights(folder: Path, settings: Settings, wanted: str | None) -> str:
    """Return the phase whose weights are meant: the one that is wanted, or the last that left some.

    Raises:
        UserError: none has, or not that one.
    """
    found = usable_weights(folder, settings)
    if wanted is not None and wanted not in found:
        raise UserError(f"weights={wanted}: this run has {', '.join(found)}")
    return wanted or found[-1]


def last_of_the_policy(settings: Settings, *, after: str | None = None) -> str | None:
    """Return the last phase that teaches the policy: what a discriminator learns alone leaves no weights of it.

    Args:
        settings: of a run.
        after: look at what follows this phase; None: at all.
    """
    names = list(settings.phases)
    for name in reversed(names[0 if after is None else names.index(after) + 1 :]):
        part = settings.phases[name]
        if not getattr(find(part.node[TARGET], part.path, part.allowed), "teaches_the_discriminator_alone", False):
            return name
    return None


def left_discriminator(
    folder: Path, settings: Settings, encoder: Encoder, tokenizer: Tokenizer, *, device: torch.device
) -> Discriminator | None:
    """Return the discriminator as the run left it; None where the run has none, or has taught it nothing yet.

    Raises:
        UserError: the run's checkpoint, or the tokenizer of its discriminator, is missing or damaged.
    """
    own = kept_tokenizer(settings, folder)
    discriminator = build_discriminator(settings, encoder, tokenizer, own, device=device)
    if discriminator is None:
        return None
    state = load_state(inside(folder, "checkpoints/last.pt"), vocabulary=tokenizer.fingerprint)
    if not state.discriminator_has_learned:
        return None
    take_discriminator(discriminator, state.networks, asked=f"run={folder}")
    return discriminator
