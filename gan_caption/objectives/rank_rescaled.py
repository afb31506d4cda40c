"""Returns by rank: LeakGAN's bootstrapped rescaled activation. Shapes: N captions of all ranks, T steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gan_caption.decoding.sampling import Samples
from gan_caption.distributed import world
from gan_caption.errors import above
from gan_caption.generators.base import Generator
from gan_caption.objectives.credit import Credit
from gan_caption.rewards.base import PlainReward


@dataclass(kw_only=True)
class RankRescaled(Credit):
    """Another credit's returns, replaced at each step by a function of their rank in the batch (Guo et al. 2018).

    However far D is ahead, the rewards of a batch are then spread alike.
    """

    credit: Credit
    """Whose returns are ranked."""
    delta: float
    """Steepness, above 0."""

    def __post_init__(self) -> None:
        above(0, delta=self.delta)

    def __call__(
        self, generator: Generator, samples: Samples, rewards: Tensor, *, reward: PlainReward, rng: torch.Generator
    ) -> Tensor:
        """Return (N, T) in (0, 1); what stands past a caption's end is ranked among the captions that go on."""
        returns = self.credit(generator, samples, rewards, reward=reward, rng=rng)
        steps = returns.shape[1]
        others, there = world.gather(returns)[:, :steps], world.gather(samples.captions.mask)[:, :steps]
        return rescaled_ranks(returns, others, there, delta=self.delta)

    def state_dict(self) -> dict[str, Any]:
        """Return what the credit remembers."""
        return self.credit.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self.credit.load_state_dict(state)


def rescaled_ranks(values: Tensor, others: Tensor, there: Tensor, *, delta: float) -> Tensor:
    """Return sigmoid(delta (.5 - rank / B)), with rank 0 for the best of the B captions that reach the step.

    Equal values have the mean of their ranks.

    Args:
        values: (N, T), of this rank.
        others: (N', T), of all ranks, these among them.
        there: (N', T) bool: who reaches the step.
        delta: steepness.
    """
    better = ((others[None] > values[:, None]) & there).sum(1)  # (N, T)
    equal = ((others[None] == values[:, None]) & there).sum(1)  # the caption itself among them
    ranks = better + (equal - 1).clamp(min=0) / 2
    return torch.sigmoid(delta * (0.5 - ranks / there.sum(0).clamp(min=1)))
