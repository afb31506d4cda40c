"""Choosing among finished captions by what others think of them. Shapes: B images, N captions in all, T tokens.

By a discriminator it is adversarial inference (Park et al. 2019, arXiv 1812.05634: several captions are sampled, and
the one that the discriminator finds best is taken); by a language model, n-best rescoring.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.decoding.candidates import Candidates
from gan_caption.discriminators.base import all_of, of_captions
from gan_caption.discriminators.set import judges_sets
from gan_caption.encoders.none import no_image
from gan_caption.errors import UserError
from gan_caption.generators.base import Generator
from gan_caption.generators.parts import log_probs_in_parts
from gan_caption.modes import evaluating


class Judge(Protocol):
    """Scores captions of images; higher is better."""

    def __call__(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Return one score a caption, (N,) float, or one a token, (N, T).

        Of one a token `rerank` takes the mean, and `Reweighted` the sum.

        Args:
            features: of B images.
            captions: N captions of them; `captions.images` says whose.
        """
        ...


def rerank(
    candidates: Candidates, features: ImageFeatures, judges: Sequence[tuple[Judge, float]], *, own_weight: float
) -> Candidates:
    """Order each image's captions by a weighted sum of scores.

    The sum is own_weight * `candidates.scores` + the sum over judges of weight * score. Captions with equal sums keep
    their order. A judge of weight 0 is not asked, so that it can change nothing.

    Args:
        candidates: N captions of B images.
        features: of these images, as all judges need them.
        judges: with their weights.
        own_weight: of the score that the candidates came with; 0 leaves the choice to the judges.

    Returns:
        the same captions in the new order, with the sums as their scores.

    Raises:
        UserError: what a judge says, times its weight, is NaN or plus infinity.
    """
    total = own_weight * candidates.scores if own_weight else torch.zeros_like(candidates.scores)
    for judge, weight in judges:
        if weight:
            scores = checked(judge(features, candidates.captions), candidates.captions)
            weighed = weight * of_captions(scores, candidates.captions)
            if bool(choose_nothing(weighed).any()):
                raise UserError(
                    f"what a judge says of a caption, times its weight {weight:g}, is NaN or infinite, by which "
                    "nothing can be chosen (-inf may be: that one comes last)"
                )
            total = total + weighed
    return candidates.ranked_by(total)


def choose_nothing(scores: Tensor) -> Tensor:
    """Tell of each score whether it is none to choose by, NaN or infinite; -inf may be: that caption is never taken."""
    return scores.isnan() | (scores == math.inf)


def checked(scores: object, captions: Captions) -> Tensor:
    """Return a judge's scores as they are, (N,) or (N, T).

    Raises:
        UserError: they are neither, such as a reward's parts.
    """
    if not isinstance(scores, Tensor) or scores.shape not in (captions.lengths.shape, captions.tokens.shape):
        raise UserError("a judge of captions is a reward of one number a caption or a token, without parts")
    return scores


def check_judge(judge: object) -> None:
    """Raise ValueError where a judge's numbers choose no caption, or are no function of image and caption."""
    if judges_sets(judge):
        raise ValueError(
            "a SetDiscriminator gives all captions of an image the same, and chooses none: give another discriminator"
        )
    for one in all_of(judge):
        for part in (one, getattr(one, "transform", None)):
            if not getattr(part, "of_caption_alone", True):
                raise ValueError(
                    f"{type(part).__name__} gives a caption another number whenever it is asked: a judge gives it "
                    "always the same (transform=logit in place of odds, reward=normal in place of random)"
                )


class LanguageModelLogLikelihood:
    """log p(caption) of a generator that is shown no image: an n-gram model, or a run with `encoder=none`."""

    def __init__(self, generator: Generator, *, length_penalty: float = 0.0) -> None:
        """Hold the generator.

        Args:
            generator: p.
            length_penalty: log p is divided by length ** this; take the search's own, so that both weigh alike.
        """
        self.generator = generator
        self.length_penalty = length_penalty

    def __call__(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Return nats over length ** length_penalty, (N,); see `Judge`."""
        unseen = no_image(len(features), captions.tokens.device)
        with evaluating(self.generator):
            log_probs = log_probs_in_parts(self.generator, unseen, captions)
        return log_probs / captions.lengths**self.length_penalty
