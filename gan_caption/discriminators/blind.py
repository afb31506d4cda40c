"""A control: a discriminator that sees no image, so that all it can know is how people write. Shapes: as in `base`."""

from __future__ import annotations

from dataclasses import replace

import torch

from gan_caption.data.features import ImageFeatures
from gan_caption.discriminators.wrapped import WrappedDiscriminator


class BlindDiscriminator(WrappedDiscriminator):
    """Shows the discriminator inside zeros, whatever the image."""

    def seen(self, features: ImageFeatures) -> ImageFeatures:
        """Return zeros in place of image vector and grid; how many regions there are stays."""
        grid = None if features.grid is None else torch.zeros_like(features.grid)
        return replace(features, pooled=torch.zeros_like(features.pooled), grid=grid)
