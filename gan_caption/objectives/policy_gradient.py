"""The policy gradient: reward x credit x baseline.

Shapes: B images, K samples of each, N = B * K captions, T steps, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gan_caption.data.features import ImageFeatures
from gan_caption.generators.base import Generator, token_log_probs
from gan_caption.objectives.baselines import Baseline
from gan_caption.objectives.credit import Credit
from gan_caption.objectives.rollout import Rollout, collect
from gan_caption.rewards.base import Reward


@dataclass(frozen=True)
class PolicyLoss:
    """A loss to minimise, and the numbers that tell how it went."""

    loss: Tensor
    """Scalar: policy-gradient term minus the weighted entropy."""
    log_probs: Tensor
    """(N, T) log-probabilities of the sampled tokens, detached, 0 on padding."""
    metrics: dict[str, float]
    """By their documented names."""


class PolicyGradient:
    """The gradient of the expected pay, estimated from samples (Williams 1992; Yu et al. 2017, eq. 7)."""

    def __init__(
        self,
        *,
        reward: Reward,
        credit: Credit,
        baseline: Baseline,
        samples_per_image: int = 1,
        entropy_weight: float = 0.0,
        advantage_clip: float | None = None,
    ) -> None:
        """Put the parts together.

        Args:
            reward: pays complete captions.
            credit: spreads the pay over tokens.
            baseline: subtracted from the returns.
            samples_per_image: K.
            entropy_weight: of the policy's entropy (nats, mean per token), which is maximised.
            advantage_clip: advantages are clipped to plus or minus this; None does not clip.
        """
        if samples_per_image < 1:
            raise ValueError(f"samples_per_image={samples_per_image}: at least 1")
        if advantage_clip is not None and advantage_clip <= 0:
            raise ValueError(f"advantage_clip={advantage_clip}: above 0, or null")
        self.reward = reward
        self.credit = credit
        self.baseline = baseline
        self.samples_per_image = samples_per_image
        self.entropy_weight = entropy_weight
        self.advantage_clip = advantage_clip

    def collect(
        self, generator: Generator, features: ImageFeatures, *, max_length: int, rng: torch.Generator
    ) -> tuple[Rollout, Tensor, Tensor]:
        """Sample, pay and compare: the rollout, its returns (N, T) and its advantages (N, T), without gradients."""
        rollout = collect(generator, features, samples=self.samples_per_image, max_length=max_length, rng=rng)
        returns = self.credit(generator, rollout, self.reward, rng)
        advantages = (returns - self.baseline(returns, rollout)).masked_fill(~rollout.captions.mask, 0)
        if self.advantage_clip is not None:
            advantages = advantages.clamp(-self.advantage_clip, self.advantage_clip)
        return rollout, returns, advantages

    def loss(self, generator: Generator, rollout: Rollout, returns: Tensor, advantages: Tensor) -> PolicyLoss:
        """Score what was sampled, with gradients.

        The generator scores in the mode it is in; the phases keep it in eval mode, so that the scored
        distribution is the sampled one.
        """
        captions = rollout.captions
        logits = generator.logits(rollout.features, captions)
        log_probs = token_log_probs(logits, captions)
        entropy = token_entropy(logits[..., generator.first_word :])[captions.mask].mean()
        loss = policy_gradient_loss(log_probs, advantages) - self.entropy_weight * entropy
        last = captions.lengths[:, None] - 1
        pay = returns.gather(1, last)[:, 0]  # at its last token every credit returns the caption's own pay
        kept = advantages[captions.mask]
        metrics = {
            "reward/mean": pay.mean().item(),
            "reward/std": pay.std(correction=0).item(),
            "advantage/mean": kept.mean().item(),
            "advantage/std": kept.std(correction=0).item(),
            "policy/entropy": entropy.item(),
            "policy/length": captions.lengths.float().mean().item(),
        }
        return PolicyLoss(loss, log_probs.detach(), metrics)


def policy_gradient_loss(log_probs: Tensor, advantages: Tensor) -> Tensor:
    """Return the scalar whose gradient is minus the estimate of the gradient of the expected pay.

    Sum over the tokens of a caption, mean over captions; dividing by lengths would pay long captions less.

    Args:
        log_probs: (N, T) of the sampled tokens, 0 on padding.
        advantages: (N, T), 0 on padding; no gradient passes through them.
    """
    return -(advantages.detach() * log_probs).sum(1).mean()


def token_entropy(logits: Tensor) -> Tensor:
    """Return the entropy (...) in nats of each next-token distribution; logits (..., V) must be finite."""
    log_probs = logits.log_softmax(-1)
    return -(log_probs.exp() * log_probs).sum(-1)
