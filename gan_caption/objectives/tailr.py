"""TaiLr: maximum likelihood that gives up on words which the policy holds improbable. Shapes: N captions, T steps."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.errors import share
from gan_caption.generators.base import Generator
from gan_caption.objectives.demonstrations import Demonstrations, Scored


@dataclass(kw_only=True)
class TaiLr(Demonstrations):
    """A bound of the total variation distance to the data (Ji et al. 2023, arXiv 2302.13344).

    The data's distribution of the next word is estimated by gamma x (the word that stands there) + (1 - gamma) x the
    policy. With gamma 0 every weight is 1: maximum likelihood. With gamma 1 the weight is p, and the gradient that of
    1 - p, the total variation distance between the policy and the one word.
    """

    gamma: float
    """How far the word that stands there is trusted to be all that could, in [0, 1]."""
    least_weight: float
    """No token weighs less, in [0, 1): without it nothing is learned where the policy is far off."""

    def __post_init__(self) -> None:
        share(least_weight=self.least_weight)
        if not 0 <= self.gamma <= 1:
            raise ValueError(f"gamma={self.gamma}: from 0 (maximum likelihood) to 1 (total variation)")

    def weights(
        self, scored: Scored, features: ImageFeatures, captions: Captions, reference: Generator | None
    ) -> Tensor:
        """Return p / (gamma + (1 - gamma) p) of each token (N, T), at least `least_weight`."""
        del features, captions, reference
        return trust(scored.log_probs.exp(), gamma=self.gamma).clamp(min=self.least_weight)


def trust(probabilities: Tensor, *, gamma: float) -> Tensor:
    """Return the policy's probability of words over TaiLr's estimate of the data's: p / (gamma + (1 - gamma) p)."""
    few = torch.finfo(probabilities.dtype).tiny  # of a word that the policy excludes, gamma 0 has 0 / 0 in place of 1
    probabilities = probabilities.clamp(min=few)
    return probabilities / (gamma + (1 - gamma) * probabilities)
