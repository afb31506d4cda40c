"""Baselines: what is subtracted from the returns so that the gradient's variance falls and its mean stays.

Shapes: N captions, T steps. A baseline may depend on anything but the token that it stands against; each
of these is therefore unbiased.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor

from gan_caption.decoding.greedy import greedy
from gan_caption.distributed import world
from gan_caption.generators.base import Generator
from gan_caption.modes import evaluating
from gan_caption.objectives.samples import Rollout
from gan_caption.rewards.base import Reward


class Baseline(ABC):
    """Predicts returns; its state, where it has one, travels with the checkpoint."""

    fewest_samples: int = 1
    """Samples of an image that it needs."""

    @abstractmethod
    def __call__(self, returns: Tensor, rollout: Rollout, *, generator: Generator, reward: Reward) -> Tensor:
        """Return (N, T) or what broadcasts to it.

        Args:
            returns: (N, T), as the credit gave them.
            rollout: the samples.
            generator: the policy.
            reward: what pays the samples, for baselines that have other captions paid.
        """

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        del state


class NoBaseline(Baseline):
    """Zero."""

    def __call__(self, returns: Tensor, rollout: Rollout, *, generator: Generator, reward: Reward) -> Tensor:
        """Return zeros (N, T)."""
        del rollout, generator, reward
        return torch.zeros_like(returns)


class Fixed(Baseline):
    """A number that is known beforehand, e.g. the mean of pay that is normalised."""

    def __init__(self, *, value: float) -> None:
        """Set the number."""
        self.value = value

    def __call__(self, returns: Tensor, rollout: Rollout, *, generator: Generator, reward: Reward) -> Tensor:
        """Return (N, T)."""
        del rollout, generator, reward
        return torch.full_like(returns, self.value)


class BatchMean(Baseline):
    """At each step, the mean return of the batch's other captions that reach this step; 0 where there is none.

    The row itself is left out: a mean that holds the row's own return would shrink the gradient by (1 - 1/N).
    """

    def __call__(self, returns: Tensor, rollout: Rollout, *, generator: Generator, reward: Reward) -> Tensor:
        """Return (N, T)."""
        del generator, reward
        mask = rollout.captions.mask
        kept = returns.masked_fill(~mask, 0)
        steps = mask.shape[1]
        others = world.gather(mask).sum(0)[:steps] - mask.long()
        return (world.gather(kept).sum(0)[:steps] - kept) / others.clamp(min=1) * (others > 0)


class LeaveOneOut(Baseline):
    """The mean return of the image's other samples (Luo 2020, arXiv 2003.09971; Kool et al. 2019: RLOO).

    At a step that another sample did not reach, that sample counts with what its credit puts there: the pay it ended
    with.
    """

    fewest_samples = 2

    def __call__(self, returns: Tensor, rollout: Rollout, *, generator: Generator, reward: Reward) -> Tensor:
        """Return (N, T)."""
        del generator, reward
        samples = rollout.samples_per_image
        own = returns.unflatten(0, (len(returns) // samples, samples))  # (B, K, T)
        return ((own.sum(1, keepdim=True) - own) / (samples - 1)).flatten(0, 1)


class Greedy(Baseline):
    """What the image's greedy caption is paid: self-critical training (Rennie et al. 2017, arXiv 1612.00563)."""

    def __call__(self, returns: Tensor, rollout: Rollout, *, generator: Generator, reward: Reward) -> Tensor:
        """Return (N, 1)."""
        with evaluating(generator):
            captions = greedy(generator, rollout.features, max_length=rollout.max_length)
        pay = reward(rollout.features, captions)
        if pay.dim() != 1:
            raise ValueError("baseline Greedy needs one pay a caption, not one a token: take BatchMean")
        return pay[rollout.captions.images, None].to(returns)


class MovingAverage(Baseline):
    """An exponentially weighted mean of the returns of earlier batches."""

    def __init__(self, *, decay: float = 0.9) -> None:
        """Set the weight in [0, 1) that the past keeps at each update."""
        if not 0 <= decay < 1:
            raise ValueError(f"decay={decay}: at least 0, below 1")
        self.decay = decay
        self.mean = torch.zeros(())
        self.batches = torch.zeros(())

    def __call__(self, returns: Tensor, rollout: Rollout, *, generator: Generator, reward: Reward) -> Tensor:
        """Return the mean so far (a scalar, 0 at first), then take in this batch."""
        del generator, reward
        batch = world.gather(returns[rollout.captions.mask])
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
