"""A control: a discriminator that sees no image, so that all it can know is how people write. Shapes: as in `base`."""

from __future__ import annotations

from dataclasses import replace

import torch

from gan_caption.data.features import ImageFeatures
from gan_caption.discriminators.wrapped import WrappedDiscriminator


class BlindDiscriminator(WrappedDiscriminator):
    """Shows the discriminator inside zeros, whatever the image."""

    def seen(self, features: ImageFeatures) -> ImageFeatures:
        """Return zeros in place of vector and pixels, and of the grid one region: how many there are tells too."""
        dark = features.map(torch.zeros_like)
        grid = None if dark.grid is None else dark.grid[:, :1]
        return replace(features, pooled=dark.pooled, grid=grid, regions=None, pixels=dark.pixels)
