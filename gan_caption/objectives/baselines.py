"""Baselines: what is subtracted from the returns so that the gradient's variance falls and its mean stays.

Shapes: N captions, T steps. A baseline may depend on anything but the token that it stands against, and
what follows it; each of these is therefore unbiased, but where a caption's returns depend on other captions (ranks).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from gan_caption.decoding.greedy import greedy
from gan_caption.decoding.sampling import Samples
from gan_caption.distributed import world
from gan_caption.errors import share
from gan_caption.generators.base import Generator
from gan_caption.modes import evaluating
from gan_caption.rewards.base import PlainReward


class Baseline(ABC):
    """Predicts returns; its state, where it has one, travels with the checkpoint."""

    fewest_samples: ClassVar[int] = 1
    """Samples of an image that it needs."""

    @abstractmethod
    def __call__(self, returns: Tensor, samples: Samples, *, generator: Generator, reward: PlainReward) -> Tensor:
        """Return (N, T) or what broadcasts to it.

        Args:
            returns: (N, T), as the credit gave them.
            samples: N of them.
            generator: the policy.
            reward: what gave their rewards, for baselines that ask about other captions too.
        """

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        del state


@dataclass(kw_only=True)
class NoBaseline(Baseline):
    """No baseline: 0 for every token."""

    def __call__(self, returns: Tensor, samples: Samples, *, generator: Generator, reward: PlainReward) -> Tensor:
        """Return zeros (N, T)."""
        del samples, generator, reward
        return torch.zeros_like(returns)


@dataclass(kw_only=True)
class Fixed(Baseline):
    """A number that is known beforehand, e.g. the mean of normalised rewards."""

    value: float
    """What is subtracted."""

    def __call__(self, returns: Tensor, samples: Samples, *, generator: Generator, reward: PlainReward) -> Tensor:
        """Return (N, T)."""
        del samples, generator, reward
        return torch.full_like(returns, self.value)


@dataclass(kw_only=True)
class BatchMean(Baseline):
    """At each step, the mean return of the batch's other captions that reach this step; 0 where there is none.

    The row itself is left out: a mean that holds the row's own return would shrink the gradient by (1 - 1/N).
    """

    def __call__(self, returns: Tensor, samples: Samples, *, generator: Generator, reward: PlainReward) -> Tensor:
        """Return (N, T)."""
        del generator, reward
        mask = samples.captions.mask
        kept = returns.masked_fill(~mask, 0)
        steps = mask.shape[1]
        others = world.gather(mask).sum(0)[:steps] - mask.long()
        return (world.gather(kept).sum(0)[:steps] - kept) / others.clamp(min=1) * (others > 0)


@dataclass(kw_only=True)
class LeaveOneOut(Baseline):
    """The mean return of the image's other samples (Luo 2020, arXiv 2003.09971; Kool et al. 2019: RLOO).

    At a step that another sample did not reach, it counts with its reward, which its credit puts there.
    """

    fewest_samples = 2

    def __call__(self, returns: Tensor, samples: Samples, *, generator: Generator, reward: PlainReward) -> Tensor:
        """Return (N, T)."""
        del generator, reward
        count = samples.samples_per_image
        own = returns.unflatten(0, (len(returns) // count, count))  # (B, K, T)
        return ((own.sum(1, keepdim=True) - own) / (count - 1)).flatten(0, 1)


@dataclass(kw_only=True)
class SelfCritical(Baseline):
    """The reward of the image's greedy caption: self-critical training (Rennie et al. 2017, arXiv 1612.00563)."""

    def __call__(self, returns: Tensor, samples: Samples, *, generator: Generator, reward: PlainReward) -> Tensor:
        """Return (N, 1)."""
        with evaluating(generator):
            captions = greedy(generator, samples.features, max_length=samples.max_length)
        rewards = reward(samples.features, captions)
        if rewards.dim() != 1:
            raise ValueError("baseline SelfCritical needs one reward a caption, not one a token: take BatchMean")
        return rewards[samples.captions.images, None].to(returns)


@dataclass(kw_only=True)
class MovingAverage(Baseline):
    """An exponentially weighted mean of the returns of earlier batches."""

    decay: float
    """The weight in [0, 1) that the past keeps at each update."""

    mean: Tensor = field(init=False, default_factory=lambda: torch.zeros(()))
    batches: Tensor = field(init=False, default_factory=lambda: torch.zeros(()))

    def __post_init__(self) -> None:
        share(decay=self.decay)

    def __call__(self, returns: Tensor, samples: Samples, *, generator: Generator, reward: PlainReward) -> Tensor:
        """Return the mean so far (a scalar, 0 at first), then take in this batch."""
        del generator, reward
        batch = world.gather(samples.captions.packed(returns))
        # Divided by the total weight, as Adam does: the early means are not drawn towards 0.
        weight = 1 - self.decay**self.batches
        baseline = self.mean / weight if self.batches > 0 else self.mean
        self.mean = self.decay * self.mean + (1 - self.decay) * batch.mean().cpu()
        self.batches = self.batches + 1
        return baseline.to(returns.device)

    def state_dict(self) -> dict[str, Any]:
        """Return the mean and the number of batches in it."""
        return {"mean": self.mean, "batches": self.batches}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self.mean, self.batches = state["mean"], state["batches"]
