"""A control: a discriminator that sees no image, so that all it can know is how people write. Shapes: as in `base`."""

from __future__ import annotations

from dataclasses import replace

import torch

from gan_caption.data.features import ImageFeatures
from gan_caption.discriminators.wrapped import WrappedDiscriminator


class BlindDiscriminator(WrappedDiscriminator):
    """Shows the discriminator inside zeros, whatever the image."""

    def seen(self, features: ImageFeatures) -> ImageFeatures:
        """Return zeros in place of image vector, grid and pixels; how many regions there are stays."""
        dark = features.map(torch.zeros_like)
        return replace(features, pooled=dark.pooled, grid=dark.grid, pixels=dark.pixels)
