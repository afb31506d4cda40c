"""The policy gradient: reward x credit x baseline.

Shapes: B images, K samples of each, N = B * K captions, T steps, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.decoding.sampling import Samples
from gan_caption.discriminators.base import all_of
from gan_caption.discriminators.set import judges_sets
from gan_caption.distributed import world
from gan_caption.errors import NoReference, at_least
from gan_caption.generators.base import Generator, token_log_probs
from gan_caption.objectives.base import GeneratorObjective, PolicyLoss
from gan_caption.objectives.baselines import Baseline, BatchMean, LeaveOneOut
from gan_caption.objectives.credit import Credit, MonteCarlo, discounted_to_go
from gan_caption.objectives.entropy_weight import FixedEntropy, HeldEntropy
from gan_caption.objectives.samples import collect
from gan_caption.rewards.base import Reward, plain, rewarded
from gan_caption.rewards.transforms import Odds


@dataclass(frozen=True)
class Experience:
    """Samples and what a step learns from them."""

    samples: Samples
    """N sampled captions, with their log-probabilities under the policy that sampled them."""
    rewards: Tensor
    """(N,): of each caption; the sum over its tokens where each token has a reward."""
    parts: Mapping[str, Tensor]
    """(N,) each: the rewards' parts by name, where they have some; see `Parts`."""
    returns: Tensor
    """(N, T): what the credit gave each token, less the penalty for leaving the reference."""
    advantages: Tensor
    """(N, T): returns less the baseline, 0 on padding."""
    log_ratio: Tensor | None = None
    """(N, T): log p - log p_reference of the sampled tokens, 0 on padding; None where there is no reference."""


@dataclass(kw_only=True)
class PolicyGradient(GeneratorObjective):
    """The gradient of the expected reward, estimated from samples (Williams 1992; Yu et al. 2017, eq. 7)."""

    reward: Reward
    """Of complete captions, or of every token."""
    credit: Credit
    """Turns rewards into a return for every token."""
    baseline: Baseline
    """Subtracted from the returns."""
    samples_per_image: int
    """K, at least what the baseline needs."""
    entropy_weight: float | HeldEntropy
    """Of the policy's entropy (nats, mean per token), which is maximised; or what holds that entropy at a value."""
    kl_weight: float
    """Of KL(policy || reference), nats a caption, which is subtracted from the expected reward. Every token is charged
    for the log-ratios from itself to the caption's end: the exact gradient, in the mean. Of a policy with noise it is
    the mean over noise vectors z of the KL of p(. | z)."""
    advantage_clip: float | None
    """Advantages are clipped to plus or minus this; None does not clip."""

    def __post_init__(self) -> None:
        if self.samples_per_image < self.baseline.fewest_samples:
            kind, fewest = type(self.baseline).__name__, self.baseline.fewest_samples
            raise ValueError(f"samples_per_image={self.samples_per_image}: the baseline {kind} needs at least {fewest}")
        check_credit(self.credit, self.reward)
        if isinstance(self.baseline, LeaveOneOut | BatchMean) and judges_sets(self.reward):
            raise ValueError(
                f"baseline: {type(self.baseline).__name__} has the rewards of an image's other captions in its mean, "
                "and a SetDiscriminator gives all of them the same, so that less or nothing would be left to learn "
                "from; give greedy or moving_average"
            )
        at_least(0, kl_weight=self.kl_weight)
        if self.advantage_clip is not None and self.advantage_clip <= 0:
            raise ValueError(f"advantage_clip={self.advantage_clip}: above 0, or null")
        given = self.entropy_weight
        self._entropy: FixedEntropy | HeldEntropy = given if isinstance(given, HeldEntropy) else FixedEntropy(given)

    @property
    def gradient_steps(self) -> int:
        """Gradient steps on the same samples."""
        return 1

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
        for _ in range(self.gradient_steps):
            policy = self.loss(generator, experience)
            yield PolicyLoss(policy.loss, {**policy.metrics, **divergence})
            self._entropy.follow(policy.metrics["policy/entropy"])

    def state_dict(self) -> dict[str, Any]:
        """Return what the baseline, the credit and the entropy's weight remember."""
        return {
            "baseline": self.baseline.state_dict(), "credit": self.credit.state_dict(),
            "entropy": self._entropy.state_dict(),
        }  # fmt: skip

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self.baseline.load_state_dict(state["baseline"])
        self.credit.load_state_dict(state["credit"])
        self._entropy.load_state_dict(state.get("entropy", {}))  # runs of 0.1 have none

    def collect(
        self,
        generator: Generator,
        features: ImageFeatures,
        *,
        max_length: int,
        rng: torch.Generator,
        reference: Generator | None = None,
    ) -> Experience:
        """Sample, reward and compare, without gradients.

        Args:
            generator: the policy.
            features: of B images.
            max_length: of samples, in tokens.
            rng: a CPU generator.
            reference: the policy that `kl_weight` refers to, scored once; None where there is none.

        Raises:
            ValueError: there is a `kl_weight` and no reference, or the parts do not fit together.
        """
        if generator.noise_size and judges_sets(self.reward):
            raise ValueError(
                f"noise_size={generator.noise_size}: each sample is of an image and a noise vector of its own, so that "
                "a SetDiscriminator would judge sets of one; give generator.noise_size=0, or objective gumbel"
            )
        samples = collect(generator, features, samples=self.samples_per_image, max_length=max_length, rng=rng)
        given = rewarded(self.reward, samples.features, samples.captions)
        rewards, reward = _on_tokens(given.total, samples.captions), plain(self.reward)
        returns = self.credit(generator, samples, rewards, reward=reward, rng=rng)
        ratio = None if reference is None else log_ratio(samples, reference)
        if self.kl_weight:
            if ratio is None:
                raise NoReference(f"kl_weight={self.kl_weight}: there is no pretrained policy to stay near")
            returns = returns - self.kl_weight * discounted_to_go(ratio, discount=1.0)
        baseline = self.baseline(returns, samples, generator=generator, reward=reward)
        advantages = (returns - baseline).masked_fill(~samples.captions.mask, 0)
        if self.advantage_clip is not None:
            advantages = advantages.clamp(-self.advantage_clip, self.advantage_clip)
        parts = {name: _of_captions(_on_tokens(part, samples.captions)) for name, part in given.parts.items()}
        return Experience(samples, _of_captions(rewards), parts, returns, advantages, ratio)

    def loss(self, generator: Generator, experience: Experience) -> PolicyLoss:
        """Score what was sampled, with gradients.

        The generator scores in the mode it is in; the phases keep it in eval mode, so that the scored
        distribution is the sampled one.
        """
        samples = experience.samples
        return self._of_logits(generator.logits(samples.features, samples.captions), generator, experience)

    def _of_logits(self, logits: Tensor, generator: Generator, experience: Experience) -> PolicyLoss:
        """Return the loss of the samples' logits (M, W), which have the gradients that the policy is to have."""
        captions = experience.samples.captions
        packed = logits.float().log_softmax(1)
        log_probs = captions.unpacked(token_log_probs(packed, captions, first_word=generator.first_word))
        weight = self._entropy.weight
        entropy = world.gather(token_entropy(packed if weight else packed.detach())).mean()
        surrogate, metrics = self._surrogate(log_probs, experience)
        rewards = world.gather(experience.rewards)
        kept = world.gather(captions.packed(experience.advantages))
        metrics |= {
            "reward/mean": rewards.mean().item(),
            "reward/std": rewards.std(correction=0).item(),
            **{f"reward/{name}": world.gather(part).mean().item() for name, part in experience.parts.items()},
            "advantage/mean": kept.mean().item(),
            "advantage/std": kept.std(correction=0).item(),
            "policy/entropy": entropy.item(),
            **self._entropy.metrics,
            "policy/length": world.gather(captions.lengths).float().mean().item(),
        }
        return PolicyLoss(surrogate - weight * entropy, metrics)

    def _surrogate(self, log_probs: Tensor, experience: Experience) -> tuple[Tensor, dict[str, float]]:
        """Return the scalar whose gradient is the estimate, and numbers of its own."""
        return policy_gradient_loss(log_probs, experience.advantages), {}


def check_credit(credit: Credit, reward: Reward) -> None:
    """Raise ValueError where completions would be rewarded on another scale than captions."""
    while not isinstance(credit, MonteCarlo) and hasattr(credit, "credit"):
        credit = credit.credit
    if not isinstance(credit, MonteCarlo):
        return
    if any(map(_has_odds, all_of(reward))):
        raise ValueError("credit: MonteCarlo rewards completions, and Odds are relative to those of a batch's captions")
    if judges_sets(reward):
        raise ValueError("credit: MonteCarlo rewards completions, and a set is all that an image has of a batch")


def _has_odds(reward: object) -> bool:
    """Tell whether a reward is normalised over the batch that it is given."""
    return isinstance(getattr(reward, "transform", None), Odds)


def _on_tokens(rewards: Tensor, captions: Captions) -> Tensor:
    """Return rewards of captions (N,) as they are, and those of tokens (N, T) with 0 on padding."""
    return rewards if rewards.dim() == 1 else rewards.masked_fill(~captions.mask, 0)


def _of_captions(rewards: Tensor) -> Tensor:
    """Return rewards of captions (N,) as they are, and the sums over tokens (N,) of those of tokens (N, T)."""
    return rewards if rewards.dim() == 1 else rewards.sum(1)


def log_ratio(samples: Samples, reference: Generator) -> Tensor:
    """Return log p - log p_reference of the sampled tokens (N, T), without gradients, 0 on padding."""
    with torch.no_grad():
        return samples.log_probs - reference.score(samples.features, samples.captions)


def policy_gradient_loss(log_probs: Tensor, advantages: Tensor) -> Tensor:
    """Return the scalar whose gradient is minus the estimate of the gradient of the expected reward.

    The sum over the tokens of a caption, and the mean over all ranks' captions. Divided by their lengths, long captions
    would count less.

    Args:
        log_probs: (N, T) of the sampled tokens, 0 on padding.
        advantages: (N, T), 0 on padding; no gradient passes through them.
    """
    return -world.gather((advantages.detach() * log_probs).sum(1)).mean()


def token_entropy(log_probs: Tensor) -> Tensor:
    """Return the entropies (...) in nats of distributions, from their log-probabilities (..., V), all finite."""
    return -(log_probs.exp() * log_probs).sum(-1)
