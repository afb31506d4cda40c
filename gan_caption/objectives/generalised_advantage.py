"""Generalised advantage estimation (Schulman et al. 2016, arXiv 1506.02438). Shapes: N captions, T steps."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from gan_caption.decoding.sampling import Samples
from gan_caption.errors import at_least, probability
from gan_caption.generators.base import Generator
from gan_caption.objectives.credit import discounted_to_go
from gan_caption.objectives.critic import LearnedCritic
from gan_caption.rewards.base import PlainReward


@dataclass(kw_only=True, eq=False)
class GeneralisedAdvantage(LearnedCritic):
    """What turns returns into generalised advantages, by a learned value of each prefix.

    Beside the value it subtracts what later tokens bring beyond theirs. That depends on the token it stands against:
    the gradient varies less, and is unbiased where lambda is 1 or the value exact. The critic is fitted to
    the lambda-returns, advantage + value, as those of one batch stand before the critic learns from it.
    """

    discount: float
    """Gamma in [0, 1]: that of the returns. 1 where the credit has none."""
    gae_lambda: float
    """Lambda in [0, 1]: 1 takes what was rewarded alone, 0 the next value in place of all that comes later."""
    updates: int
    """Gradient steps of the critic on the same samples."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, updates=self.updates)
        probability(discount=self.discount, gae_lambda=self.gae_lambda)

    def __call__(self, returns: Tensor, samples: Samples, *, generator: Generator, reward: PlainReward) -> Tensor:
        """Return the returns less the advantages (N, T), and let the critic learn."""
        del generator, reward
        captions = samples.captions
        with torch.no_grad():
            values = self.values(samples)
        rewards = rewards_of(returns.masked_fill(~captions.mask, 0), discount=self.discount)
        advantages = generalised_advantages(rewards, values, discount=self.discount, gae_lambda=self.gae_lambda)
        for _ in range(self.updates):
            self.fit(advantages + values, samples)
        return returns - advantages


def generalised_advantages(rewards: Tensor, values: Tensor, *, discount: float, gae_lambda: float) -> Tensor:
    """Return the sums (N, T) over l >= 0 of (gamma lambda)^l delta_(t+l), eq. 16.

    delta_t = r_t + gamma V_(t+1) - V_t, the error of one step, is eq. 11's.

    Args:
        rewards: (N, T) r_t of each token, 0 on padding.
        values: (N, T) V_t of the prefix before each token, 0 on padding: after its end a caption is worth nothing more,
            also where it was cut, as its reward has been given.
        discount: gamma.
        gae_lambda: lambda.
    """
    errors = rewards + discount * _next(values) - values
    return discounted_to_go(errors, discount=discount * gae_lambda)


def rewards_of(returns: Tensor, *, discount: float) -> Tensor:
    """Return the rewards r_t = R_t - gamma R_(t+1) of which the returns (N, T), 0 on padding, are the discounted sums.

    Of a caption whose tokens all have its reward as their return, they are 0, and this reward at the last token.
    """
    return returns - discount * _next(returns)


def _next(values: Tensor) -> Tensor:
    """Return what stands one step later (N, T), 0 after the last step."""
    return functional.pad(values[:, 1:], (0, 1))
