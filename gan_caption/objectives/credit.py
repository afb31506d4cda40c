"""Credit: how pay becomes a return for every token.

Shapes: N captions, T steps. A credit returns (N, T): an estimate of the state-action value
Q(y_1..y_{t-1}, y_t), the expected pay of the caption once y_t has been written.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor

from gan_caption.decoding.rollouts import complete_prefixes
from gan_caption.errors import at_least
from gan_caption.generators.base import Generator
from gan_caption.modes import evaluating
from gan_caption.objectives.samples import Rollout
from gan_caption.rewards.base import Reward


class Credit(ABC):
    """Turns pay into returns; its state, where it has one, travels with the checkpoint."""

    @abstractmethod
    def __call__(
        self, generator: Generator, rollout: Rollout, pay: Tensor, *, reward: Reward, rng: torch.Generator
    ) -> Tensor:
        """Return (N, T); past its end stands the pay that the caption ended with, or 0 where tokens are paid.

        Args:
            generator: the policy.
            rollout: N samples.
            pay: of each caption (N,), or of each token (N, T), 0 on padding.
            reward: what paid them, for credits that have other captions paid.
            rng: a CPU generator.

        Raises:
            ValueError: captions are paid where this credit needs pay for every token, or the other way round.
        """

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        del state


class WholeSequence(Credit):
    """Every token is paid what its caption is paid (REINFORCE, Williams 1992)."""

    def __call__(
        self, generator: Generator, rollout: Rollout, pay: Tensor, *, reward: Reward, rng: torch.Generator
    ) -> Tensor:
        """Return (N, T)."""
        del generator, reward, rng
        return _whole(pay, self)[:, None].expand_as(rollout.captions.tokens)


class MonteCarlo(Credit):
    """Every token is paid the mean pay of n completions of its prefix (SeqGAN, Yu et al. 2017, eq. 4)."""

    def __init__(self, *, rollouts: int = 16, update_rate: float = 1.0) -> None:
        """Set how prefixes are completed.

        Args:
            rollouts: n, the completions of each prefix; the paper uses 16.
            update_rate: in (0, 1]: the share of the policy's weights that the rollout policy takes over before each
                use (its first weights are the policy's). 1: the policy itself completes. The authors' code uses 0.2.
        """
        at_least(1, rollouts=rollouts)
        if not 0 < update_rate <= 1:
            raise ValueError(f"update_rate={update_rate}: above 0, at most 1")
        self.rollouts = rollouts
        self.update_rate = update_rate
        self.policy: Generator | None = None
        self._saved: dict[str, Any] = {}

    def __call__(
        self, generator: Generator, rollout: Rollout, pay: Tensor, *, reward: Reward, rng: torch.Generator
    ) -> Tensor:
        """Return (N, T): the caption's own pay at its last token, means over completions before it."""
        captions = rollout.captions
        policy = self._follow(generator)
        with evaluating(policy):
            completions = complete_prefixes(
                policy, rollout.features, captions,
                rollouts=self.rollouts, max_length=rollout.max_length, rng=rng,
            )  # fmt: skip
        returns = _whole(pay, self)[:, None].repeat(1, captions.tokens.shape[1])
        paid = reward(rollout.features, completions.captions)
        # The n completions of a prefix are neighbours, in the order of (caption, prefix).
        means = paid.reshape(len(paid) // self.rollouts, self.rollouts).mean(1)
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
        for own, target in zip(self.policy.parameters(), generator.parameters(), strict=True):
            own.lerp_(target, self.update_rate)
        return self.policy

    def state_dict(self) -> dict[str, Any]:
        """Return the rollout policy's weights, where it has its own."""
        return {} if self.policy is None else self.policy.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self.policy, self._saved = None, state


class Discounted(Credit):
    """Every token is paid by itself: R_t = r_t + gamma R_(t+1) (ScratchGAN, de Masson d'Autume et al. 2019, eq. 4)."""

    def __init__(self, *, discount: float = 0.23) -> None:
        """Set gamma in [0, 1]; the paper uses .23, and 1 is the undiscounted return to go."""
        if not 0 <= discount <= 1:
            raise ValueError(f"discount={discount}: at least 0, at most 1")
        self.discount = discount

    def __call__(
        self, generator: Generator, rollout: Rollout, pay: Tensor, *, reward: Reward, rng: torch.Generator
    ) -> Tensor:
        """Return (N, T)."""
        del generator, rollout, reward, rng
        if pay.dim() != 2:
            raise ValueError("credit Discounted needs pay for every token, from a dense discriminator, say")
        returns, following = [], torch.zeros_like(pay[:, 0])
        for own in reversed(pay.unbind(1)):
            following = own + self.discount * following
            returns.append(following)
        return torch.stack(returns[::-1], dim=1)


def _whole(pay: Tensor, credit: Credit) -> Tensor:
    if pay.dim() != 1:
        raise ValueError(f"credit {type(credit).__name__} needs one pay a caption, not one a token: take Discounted")
    return pay
