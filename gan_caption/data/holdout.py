"""Training images that are kept from some learners, chosen by their names."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from gan_caption.configuration.settings import HoldoutSettings
from gan_caption.data.corpus import Split
from gan_caption.errors import UserError


@dataclass(frozen=True)
class Learners:
    """Who learns from which training images, by row number; each (N,) int64, ascending."""

    generator: np.ndarray
    """What the generator learns from, and the encoder with it."""
    discriminator: np.ndarray
    """What the discriminator learns from: the same, or images of its own."""
    nobody: np.ndarray
    """What neither does: on these a discriminator is stopped early and calibrated."""


def learners(split: Split, settings: HoldoutSettings) -> Learners:
    """Divide the training images.

    A hash of its name puts every image on a circle of length 1. Fold k holds the arc from k * check on, the
    discriminator's own images are the arc after it, and the generator has the rest. So a division is the same for all
    seeds, wherever the data lie, and a baseline that is taken over has not seen the images either.

    Args:
        split: the training images.
        settings: the arcs.

    Raises:
        UserError: the generator would have no image.
    """
    if not settings.check and not settings.discriminator:
        everything = np.arange(len(split))
        return Learners(everything, everything, everything[:0])
    names = (item.image_id for item in split.items)
    points = (np.fromiter(map(_point, names), np.float64) - settings.fold * settings.check) % 1.0
    generator = np.flatnonzero(points >= settings.check + settings.discriminator)
    if not len(generator):
        raise UserError(
            f"holdout.check={settings.check} and holdout.discriminator={settings.discriminator} leave the generator "
            f"none of {len(points)} training images: give smaller shares, or more images"
        )
    own = np.flatnonzero((points >= settings.check) & (points < settings.check + settings.discriminator))
    discriminator = own if settings.discriminator else generator
    return Learners(generator, discriminator, np.flatnonzero(points < settings.check))


def _point(name: str) -> float:
    """Return where an image lies on the circle, from 0 to below 1."""
    digest = hashlib.sha256(f"holdout/{name}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
