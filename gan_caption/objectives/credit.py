"""Credit: how the pay of whole captions becomes a return for every token.

Shapes: N captions, T steps. A credit returns (N, T): an estimate of the state-action value
Q(y_1..y_{t-1}, y_t), the expected pay of the caption once y_t has been written.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from gan_caption.decoding.rollouts import complete_prefixes
from gan_caption.generators.base import Generator
from gan_caption.objectives.rollout import Rollout
from gan_caption.rewards.base import Reward


class Credit(Protocol):
    """Turns pay into returns."""

    def __call__(self, generator: Generator, rollout: Rollout, reward: Reward, rng: torch.Generator) -> Tensor:
        """Return (N, T); what stands on padding means nothing."""
        ...


class WholeSequence:
    """Every token is paid what its caption is paid (REINFORCE, Williams 1992)."""

    def __call__(self, generator: Generator, rollout: Rollout, reward: Reward, rng: torch.Generator) -> Tensor:
        """Return (N, T)."""
        del generator, rng
        pay = reward(rollout.features, rollout.captions)
        return pay[:, None].expand_as(rollout.captions.tokens)


class MonteCarlo:
    """Every token is paid the mean pay of n completions of its prefix (SeqGAN, Yu et al. 2017, eq. 4)."""

    def __init__(self, *, rollouts: int = 16) -> None:
        """Set n, the completions of each prefix; the paper uses 16."""
        if rollouts < 1:
            raise ValueError(f"rollouts={rollouts}: at least 1 (credit=whole_sequence has none)")
        self.rollouts = rollouts

    def __call__(self, generator: Generator, rollout: Rollout, reward: Reward, rng: torch.Generator) -> Tensor:
        """Return (N, T): the caption's own pay at its last token, means over completions before it."""
        captions = rollout.captions
        training = generator.training
        generator.eval()
        completions = complete_prefixes(
            generator, rollout.features, captions,
            rollouts=self.rollouts, max_length=rollout.max_length, rng=rng,
        )  # fmt: skip
        generator.train(training)
        final = reward(rollout.features, captions)
        pay = reward(rollout.features, completions.captions)
        returns = final[:, None].repeat(1, captions.tokens.shape[1])
        # The n completions of a prefix are neighbours, in the order of (caption, prefix).
        means = pay.reshape(len(pay) // self.rollouts, self.rollouts).mean(1)
        returns[completions.rows[:: self.rollouts], completions.steps[:: self.rollouts]] = means
        return returns
