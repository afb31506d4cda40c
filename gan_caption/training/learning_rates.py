"""How a learning rate moves over a phase, as `conf/learning_rate/` names it: shares of its highest value."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from gan_caption.errors import above, at_least, probability


class LearningRate(Protocol):
    """A function of the step."""

    def __call__(self, step: int, total: int) -> float:
        """Return the share of the highest learning rate, in [0, 1].

        Args:
            step: from 0 to `total` - 1.
            total: the phase's steps.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Constant:
    """The highest rate throughout."""

    def __call__(self, step: int, total: int) -> float:
        """Return 1."""
        del step, total
        return 1.0


@dataclass(frozen=True, kw_only=True)
class Cosine:
    """A linear warm-up, then half a cosine (Loshchilov & Hutter 2017, arXiv 1608.03983, without restarts)."""

    warmup_steps: int
    """Steps until its share is 1; 0 for none. It takes at most half of the phase: a short one has a peak too."""
    final: float
    """The share that is left at the phase's end, in [0, 1]; 1 stays."""

    def __post_init__(self) -> None:
        at_least(0, warmup_steps=self.warmup_steps)
        probability(final=self.final)

    def __call__(self, step: int, total: int) -> float:
        """Return the warm-up's share of the cosine's."""
        cosine = 0.5 * (1 + math.cos(math.pi * step / total))
        return _warm(step, total, self.warmup_steps) * (self.final + (1 - self.final) * cosine)


@dataclass(frozen=True, kw_only=True)
class Polynomial:
    """A linear warm-up, then a fall by (1 - step / total) ** power; power 1 is a straight line."""

    warmup_steps: int
    """As in `Cosine`."""
    final: float
    """As in `Cosine`."""
    power: float
    """Above 0."""

    def __post_init__(self) -> None:
        at_least(0, warmup_steps=self.warmup_steps)
        probability(final=self.final)
        above(0, power=self.power)

    def __call__(self, step: int, total: int) -> float:
        """Return the warm-up's share of the polynomial's."""
        left = (1 - step / total) ** self.power
        return _warm(step, total, self.warmup_steps) * (self.final + (1 - self.final) * left)


@dataclass(frozen=True, kw_only=True)
class InverseSquareRoot:
    """A linear warm-up, then a fall by the root of the step (Vaswani et al. 2017, arXiv 1706.03762, eq. 3).

    The paper's factor of the model's size is the highest learning rate here, which is reached as the warm-up ends.
    """

    warmup_steps: int
    """At least 1; the paper's is 4000."""

    def __post_init__(self) -> None:
        at_least(1, warmup_steps=self.warmup_steps)

    def __call__(self, step: int, total: int) -> float:
        """Return the smaller of the line and the root."""
        del total
        return min((step + 1) / self.warmup_steps, math.sqrt(self.warmup_steps / (step + 1)))


def _warm(step: int, total: int, warmup_steps: int) -> float:
    """Return the warm-up's share: step by step up to 1, in half of the phase at most."""
    return min((step + 1) / max(min(warmup_steps, total // 2), 1), 1.0)
