"""The contract of a reward. Shapes: B images, N captions."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures


class Reward(Protocol):
    """Rewards complete captions, or every token of them, without gradients."""

    def __call__(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Return the reward of each caption, (N,) float, or of each token, (N, T); what stands on padding is not read.

        Args:
            features: of B images.
            captions: N complete captions of them; `captions.images` says whose.
        """
        ...
