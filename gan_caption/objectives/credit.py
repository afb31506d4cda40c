"""Credit: how rewards become a return for every token.

Shapes: N captions, T steps. A credit returns (N, T): an estimate of the state-action value
Q(y_1..y_{t-1}, y_t), the expected reward of the caption once y_t has been written.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from gan_caption.decoding.rollouts import complete_prefixes
from gan_caption.decoding.sampling import Samples
from gan_caption.errors import at_least, probability, proportion
from gan_caption.generators.base import Generator
from gan_caption.modes import evaluating
from gan_caption.rewards.base import PlainReward


class Credit(ABC):
    """Turns rewards into returns; its state, where it has one, travels with the checkpoint."""

    @abstractmethod
    def __call__(
        self, generator: Generator, samples: Samples, rewards: Tensor, *, reward: PlainReward, rng: torch.Generator
    ) -> Tensor:
        """Return (N, T); past a caption's end stands its own reward, or 0 where every token has one.

        Args:
            generator: the policy.
            samples: N of them.
            rewards: of each caption (N,), or of each token (N, T), 0 on padding.
            reward: what gave them, for credits that ask about other captions too.
            rng: a CPU generator.

        Raises:
            ValueError: captions have rewards where this credit needs one for every token, or the other way round.
        """

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        del state


@dataclass(kw_only=True)
class WholeSequence(Credit):
    """The return of every token is the reward of its caption (REINFORCE, Williams 1992)."""

    def __call__(
        self, generator: Generator, samples: Samples, rewards: Tensor, *, reward: PlainReward, rng: torch.Generator
    ) -> Tensor:
        """Return (N, T)."""
        del generator, reward, rng
        return _whole(rewards, self)[:, None].expand_as(samples.captions.tokens)


@dataclass(kw_only=True)
class MonteCarlo(Credit):
    """The return of a token is the mean reward of n completions of its prefix (SeqGAN, Yu et al. 2017, eq. 4)."""

    rollouts: int
    """n, the completions of each prefix; the paper uses 16."""
    update_rate: float
    """In (0, 1]: the share of the policy's weights that the rollout policy takes over before each use. Its first
    weights are the policy's. 1: the policy itself completes. The authors' code uses 0.2."""

    policy: Generator | None = field(init=False, default=None, repr=False)
    _saved: dict[str, Any] = field(init=False, default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        at_least(1, rollouts=self.rollouts)
        proportion(update_rate=self.update_rate)

    def __call__(
        self, generator: Generator, samples: Samples, rewards: Tensor, *, reward: PlainReward, rng: torch.Generator
    ) -> Tensor:
        """Return (N, T): the caption's own reward at its last token, means over completions before it."""
        captions = samples.captions
        policy = self._follow(generator)
        with evaluating(policy):
            completions = complete_prefixes(
                policy, samples.features, captions,
                rollouts=self.rollouts, max_length=samples.max_length, rng=rng,
            )  # fmt: skip
        returns = _whole(rewards, self)[:, None].repeat(1, captions.tokens.shape[1])
        completed = reward(samples.features, completions.captions)
        # The n completions of a prefix are neighbours, in the order of (caption, prefix).
        means = completed.reshape(len(completed) // self.rollouts, self.rollouts).mean(1)
        returns[completions.rows[:: self.rollouts], completions.steps[:: self.rollouts]] = means
        return returns

    @torch.no_grad()
    def _follow(self, generator: Generator) -> Generator:
        """Return the rollout policy, moved towards the generator."""
        if self.update_rate == 1:
            return generator
        if self.policy is None:
            self.policy = copy.deepcopy(generator).requires_grad_(False)
            if not self._saved:
                return self.policy
            self.policy.load_state_dict(self._saved)
            self._saved = {}
        for own, target in zip(self.policy.parameters(), generator.parameters(), strict=True):
            own.lerp_(target, self.update_rate)
        for kept, current in zip(self.policy.buffers(), generator.buffers(), strict=True):
            kept.copy_(current)  # what is not learned, a discriminator's features say, means nothing half-way
        return self.policy

    def state_dict(self) -> dict[str, Any]:
        """Return the rollout policy's weights, where it has its own."""
        return self._saved if self.policy is None else self.policy.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self.policy, self._saved = None, state


@dataclass(kw_only=True)
class Discounted(Credit):
    """Each token has its own reward: R_t = r_t + gamma R_(t+1) (ScratchGAN, de Masson d'Autume et al. 2019, eq. 4)."""

    discount: float
    """Gamma in [0, 1]; the paper uses .23, and 1 is the undiscounted return to go."""

    def __post_init__(self) -> None:
        probability(discount=self.discount)

    def __call__(
        self, generator: Generator, samples: Samples, rewards: Tensor, *, reward: PlainReward, rng: torch.Generator
    ) -> Tensor:
        """Return (N, T)."""
        del generator, samples, reward, rng
        if rewards.dim() != 2:
            raise ValueError("credit Discounted needs a reward for every token, from a dense discriminator, say")
        return discounted_to_go(rewards, discount=self.discount)


def discounted_to_go(values: Tensor, *, discount: float) -> Tensor:
    """Return at each step the sum (N, T) of the values from this step on, each later one times one more discount."""
    sums, following = [], torch.zeros_like(values[:, 0])
    for own in reversed(values.unbind(1)):
        following = own + discount * following
        sums.append(following)
    return torch.stack(sums[::-1], dim=1)


def _whole(rewards: Tensor, credit: Credit) -> Tensor:
    if rewards.dim() != 1:
        raise ValueError(f"credit {type(credit).__name__} needs one reward a caption, not one a token: take Discounted")
    return rewards
