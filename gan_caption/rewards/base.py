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


def rewarded(reward: Reward, features: ImageFeatures, captions: Captions) -> Parts:
    """Return what a reward gives as a record, without parts where it names none.

    Args:
        reward: any; one's own may be faulty, and what else it gives would be broadcast to something.
        features: of B images.
        captions: N of them.

    Raises:
        ValueError: it gave something else than floating-point numbers, (N,) or (N, T).
    """
    given = reward(features, captions)
    parts = given if isinstance(given, Parts) else Parts(given, {})
    one_a_caption, one_a_token = captions.shapes
    wanted = f"it gives floating-point numbers, one a caption, {one_a_caption} here, or one a token, {one_a_token}"
    for name, one in {"": parts.total, **parts.parts}.items():
        told = f"reward {type(reward).__name__}{name and f', part {name}'}"
        if not isinstance(one, Tensor):
            raise ValueError(f"{told} gave a {type(one).__name__}: {wanted}")
        if tuple(one.shape) not in captions.shapes or not one.is_floating_point():
            raise ValueError(f"{told} gave {tuple(one.shape)} of {one.dtype}: {wanted}")
    return parts


def plain(reward: Reward) -> PlainReward:
    """Return the same reward without its parts."""
    return lambda features, captions: rewarded(reward, features, captions).total
