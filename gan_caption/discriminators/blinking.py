"""A discriminator that sees a share of the images not at all while it learns, and so cannot know them by heart.

It is dropout (Srivastava et al. 2014) of whole images: of what it is not shown it has to learn how people write, and
one that sees all of its training images soon answers by these alone. Shapes: as in `base`.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from gan_caption.data.features import ImageFeatures
from gan_caption.discriminators.base import Discriminator
from gan_caption.discriminators.wrapped import WrappedDiscriminator
from gan_caption.errors import share


class BlinkingDiscriminator(WrappedDiscriminator):
    """Shows the discriminator inside, in training, zeros in place of some images; in eval mode it shows all of them."""

    def __init__(self, *, discriminator: Discriminator, closed: float) -> None:
        """Wrap.

        Args:
            discriminator: of any kind.
            closed: the probability in [0, 1) with which an image is not shown, drawn each time that captions of it are
                judged: people's and samples apart, so that a loss which compares two of them (relativistic) may compare
                what was seen with what was not.
        """
        super().__init__(discriminator=discriminator)
        share(closed=closed)
        self.closed = closed

    def seen(self, features: ImageFeatures) -> ImageFeatures:
        """Return the features with zeros for the images that are not shown, which have one region."""
        if not self.training:
            return features
        dark = (torch.rand(len(features)) < self.closed).to(features.pooled.device)

        def shown(values: Tensor) -> Tensor:
            return values.masked_fill(dark.view(-1, *[1] * (values.dim() - 1)), 0)

        grid = None if features.grid is None else shown(features.grid)
        regions = None if features.regions is None else features.regions.masked_fill(dark, 1)
        pixels = None if features.pixels is None else shown(features.pixels)
        return replace(features, pooled=shown(features.pooled), grid=grid, regions=regions, pixels=pixels)
