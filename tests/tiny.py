"""The world that experiments/estimators enumerates: `<eos>` and two words, captions of at most three tokens.

With discriminators for it.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from experiments.estimators.world import (
    LENGTH,
    VOCABULARY,
    CaptionReward,
    TokenReward,
    all_captions,
    attention_lstm,
    captions_of,
    exact_gradient,
    features,
    generators,
    gradient,
    lstm,
    reward_of,
    stepwise_log_probs,
    token_rewards_of,
    transformer,
    updown,
)
from gan_caption.data.captions import Captions
from gan_caption.discriminators.base import Discriminator
from gan_caption.generators.leakgan import LeakGANGenerator

__all__ = [
    "EVERY",
    "LENGTH",
    "VOCABULARY",
    "CaptionReward",
    "TokenReward",
    "all_captions",
    "attention_lstm",
    "captions_of",
    "discriminator",
    "exact_gradient",
    "features",
    "generators",
    "gradient",
    "leakgan",
    "lstm",
    "reward_of",
    "stepwise_log_probs",
    "token_rewards_of",
    "transformer",
    "updown",
    "written",
]

EVERY = range(len(generators()))
"""Indices of `generators()`."""

_SMALL = {
    "vocabulary_size": VOCABULARY, "pooled_size": 5, "grid_size": 7, "hidden": 32, "embedding": 8, "filters": 16,
    "widths": [1, 2, 3, 4, 5], "representations": 8, "kernels": 32, "kernel_size": 8, "waves": 8, "longest": 9,
    "dropout": 0.3, "instance_noise": 0.0,
}  # fmt: skip


def written(captions: Captions) -> Tensor:
    """Count how often each of all captions stands among some, (15,) long, in the order of `all_captions`."""
    texts = captions_of(0)

    def numbers(own: Captions) -> Tensor:
        tokens = functional.pad(own.tokens * own.mask, (0, LENGTH - own.tokens.shape[1]))
        return (tokens * VOCABULARY ** torch.arange(LENGTH)).sum(1)

    return torch.bincount(numbers(captions), minlength=VOCABULARY**LENGTH)[numbers(texts)]


def discriminator(kind: type[Discriminator], **changes: Any) -> Discriminator:
    """A small one of a kind: of the values above those that it has, but for `changes`."""
    own = inspect.signature(kind).parameters
    return kind(**{name: value for name, value in _SMALL.items() if name in own} | changes)


def leakgan(**changes: Any) -> LeakGANGenerator:
    """A small one that fits `discriminator(CNNDiscriminator)`; `changes` are its own arguments."""
    small: dict[str, Any] = {
        "vocabulary_size": VOCABULARY, "pooled_size": 5, "hidden": 6, "embedding": 4, "goal_size": 3, "horizon": 2,
        "leaked_embedding": 8, "leaked_filters": 16, "leaked_widths": [1, 2, 3, 4, 5], "dropout": 0.0, "noise_size": 0,
        "noise_law": "normal", "generate_unknown": False,
    }  # fmt: skip
    return LeakGANGenerator(**(small | changes))
