"""A run folder opened again: what was trained, ready for weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from gan_caption.encoders.base import Encoder
from gan_caption.text.vocabulary import Vocabulary
from gan_caption.training.checkpoint import load_weights
from gan_caption.training.folders import best_weights, inside, read_config
from gan_caption.training.networks import Captioner
from gan_caption.training.setup import build_captioner, build_encoder, check_encoder, choose_device


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
    captioner: Captioner
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
