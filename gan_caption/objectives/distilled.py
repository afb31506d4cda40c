"""Distilled resampling: maximum likelihood on the reference's samples, reweighted.

Shapes: B images, K candidates of each.

Resampling one of K candidates with odds exp(alpha x reward) is a better policy than the one that drew them, at K times
the price. This teaches it to a policy that pays nothing more. As K grows what is taught is p_reference exp(alpha x
reward) / Z, the policy that a KL-regularised policy gradient seeks; with reward log p_data / p_reference and alpha 1 it
is p_data. (Of a policy with a noise vector z all this is said of p(. | z), and Z depends on z.) Learning an
energy-based target by importance weights is Khalifa et al. 2021 (arXiv 2012.11635).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.decoding.rerank import check_judge
from gan_caption.distributed import world
from gan_caption.errors import at_least
from gan_caption.generators.base import Generator
from gan_caption.objectives.base import GeneratorObjective, PolicyLoss
from gan_caption.objectives.demonstrations import score_targets
from gan_caption.objectives.samples import collect, sampled_from
from gan_caption.rewards.base import Reward, plain


@dataclass(kw_only=True)
class DistilledResampling(GeneratorObjective):
    """The mean over the candidates that resampling could choose, in place of one that it chose: less noise."""

    reward: Reward
    """Of complete captions."""
    alpha: float
    """Times the reward, at least 0; with 0 the policy learns to be the reference."""
    samples_per_image: int
    """K; with 1 there is nothing to choose."""

    def __post_init__(self) -> None:
        at_least(2, samples_per_image=self.samples_per_image)
        at_least(0, alpha=self.alpha)
        check_judge(self.reward)

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
        """Yield one loss, nats a caption; see `GeneratorObjective.losses`."""
        del real, progress
        reference = sampled_from(reference)
        samples = collect(reference, features, samples=self.samples_per_image, max_length=max_length, rng=rng)
        rewards = plain(self.reward)(samples.features, samples.captions)
        if rewards.dim() != 1:
            raise ValueError("distilled resampling needs one reward a caption, and this reward has one a token")
        weights = resampling_weights(rewards.float(), alpha=self.alpha, candidates=self.samples_per_image)
        scored = score_targets(generator, samples.features, samples.captions)
        loss = -(weights * scored.log_probs.sum(1).reshape(weights.shape)).sum(1)
        of_all = world.gather(rewards)
        yield PolicyLoss(
            world.gather(loss).mean(),
            {
                "reward/mean": of_all.mean().item(),
                "reward/std": of_all.std(correction=0).item(),
                "policy/effective_samples": world.gather(1 / weights.square().sum(1)).mean().item(),
                "policy/entropy": world.gather(scored.entropy).mean().item(),
            },
        )


def resampling_weights(rewards: Tensor, *, alpha: float, candidates: int) -> Tensor:
    """Return the probability (B, K) that resampling chooses each candidate, from rewards (B * K,)."""
    return (alpha * rewards).reshape(len(rewards) // candidates, candidates).softmax(1)
