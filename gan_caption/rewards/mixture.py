"""A weighted sum of rewards. Shapes: B images, N captions."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.rewards.base import Reward


class Mixture:
    """sum of weight x reward, e.g. lambda D + (1 - lambda) CIDEr-D (Chen et al. 2019, arXiv 1805.07112)."""

    def __init__(self, *, parts: dict[str, Reward], weights: dict[str, float]) -> None:
        """Hold the parts.

        Args:
            parts: rewards by name.
            weights: a number for each of the same names. Scales differ: D pays 0 to 1, CIDEr-D 0 to 10.
        """
        if parts.keys() != weights.keys() or not parts:
            raise ValueError(
                f"weights={dict(weights)}: one number for each of the parts {', '.join(parts) or '(none)'}"
            )
        self.parts: Mapping[str, Reward] = parts
        self.weights = weights

    def __call__(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Return (N,)."""
        total = features.pooled.new_zeros(len(captions))
        for name, reward in self.parts.items():
            total = total + self.weights[name] * reward(features, captions)
        return total
