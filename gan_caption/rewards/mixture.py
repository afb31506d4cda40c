"""A weighted sum of rewards. Shapes: B images, N captions, T steps."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.rewards.base import Parts, Reward, rewarded


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
        """Return the sum and its parts, (N,) each, or (N, T) where each rewards tokens.

        Raises:
            ValueError: some reward captions and some tokens.
        """
        parts = {name: rewarded(reward, features, captions).total for name, reward in self.parts.items()}
        if len({rewards.dim() for rewards in parts.values()}) > 1:
            told = ", ".join(f"{name} {'a caption' if part.dim() == 1 else 'a token'}" for name, part in parts.items())
            raise ValueError(f"a mixture's parts give one number each a caption, or each a token; here it is {told}")
        total = torch.zeros_like(next(iter(parts.values())))
        for name, rewards in parts.items():
            total = total + self._weight(name) * rewards
        return Parts(total, parts)

    def _weight(self, name: str) -> float:
        weight = self.weights[name]
        assert weight is not None, "filled in when it was made"
        return weight
