"""Unlikelihood: maximum likelihood that is told what is wrong as well. Shapes: B images, N captions, T steps.

The control of discriminators that learn from captions of other images and from changed ones: the same negatives, given
to maximum likelihood.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.distributed import world
from gan_caption.errors import at_least
from gan_caption.generators.base import Generator
from gan_caption.objectives.base import GeneratorObjective, PolicyLoss
from gan_caption.objectives.demonstrations import score_targets
from gan_caption.objectives.discriminator import edits, mismatch

_SMALLEST = 1e-5
"""Of 1 - p, as in the authors' code: a policy that is sure of what is wrong gets no infinite loss."""


@dataclass(kw_only=True)
class Unlikelihood(GeneratorObjective):
    """-log p of people's words, and -log(1 - p) of what is wrong (Welleck et al. 2020, arXiv 1908.04319)."""

    edited_weight: float
    """Of captions with one word changed, at least 0: -log(1 - p) of that word alone, as the others may be right."""
    mismatched_weight: float
    """Of captions of other images, at least 0: -log(1 - p) of the caption as a whole, with the geometric mean of its
    tokens' probabilities for p. Which of its words are wrong nobody knows, and token by token "a" and `<eos>` would be
    forbidden; the product of the probabilities is so small that its term would teach nothing."""

    def __post_init__(self) -> None:
        at_least(0, edited_weight=self.edited_weight, mismatched_weight=self.mismatched_weight)

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
        del max_length, reference, progress
        people = score_targets(generator, features, real)
        likelihood = people.mean(-people.log_probs)
        loss, metrics = likelihood, {"policy/nll": likelihood.item()}
        metrics["policy/entropy"] = world.gather(people.entropy).mean().item()
        if self.edited_weight and (changed := edits(real, rng=rng)) is not None:
            term = _mean(unlikelihood_of_edits(generator, features, *changed))
            loss, metrics["policy/edited_loss"] = loss + self.edited_weight * term, term.item()
        if self.mismatched_weight and sum(world.everyone(len(features))) > 1:
            term = _mean(unlikelihood_of_captions(generator, features, mismatch(real, images=len(features))))
            loss, metrics["policy/mismatched_loss"] = loss + self.mismatched_weight * term, term.item()
        yield PolicyLoss(loss, metrics)


def unlikelihood_of_edits(generator: Generator, features: ImageFeatures, captions: Captions, places: Tensor) -> Tensor:
    """Return -log(1 - p) of the tokens (N,) at places (N,)."""
    log_probs = score_targets(generator, features, captions).log_probs
    return unlikelihood(log_probs.gather(1, places[:, None])[:, 0])


def unlikelihood_of_captions(generator: Generator, features: ImageFeatures, captions: Captions) -> Tensor:
    """Return -log(1 - p) of captions (N,), p the geometric mean of their tokens' probabilities."""
    scored = score_targets(generator, features, captions)
    return unlikelihood(scored.log_probs.sum(1) / scored.targets.sum(1).clamp(min=1))


def unlikelihood(log_probs: Tensor) -> Tensor:
    """Return -log(1 - p) from log p, of the same shape."""
    return -(-log_probs.expm1()).clamp(min=_SMALLEST).log()


def _mean(values: Tensor) -> Tensor:
    return world.gather(values).mean()
