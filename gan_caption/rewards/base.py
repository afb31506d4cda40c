"""The contract of a reward. Shapes: B images, N captions, T steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures


@dataclass(frozen=True)
class Parts:
    """A reward that is made of others, and these by name."""

    total: Tensor
    """(N,) or (N, T): the reward."""
    parts: Mapping[str, Tensor]
    """Each of the total's shape, before its weight: a part means the same whatever it weighs. Each is logged, as
    `reward/<name>`."""

    def __post_init__(self) -> None:
        for name, part in self.parts.items():
            if part.shape != self.total.shape:
                raise ValueError(f"reward {name} is {tuple(part.shape)}, and the whole {tuple(self.total.shape)}")
            if name in ("mean", "std"):
                raise ValueError(f"a part of a reward cannot be called {name}: reward/{name} is the whole's")


class Reward(Protocol):
    """Rewards complete captions, or every token of them, without gradients."""

    def __call__(self, features: ImageFeatures, captions: Captions) -> Tensor | Parts:
        """Return the reward of each caption, (N,) float, or of each token, (N, T); what stands on padding is not read.

        Args:
            features: of B images.
            captions: N complete captions of them; `captions.images` says whose.

        Returns:
            the reward, or `Parts` where it has some that are worth logging.
        """
        ...


class PlainReward(Protocol):
    """A reward without parts: what credits and baselines ask."""

    def __call__(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Return (N,) or (N, T)."""
        ...


def in_parts(given: Tensor | Parts) -> Parts:
    """Return what a reward gave as a record, without parts where it named none."""
    return given if isinstance(given, Parts) else Parts(given, {})


def plain(reward: Reward) -> PlainReward:
    """Return the same reward without its parts."""
    return lambda features, captions: in_parts(reward(features, captions)).total
