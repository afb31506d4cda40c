"""The policy gradient: reward x credit x baseline.

Shapes: B images, K samples of each, N = B * K captions, T steps, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.distributed import world
from gan_caption.errors import at_least
from gan_caption.generators.base import Generator, token_log_probs
from gan_caption.objectives.base import GeneratorObjective, PolicyLoss
from gan_caption.objectives.baselines import Baseline
from gan_caption.objectives.credit import Credit
from gan_caption.objectives.samples import Rollout, collect
from gan_caption.rewards.base import Reward


@dataclass(frozen=True)
class Experience:
    """Samples that somebody has paid."""

    rollout: Rollout
    """N sampled captions."""
    pay: Tensor
    """(N,): of each caption; the sum over its tokens where these are paid."""
    log_probs: Tensor
    """(N, T) of the sampled tokens under the policy that sampled them, 0 on padding."""
    returns: Tensor
    """(N, T): what the credit gave each token, less the penalty for leaving the reference."""
    advantages: Tensor
    """(N, T): returns less the baseline, 0 on padding."""
    log_ratio: Tensor | None = None
    """(N, T): log p - log p_reference of the sampled tokens, 0 on padding; None where there is no reference."""


class PolicyGradient(GeneratorObjective):
    """The gradient of the expected pay, estimated from samples (Williams 1992; Yu et al. 2017, eq. 7)."""

    updates: int = 1
    """Gradient steps on the same samples."""

    def __init__(
        self,
        *,
        reward: Reward,
        credit: Credit,
        baseline: Baseline,
        samples_per_image: int = 1,
        entropy_weight: float = 0.0,
        kl_weight: float = 0.0,
        advantage_clip: float | None = None,
    ) -> None:
        """Put the parts together.

        Args:
            reward: pays complete captions, or every token of them.
            credit: spreads the pay over tokens.
            baseline: subtracted from the returns.
            samples_per_image: K.
            entropy_weight: of the policy's entropy (nats, mean per token), which is maximised.
            kl_weight: of KL(policy || reference), nats a caption, which is subtracted from the expected pay. Every
                token is charged for the log-ratios from itself to the caption's end: the exact gradient, in the mean.
            advantage_clip: advantages are clipped to plus or minus this; None does not clip.
        """
        if samples_per_image < baseline.fewest_samples:
            kind = type(baseline).__name__
            raise ValueError(
                f"samples_per_image={samples_per_image}: the baseline {kind} needs at least {baseline.fewest_samples}"
            )
        at_least(0, entropy_weight=entropy_weight, kl_weight=kl_weight)
        if advantage_clip is not None and advantage_clip <= 0:
            raise ValueError(f"advantage_clip={advantage_clip}: above 0, or null")
        self.reward = reward
        self.credit = credit
        self.baseline = baseline
        self.samples_per_image = samples_per_image
        self.entropy_weight = entropy_weight
        self.kl_weight = kl_weight
        self.advantage_clip = advantage_clip

    def losses(
        self,
        generator: Generator,
        features: ImageFeatures,
        *,
        real: Captions,
        max_length: int,
        rng: torch.Generator,
        reference: Generator | None,
        progress: float,
    ) -> Iterator[PolicyLoss]:
        """Sample once, and yield a loss for each update; see `GeneratorObjective.losses`."""
        del real, progress
        experience = self.collect(generator, features, max_length=max_length, rng=rng, reference=reference)
        divergence: dict[str, float] = {}
        if experience.log_ratio is not None:
            # E[log p - log p_ref] over the policy's own samples: nats per caption.
            divergence["policy/kl"] = world.gather(experience.log_ratio.sum(1)).mean().item()
        for _ in range(self.updates):
            policy = self.loss(generator, experience)
            yield PolicyLoss(policy.loss, {**policy.metrics, **divergence})

    def state_dict(self) -> dict[str, Any]:
        """Return what the baseline and the credit remember."""
        return {"baseline": self.baseline.state_dict(), "credit": self.credit.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self.baseline.load_state_dict(state["baseline"])
        self.credit.load_state_dict(state["credit"])

    def collect(
        self,
        generator: Generator,
        features: ImageFeatures,
        *,
        max_length: int,
        rng: torch.Generator,
        reference: Generator | None = None,
    ) -> Experience:
        """Sample, pay and compare, without gradients.

        Args:
            generator: the policy.
            features: of B images.
            max_length: of samples, in tokens.
            rng: a CPU generator.
            reference: the policy that `kl_weight` refers to, scored once; None where there is none.

        Raises:
            ValueError: there is a `kl_weight` and no reference, or the parts do not fit together.
        """
        rollout = collect(generator, features, samples=self.samples_per_image, max_length=max_length, rng=rng)
        assert rollout.log_probs is not None, "the policy has just sampled"
        log_probs = rollout.log_probs
        pay = self.reward(rollout.features, rollout.captions)
        if pay.dim() == 2:
            pay = pay.masked_fill(~rollout.captions.mask, 0)
        returns = self.credit(generator, rollout, pay, reward=self.reward, rng=rng)
        ratio = None if reference is None else log_ratio(log_probs, reference, rollout)
        if self.kl_weight:
            if ratio is None:
                raise ValueError(f"kl_weight={self.kl_weight}: there is no pretrained policy to stay near")
            returns = returns - self.kl_weight * to_go(ratio)
        baseline = self.baseline(returns, rollout, generator=generator, reward=self.reward)
        advantages = (returns - baseline).masked_fill(~rollout.captions.mask, 0)
        if self.advantage_clip is not None:
            advantages = advantages.clamp(-self.advantage_clip, self.advantage_clip)
        return Experience(rollout, pay.sum(1) if pay.dim() == 2 else pay, log_probs, returns, advantages, ratio)

    def loss(self, generator: Generator, experience: Experience) -> PolicyLoss:
        """Score what was sampled, with gradients.

        The generator scores in the mode it is in; the phases keep it in eval mode, so that the scored
        distribution is the sampled one.
        """
        rollout = experience.rollout
        captions = rollout.captions
        packed = generator.logits(rollout.features, captions).log_softmax(1)
        log_probs = captions.unpacked(token_log_probs(packed, captions, first_word=generator.first_word))
        entropy = world.gather(token_entropy(packed if self.entropy_weight else packed.detach())).mean()
        surrogate, metrics = self._surrogate(log_probs, experience)
        pay = world.gather(experience.pay)
        kept = world.gather(experience.advantages[captions.mask])
        metrics |= {
            "reward/mean": pay.mean().item(),
            "reward/std": pay.std(correction=0).item(),
            "advantage/mean": kept.mean().item(),
            "advantage/std": kept.std(correction=0).item(),
            "policy/entropy": entropy.item(),
            "policy/length": world.gather(captions.lengths).float().mean().item(),
        }
        return PolicyLoss(surrogate - self.entropy_weight * entropy, metrics)

    def _surrogate(self, log_probs: Tensor, experience: Experience) -> tuple[Tensor, dict[str, float]]:
        """Return the scalar whose gradient is the estimate, and numbers of its own."""
        return policy_gradient_loss(log_probs, experience.advantages), {}


def log_ratio(log_probs: Tensor, reference: Generator, rollout: Rollout) -> Tensor:
    """Return log p - log p_reference of the sampled tokens (N, T), without gradients, 0 on padding."""
    with torch.no_grad():
        return log_probs.detach() - reference.score(rollout.features, rollout.captions)


def to_go(values: Tensor) -> Tensor:
    """Return at each step the sum (N, T) of the values from this step on."""
    return values.flip(1).cumsum(1).flip(1)


def policy_gradient_loss(log_probs: Tensor, advantages: Tensor) -> Tensor:
    """Return the scalar whose gradient is minus the estimate of the gradient of the expected pay.

    Sum over the tokens of a caption, mean over all ranks' captions; dividing by lengths would pay long captions less.

    Args:
        log_probs: (N, T) of the sampled tokens, 0 on padding.
        advantages: (N, T), 0 on padding; no gradient passes through them.
    """
    return -world.gather((advantages.detach() * log_probs).sum(1)).mean()


def token_entropy(log_probs: Tensor) -> Tensor:
    """Return the entropies (...) in nats of distributions, from their log-probabilities (..., V), all finite."""
    return -(log_probs.exp() * log_probs).sum(-1)
