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


class OwnEyes(Discriminator):
    """What a discriminator has that sees by an encoder of its own; it stands before the other base class."""

    encoder: Encoder
    """It takes the weights of the captioner's when D begins to learn; see `inherited`."""

    def look_by(self, encoder: Encoder) -> None:
        """Set the encoder, of the kind and the sizes of the run's."""
        self.encoder = encoder
        self.uses_pixels = True

    def seen(self, features: ImageFeatures) -> ImageFeatures:
        """Return what the encoder sees of images whose pixels came with the features.

        Raises:
            ValueError: the features came without pixels.
        """
        if features.pixels is None:
            raise ValueError("this discriminator reads pixels, and these features came without them")
        own = self._encoded(features.pixels, features.rows)
        return replace(features, pooled=own.pooled, grid=own.grid, regions=own.regions)

    def _encoded(self, pixels: Tensor, rows: Tensor | None) -> ImageFeatures:
        """Return the features of images, those that are there several times (the same row) encoded once."""
        if rows is None:
            alone: ImageFeatures = self.encoder(pixels)
            return alone
        distinct, places = rows.unique(return_inverse=True)
        one_each = torch.empty_like(distinct).scatter_(0, places, torch.arange(len(places), device=places.device))
        encoded: ImageFeatures = self.encoder(pixels[one_each])
        return encoded.select(places)

    def inherited(self, generator: Generator, encoder: Encoder | None) -> dict[str, Tensor]:
        """Return the captioner's encoder, and what the discriminator begins with otherwise.

        Raises:
            ValueError: the captioner's encoder, or its policy where D has one, is of another kind, has other sizes, or
                is a frozen one.
        """
        if encoder is None:
            raise ValueError(
                "this discriminator begins with the encoder that learned with the captioner: there is none"
            )
        eyes = copied(encoder, self.encoder, name="encoder").items()
        return {**super().inherited(generator, encoder), **{f"encoder.{name}": weight for name, weight in eyes}}


class OwnEyesDiscriminator(OwnEyes, WrappedDiscriminator):
    """Shows the discriminator inside the features of an encoder of its own.

    Every answer encodes the batch's images anew, each once.
    """

    def __init__(self, *, discriminator: Discriminator, encoder: Encoder) -> None:
        """Hold both.

        Args:
            discriminator: of any kind.
            encoder: see `OwnEyes`.
        """
        super().__init__(discriminator=discriminator)
        self.look_by(encoder)
