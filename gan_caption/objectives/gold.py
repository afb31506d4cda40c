"""GOLD: an off-policy policy gradient on people's captions. Shapes: B images, N captions, T steps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.errors import NoReference, at_least, proportion, share
from gan_caption.generators.base import Generator
from gan_caption.objectives.demonstrations import Demonstrations, Scored, score_targets


class DemonstrationReturn(Protocol):
    """What a demonstrated token earns, with those that follow it."""

    def __call__(self, features: ImageFeatures, captions: Captions, reference: Generator | None) -> Tensor:
        """Return (N, T), without gradients; what stands on padding is not read.

        Args:
            features: of B images.
            captions: N that people wrote of them.
            reference: the pretrained policy, where there is one.

        Raises:
            ValueError: there is no reference, and the return needs one.
        """
        ...


class DeltaReturn:
    """1: whatever people wrote is right, and nothing else is (GOLD-delta)."""

    def __call__(self, features: ImageFeatures, captions: Captions, reference: Generator | None) -> Tensor:
        """Return ones (N, T)."""
        del features, reference
        return torch.ones_like(captions.tokens, dtype=torch.float)


@dataclass(kw_only=True)
class LikelihoodReturn(ABC):
    """The pretrained policy judges the token and the next ones; beyond a caption's end all is right: p is 1 there."""

    horizon: int
    """How many tokens after this one count; at least 0."""
    discount: float
    """Of each later token, in (0, 1]."""
    least_reward: float
    """No token's reward is smaller: c of their algorithm 1."""

    def __post_init__(self) -> None:
        at_least(0, horizon=self.horizon)
        proportion(discount=self.discount)

    def __call__(self, features: ImageFeatures, captions: Captions, reference: Generator | None) -> Tensor:
        """Return the discounted sums (N, T) of the rewards."""
        if reference is None:
            raise NoReference(
                "GOLD's return needs the pretrained policy, and there is none; gold_return=delta does not"
            )
        log_probs = score_targets(reference, features, captions).log_probs
        rewards = self.rewards(functional.pad(log_probs, (0, self.horizon))).clamp(min=self.least_reward)
        steps = log_probs.shape[1]
        return sum(
            (self.discount**later * rewards[:, later : later + steps] for later in range(self.horizon + 1)),
            start=torch.zeros_like(log_probs),
        )

    @abstractmethod
    def rewards(self, log_probs: Tensor) -> Tensor:
        """Return the rewards of tokens from their log-probabilities under the pretrained policy, of the same shape."""


@dataclass(kw_only=True)
class ProductReturn(LikelihoodReturn):
    """The sum of log p, the logarithm of a product (GOLD-p)."""

    baseline: float
    """Subtracted from log p of each token: b of their algorithm 1."""

    def rewards(self, log_probs: Tensor) -> Tensor:
        """Return log p less the baseline."""
        return log_probs - self.baseline


@dataclass(kw_only=True)
class SumReturn(LikelihoodReturn):
    """The sum of p (GOLD-s)."""

    def rewards(self, log_probs: Tensor) -> Tensor:
        """Return p."""
        return log_probs.exp()


@dataclass(kw_only=True)
class Gold(Demonstrations):
    """Generation by off-policy learning from demonstrations (Pang & He 2021, arXiv 2009.07839, algorithm 1).

    The policy gradient on captions that people wrote, not the policy: the weight of each token is the return times the
    policy's own probability, for people's, which nobody knows and which counts as 1.
    """

    returns: DemonstrationReturn
    """What a token earns."""
    least_weight: float
    """The smallest importance weight, in [0, 1): u of their algorithm 1."""

    def __post_init__(self) -> None:
        share(least_weight=self.least_weight)

    def weights(
        self, scored: Scored, features: ImageFeatures, captions: Captions, reference: Generator | None
    ) -> Tensor:
        """Return max(u, p) x return (N, T)."""
        returns = self.returns(features, captions, reference).to(scored.log_probs)
        return scored.log_probs.exp().clamp(min=self.least_weight) * returns
