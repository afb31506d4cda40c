"""The discriminator's judgement as pay. Shapes: B images, N captions."""

from __future__ import annotations

import torch
from torch import Tensor

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.discriminators.base import Discriminator
from gan_caption.modes import evaluating
from gan_caption.rewards.transforms import Probability, Transform


class DiscriminatorReward:
    """What D says of (image, caption)."""

    def __init__(
        self, *, discriminator: Discriminator, transform: Transform | None = None, chunk_rows: int = 2048
    ) -> None:
        """Hold the discriminator; it goes on learning elsewhere.

        Args:
            discriminator: D.
            transform: turns D's logits into pay; None for the probability that a person wrote it (Yu et al. 2017,
                eq. 4).
            chunk_rows: the most captions that are scored at once; does not change the result.
        """
        self.discriminator = discriminator
        self.transform = Probability() if transform is None else transform
        self.chunk_rows = chunk_rows

    def __call__(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Return (N,); D is in eval mode while it pays, so no dropout noise reaches the reward."""
        with evaluating(self.discriminator):
            logits = [self.discriminator.fast_score(features, chunk) for chunk in captions.chunks(self.chunk_rows)]
        return self.transform(torch.cat(logits)) if logits else features.pooled.new_zeros(0)
