"""Baselines: what is subtracted from the returns so that the gradient's variance falls and its mean stays.

Shapes: N captions, T steps. A baseline may depend on anything but the token that it stands against; each
of these is therefore unbiased.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from gan_caption.objectives.rollout import Rollout


class Baseline(Protocol):
    """Predicts returns; its state travels with the checkpoint."""

    def __call__(self, returns: Tensor, rollout: Rollout) -> Tensor:
        """Return (N, T) or what broadcasts to it."""
        ...

    def state_dict(self) -> dict[str, Tensor]:
        """Return what a resumed run needs."""
        ...

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take back what `state_dict` gave."""
        ...


class Stateless:
    """A baseline that remembers nothing."""

    def state_dict(self) -> dict[str, Tensor]:
        """Return {}."""
        return {}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Accept {}."""
        del state


class NoBaseline(Stateless):
    """Zero."""

    def __call__(self, returns: Tensor, rollout: Rollout) -> Tensor:
        """Return zeros (N, T)."""
        del rollout
        return torch.zeros_like(returns)


class BatchMean(Stateless):
    """At each step, the mean return of the batch's other captions that reach this step; 0 where there is none.

    The row itself is left out: a mean that holds the row's own return would shrink the gradient by (1 - 1/N).
    """

    def __call__(self, returns: Tensor, rollout: Rollout) -> Tensor:
        """Return (N, T)."""
        mask = rollout.captions.mask
        kept = returns.masked_fill(~mask, 0)
        others = mask.sum(0) - mask.long()
        return (kept.sum(0) - kept) / others.clamp(min=1) * (others > 0)


class MovingAverage:
    """An exponentially weighted mean of the returns of earlier batches."""

    def __init__(self, *, decay: float = 0.9) -> None:
        """Set the weight in [0, 1) that the past keeps at each update."""
        if not 0 <= decay < 1:
            raise ValueError(f"decay={decay}: at least 0, below 1")
        self.decay = decay
        self.mean = torch.zeros(())
        self.batches = torch.zeros(())

    def __call__(self, returns: Tensor, rollout: Rollout) -> Tensor:
        """Return the mean so far (a scalar, 0 at first), then take in this batch."""
        # Divided by the total weight, as Adam does: the early means are not drawn towards 0.
        weight = 1 - self.decay**self.batches
        baseline = self.mean / weight if self.batches > 0 else self.mean
        self.mean = self.decay * self.mean + (1 - self.decay) * returns[rollout.captions.mask].mean().cpu()
        self.batches = self.batches + 1
        return baseline.to(returns.device)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the mean and the number of batches in it."""
        return {"mean": self.mean, "batches": self.batches}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take back what `state_dict` gave."""
        self.mean, self.batches = state["mean"], state["batches"]
