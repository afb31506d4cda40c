"""A run folder opened again: what was trained, ready for weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from gan_caption.discriminators.base import Discriminator
from gan_caption.encoders.base import Encoder
from gan_caption.text.vocabulary import Vocabulary
from gan_caption.training.checkpoint import load_state, load_weights
from gan_caption.training.folders import best_weights, inside, read_config
from gan_caption.training.networks import EncoderDecoder
from gan_caption.training.setup import (
    build_captioner,
    build_discriminator,
    build_encoder,
    check_encoder,
    choose_device,
)


@dataclass(frozen=True)
class Trained:
    """The networks of a run, with the weights that they began with until `load`."""

    folder: Path
    """The run's."""
    config: dict[str, Any]
    """The run's, with what its reader changed."""
    device: torch.device
    """Where the networks live."""
    vocabulary: Vocabulary
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
        load_weights(
            self.captioner, inside(self.folder, path.relative_to(self.folder)), vocabulary=self.vocabulary.fingerprint
        )


def open_run(folder: Path, changed: Mapping[str, Any]) -> Trained:
    """Build the networks of a run from its folder.

    Args:
        folder: the run's.
        changed: settings that replace the run's own, such as its device.

    Raises:
        UserError: the folder holds no run, one of its files leads out of it, or its encoder now has other weights.
    """
    config = read_config(folder) | dict(changed)
    device = choose_device(config["device"])
    vocabulary = Vocabulary.load(inside(folder, "vocabulary.json"))
    encoder = build_encoder(config, device=device)
    check_encoder(encoder, folder)
    return Trained(
        folder, config, device, vocabulary, encoder, build_captioner(config, encoder, vocabulary, device=device)
    )


def left_weights(folder: Path, config: Mapping[str, Any]) -> dict[str, Path]:
    """Return the weights that a run has left so far, by phase in the order of its schedule."""
    weights = {phase: best_weights(folder, phase) for phase in config["phases"]}
    return {phase: path for phase, path in weights.items() if inside(folder, path.relative_to(folder)).exists()}


def left_discriminator(
    folder: Path, config: Mapping[str, Any], encoder: Encoder, vocabulary: Vocabulary, *, device: torch.device
) -> Discriminator | None:
    """Return the discriminator as the run left it; None where the run has none.

    Raises:
        UserError: the run's checkpoint is missing or damaged.
    """
    discriminator = build_discriminator(config, encoder, vocabulary, device=device)
    if discriminator is None:
        return None
    state = load_state(inside(folder, "checkpoints/last.pt"), vocabulary=vocabulary.fingerprint)
    prefix = "discriminator."
    own = {name.removeprefix(prefix): value for name, value in state.networks.items() if name.startswith(prefix)}
    discriminator.load_state_dict(own)
    return discriminator
