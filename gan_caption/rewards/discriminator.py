"""The discriminator's judgement as a reward. Shapes: B images, N captions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.discriminators.base import Discriminator, parts_of
from gan_caption.errors import at_least
from gan_caption.modes import evaluating
from gan_caption.rewards.transforms import Transform


@dataclass(kw_only=True)
class DiscriminatorReward:
    """What D says of (image, caption)."""

    discriminator: Discriminator
    """D; it goes on learning elsewhere."""
    transform: Transform
    """Turns D's logits into rewards."""
    chunk_rows: int
    """The most captions that are scored at once; does not change the result, unless D judges sets and an image's is
    larger."""

    def __post_init__(self) -> None:
        at_least(1, chunk_rows=self.chunk_rows)

    def __call__(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Return (N,), or (N, T) of a dense D; it is in eval mode, so no dropout noise reaches the reward."""
        with evaluating(self.discriminator):
            parts = parts_of(features, captions, self.chunk_rows)
            logits = [self.discriminator.fast_score(seen, part) for seen, part in parts]
        return self.transform(torch.cat(logits).float())
