"""The discriminator's judgement as pay. Shapes: B images, N captions."""

from __future__ import annotations

import torch
from torch import Tensor

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.discriminators.base import Discriminator


class DiscriminatorReward:
    """D(image, caption), the probability that a person wrote it, in (0, 1): SeqGAN's reward (Yu et al. 2017, eq. 4)."""

    def __init__(self, *, discriminator: Discriminator, chunk_rows: int = 8192) -> None:
        """Hold the discriminator; it goes on learning elsewhere.

        Args:
            discriminator: D.
            chunk_rows: the most captions that are scored at once; does not change the result.
        """
        self.discriminator = discriminator
        self.chunk_rows = chunk_rows

    @torch.no_grad()
    def __call__(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Return (N,) probabilities; D is in eval mode while it pays, so no dropout noise reaches the reward."""
        training = self.discriminator.training
        self.discriminator.eval()
        logits = [self.discriminator(features, chunk) for chunk in captions.chunks(self.chunk_rows)]
        self.discriminator.train(training)
        return torch.cat(logits).sigmoid() if logits else features.pooled.new_zeros(0)
