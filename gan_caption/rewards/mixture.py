"""A weighted sum of rewards. Shapes: B images, N captions."""

from __future__ import annotations

from dataclasses import dataclass

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.rewards.base import Parts, Reward, in_parts


@dataclass(kw_only=True)
class Mixture:
    """sum of weight x reward, e.g. lambda D + (1 - lambda) CIDEr-D (Chen et al. 2019, arXiv 1805.07112)."""

    parts: dict[str, Reward]
    """Rewards by name."""
    weights: dict[str, float | None]
    """A number for each of the same names; None is what the others leave of 1, so that lambda can be changed alone.
    Scales differ: D is 0 to 1, CIDEr-D 0 to 10."""

    def __post_init__(self) -> None:
        weights = self.weights
        if self.parts.keys() != weights.keys() or not self.parts:
            raise ValueError(
                f"weights={dict(weights)}: one number for each of the parts {', '.join(self.parts) or '(none)'}"
            )
        given = [weight for weight in weights.values() if weight is not None]
        if len(given) < len(weights) - 1 or (len(given) < len(weights) and sum(given) > 1):
            raise ValueError(f"weights={dict(weights)}: one may be null, where the others leave it something of 1")
        self.weights = {name: 1 - sum(given) if weight is None else weight for name, weight in weights.items()}

    def __call__(self, features: ImageFeatures, captions: Captions) -> Parts:
        """Return the sum (N,) and its parts (N,)."""
        parts = {name: in_parts(reward(features, captions)).total for name, reward in self.parts.items()}
        total = features.pooled.new_zeros(len(captions))
        for name, rewards in parts.items():
            total = total + self._weight(name) * rewards
        return Parts(total, parts)

    def _weight(self, name: str) -> float:
        weight = self.weights[name]
        assert weight is not None, "filled in when it was made"
        return weight
