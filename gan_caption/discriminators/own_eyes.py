"""A discriminator that looks at the image itself: it may come to see what the captioner does not.

The features that others are given are the captioner's: what these leave out, no discriminator of them can know. This
one encodes the pixels by a copy of the captioner's encoder, which learns with it. Shapes: as in `base`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gan_caption.data.features import ImageFeatures
from gan_caption.discriminators.base import Discriminator
from gan_caption.discriminators.warm_start import copied
from gan_caption.discriminators.wrapped import WrappedDiscriminator
from gan_caption.encoders.base import Encoder

if TYPE_CHECKING:
    from gan_caption.generators.base import Generator


class OwnEyesDiscriminator(WrappedDiscriminator):
    """Shows the discriminator inside the features of an encoder of its own.

    Every answer encodes the batch's images anew, each once.
    """

    def __init__(self, *, discriminator: Discriminator, encoder: Encoder) -> None:
        """Hold both.

        Args:
            discriminator: of any kind.
            encoder: of the kind and the sizes of the run's. It takes that one's weights when D begins to learn; see
                `inherited`.
        """
        super().__init__(discriminator=discriminator)
        self.encoder = encoder
        self.uses_pixels = True

    def seen(self, features: ImageFeatures) -> ImageFeatures:
        """Return what its own encoder sees.

        Raises:
            ValueError: the features came without pixels.
        """
        return seen_by(self.encoder, features)

    def inherited(self, generator: Generator, encoder: Encoder | None) -> dict[str, Tensor]:
        """Return the captioner's encoder, and what the discriminator inside begins with.

        Raises:
            ValueError: the captioner's encoder is of another kind, has other sizes, or is a frozen one.
        """
        return {**super().inherited(generator, encoder), **eyes_of(encoder, self.encoder)}


def seen_by(encoder: Encoder, features: ImageFeatures) -> ImageFeatures:
    """Return what an encoder sees of images whose pixels came with the features.

    Raises:
        ValueError: the features came without pixels.
    """
    if features.pixels is None:
        raise ValueError("this discriminator reads pixels, and these features came without them")
    own = _encoded(encoder, features.pixels, features.rows)
    return replace(features, pooled=own.pooled, grid=own.grid, regions=own.regions)


def eyes_of(encoder: Encoder | None, own: Encoder) -> dict[str, Tensor]:
    """Return the captioner's weights for a discriminator's `encoder`.

    Raises:
        ValueError: the captioner's encoder is of another kind, has other sizes, or is a frozen one.
    """
    if encoder is None:
        raise ValueError("this discriminator begins with the encoder that learned with the captioner: there is none")
    return {f"encoder.{name}": weight for name, weight in copied(encoder, own, name="encoder").items()}


def _encoded(encoder: Encoder, pixels: Tensor, rows: Tensor | None) -> ImageFeatures:
    """Return the features of images, those that are there several times (the same row) encoded once."""
    if rows is None:
        alone: ImageFeatures = encoder(pixels)
        return alone
    distinct, places = rows.unique(return_inverse=True)
    one_each = torch.empty_like(distinct).scatter_(0, places, torch.arange(len(places), device=places.device))
    encoded: ImageFeatures = encoder(pixels[one_each])
    return encoded.select(places)
