"""A weighted sum of rewards. Shapes: B images, N captions."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.rewards.base import Reward


class Mixture:
    """sum of weight x reward, e.g. lambda D + (1 - lambda) CIDEr-D (Chen et al. 2019, arXiv 1805.07112)."""

    def __init__(self, *, parts: dict[str, Reward], weights: dict[str, float | None]) -> None:
        """Hold the parts.

        Args:
            parts: rewards by name.
            weights: a number for each of the same names; None is what the others leave of 1, so that lambda can be
                changed alone. Scales differ: D is 0 to 1, CIDEr-D 0 to 10.
        """
        if parts.keys() != weights.keys() or not parts:
            raise ValueError(
                f"weights={dict(weights)}: one number for each of the parts {', '.join(parts) or '(none)'}"
            )
        given = [weight for weight in weights.values() if weight is not None]
        if len(given) < len(weights) - 1 or (len(given) < len(weights) and sum(given) > 1):
            raise ValueError(f"weights={dict(weights)}: one may be null, where the others leave it something of 1")
        self.parts: Mapping[str, Reward] = parts
        self.weights = {name: 1 - sum(given) if weight is None else weight for name, weight in weights.items()}

    def __call__(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Return (N,)."""
        total = features.pooled.new_zeros(len(captions))
        for name, reward in self.parts.items():
            total = total + self.weights[name] * reward(features, captions)
        return total
