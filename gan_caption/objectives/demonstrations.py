"""Losses on captions that people wrote, with a weight for each token: nothing is sampled.

Shapes: B images, N captions, T steps, M tokens.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.distributed import world
from gan_caption.generators.base import Generator, token_log_probs
from gan_caption.objectives.base import GeneratorObjective, PolicyLoss
from gan_caption.objectives.policy_gradient import token_entropy


@dataclass(frozen=True)
class Scored:
    """What a policy says of captions."""

    log_probs: Tensor
    """(N, T): log p of each target, with gradients; 0 on all else."""
    targets: Tensor
    """(N, T) bool: the tokens that the policy may write. Padding is none, nor is `<unk>`."""
    entropy: Tensor
    """(M,) nats: of the next word at each token, without gradients."""

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean (scalar) of values (N, T) over all ranks' targets."""
        own = values[self.targets]
        return world.mean(own.mean(), len(own))


def score_targets(generator: Generator, features: ImageFeatures, captions: Captions) -> Scored:
    """Score captions that may hold words which the policy never writes."""
    packed = generator.logits(features, captions).float().log_softmax(1)
    own = captions.unpacked(token_log_probs(packed, captions, first_word=generator.first_word))
    targets = captions.mask & (captions.tokens >= generator.first_word)
    return Scored(own.masked_fill(~targets, 0), targets, token_entropy(packed.detach()))


@dataclass(kw_only=True)
class Demonstrations(GeneratorObjective):
    """Maximum likelihood with weights: the mean of -weight x log p over the tokens of people's captions."""

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
        """Yield one loss; see `GeneratorObjective.losses`."""
        del max_length, rng, progress
        scored = score_targets(generator, features, real)
        with torch.no_grad():
            weights = self.weights(scored, features, real, reference)
        loss = scored.mean(-weights * scored.log_probs)
        yield PolicyLoss(
            loss,
            {
                "policy/nll": scored.mean(-scored.log_probs).item(),
                "policy/weight": scored.mean(weights).item(),
                "policy/entropy": world.gather(scored.entropy).mean().item(),
            },
        )

    @abstractmethod
    def weights(
        self, scored: Scored, features: ImageFeatures, captions: Captions, reference: Generator | None
    ) -> Tensor:
        """Return the weight of each token (N, T); what stands on padding is not read. No gradient passes through it.

        Args:
            scored: the captions under the policy.
            features: of B images.
            captions: N that people wrote of them.
            reference: the pretrained policy, where there is one.

        Raises:
            ValueError: there is no reference, and the weights need one.
        """
