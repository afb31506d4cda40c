"""The contract of a discriminator as a test. Shapes: B images, N captions, T steps, E embedding."""

from __future__ import annotations

import copy
from dataclasses import replace

import torch
from torch import Tensor

from gan_caption import kernels
from gan_caption.data.captions import PAD, Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.discriminators.base import Discriminator
from gan_caption.modes import evaluating, in_eval_mode
from gan_caption.objectives.discriminator import spoken
from gan_caption.testing.comparing import (
    alone,
    check,
    check_equal,
    check_gradients,
    check_grid,
    padded,
    refusals_told,
    reordered,
    untouched,
    various_captions,
    with_padded_regions,
)


def check_discriminator(
    discriminator: Discriminator,
    features: ImageFeatures,
    *,
    max_length: int = 6,
    of_sets: bool = False,
    tolerance: float = 1e-4,
) -> None:
    """Check that a discriminator keeps the contract of `gan_caption.discriminators.base.Discriminator`.

    - it answers one logit a caption (N,), or one a token (N, T), and no probabilities;
    - padding, the order of captions and, unless it judges sets, the other rows of a batch change no answer;
    - in eval mode nothing is random, and `fast_score` answers what `forward` answers;
    - it reads a grid only where it says `uses_grid`;
    - gradients reach every parameter and the word vectors, second derivatives too (a gradient penalty needs them).

    Args:
        discriminator: with random weights. It is checked in eval mode.
        features: of at least two different images, with the grid where it reads one.
        max_length: of the captions that it is checked with, in tokens.
        of_sets: whether it judges all captions of an image together, so that they change each other's answers.
        tolerance: the most that two ways to the same number may differ, in parts of it or absolutely.

    Raises:
        AssertionError: a promise is broken; the message says which.
    """
    check(len(features) >= 2, "check_discriminator needs the features of at least two images")
    vocabulary_size = discriminator.vocabulary_size
    captions = various_captions(len(features), vocabulary_size=vocabulary_size, max_length=max_length)
    captions = captions.to(features.pooled.device)
    with evaluating(discriminator):
        with untouched("forward", features=features, captions=captions), refusals_told():
            answers = discriminator(features, captions)
        _check_logits(discriminator, features, captions, answers)
        _check_form(discriminator, features, captions, answers, tolerance)
        _check_batches(discriminator, features, captions, answers, of_sets, tolerance)
        check_grid(
            lambda seen: spoken(discriminator(seen, captions), captions), features,
            uses_grid=discriminator.uses_grid, of="an answer", tolerance=tolerance,
        )  # fmt: skip
    with in_eval_mode(discriminator):
        logits = spoken(discriminator(features, captions), captions)
        check_gradients(discriminator, logits.square().sum(), of="the answers")
        _check_slopes(discriminator, features, captions)


def _check_logits(discriminator: Discriminator, features: ImageFeatures, captions: Captions, answers: Tensor) -> None:
    """Look whether answers leave 0 to 1, where probabilities stay; those of small weights may not, of large ones do."""
    own = copy.deepcopy(discriminator)
    with torch.no_grad():
        for weight in own.parameters():
            weight.mul_(100)
        larger = own(features, captions)
    told = torch.cat([spoken(one, captions).flatten() for one in (answers, larger)])
    check(
        not ((told >= 0) & (told <= 1)).all(),
        "the answers are between 0 and 1, as probabilities are, whatever its weights: answer logits, without a sigmoid",
    )


def _check_form(
    discriminator: Discriminator, features: ImageFeatures, captions: Captions, answers: Tensor, tolerance: float
) -> None:
    one_a_caption, one_a_token = captions.shapes
    check(
        tuple(answers.shape) in captions.shapes,
        f"the answers are {tuple(answers.shape)}: one logit a caption, {one_a_caption}, or one a token, {one_a_token}",
    )
    own = spoken(answers, captions)
    check(own.isfinite().all(), "the answers are NaN or infinite")
    read = discriminator.reading(captions)
    message = "in eval mode nothing is random: the same captions"
    check_equal(spoken(discriminator(features, captions), captions), own, message, tolerance=tolerance)
    for name, other in (
        ("fast_score", discriminator.fast_score(features, captions)),
        (
            "score of the captions' own word vectors",
            discriminator.score(features, discriminator.embed(read), read),
        ),
    ):
        check_equal(spoken(other, captions), own, f"{name} must answer what forward answers", tolerance=tolerance)
    probability = discriminator.probability(features, captions)
    check(
        probability.shape == one_a_caption, f"probability is {tuple(probability.shape)}: one a caption, {one_a_caption}"
    )


def _check_batches(
    discriminator: Discriminator,
    features: ImageFeatures,
    captions: Captions,
    answers: Tensor,
    of_sets: bool,
    tolerance: float,
) -> None:
    own = spoken(answers, captions)
    for token in (PAD, discriminator.vocabulary_size - 1):
        more = padded(captions, by=3, with_token=token)
        for name in ("forward", "fast_score"):
            found = spoken(getattr(discriminator, name)(features, more), more)
            check_equal(
                found, own, f"{name}: padding must not change an answer (token {token} on it)", tolerance=tolerance
            )
    if discriminator.uses_grid and features.grid is not None:
        found = spoken(discriminator(with_padded_regions(features), captions), captions)
        check_equal(found, own, "rows of the grid beyond `regions` must not change an answer", tolerance=tolerance)
    turned_features, turned, rows = reordered(features, captions)
    message = "the order of images and captions must not change an answer"
    found = spoken(discriminator(turned_features, turned), turned)
    check_equal(found, spoken(answers[rows], turned), message, tolerance=tolerance)
    for image in range(len(features)):
        chosen = (captions.images == image).nonzero()[:, 0]
        here = features.select(torch.tensor([image], device=chosen.device))
        if of_sets:
            together = replace(captions.select(chosen), images=torch.zeros_like(chosen))
            message = "other images must not change an answer"
            check_equal(discriminator(here, together), answers[chosen], message, tolerance=tolerance)
            continue
        for row in chosen.tolist():
            one = alone(captions, row)
            wanted = spoken(answers[row : row + 1], captions.select(torch.tensor([row], device=chosen.device)))
            message = f"the other rows of a batch must not change an answer (row {row})"
            check_equal(spoken(discriminator(here, one), one), wanted, message, tolerance=tolerance)


def _check_slopes(discriminator: Discriminator, features: ImageFeatures, captions: Captions) -> None:
    captions = discriminator.reading(captions)
    words = discriminator.embed(captions).detach().requires_grad_()
    with kernels.plain():
        logits = spoken(discriminator.score(features, words, captions), captions)
        check(logits.requires_grad, "the answers have no gradient: compute them without torch.no_grad and detach")
        (slope,) = torch.autograd.grad(logits.sum(), words, create_graph=True, allow_unused=True)
        check(slope is not None and slope.any(), "score must pass gradients to the word vectors")
        check(
            not slope[~captions.mask].any(), "score must not read what stands on padding: its gradient is not 0 there"
        )
        if not slope.requires_grad:
            return  # linear in the words: there is no curvature to have
        learning = [parameter for parameter in discriminator.parameters() if parameter.requires_grad]
        try:
            torch.autograd.grad(slope.square().sum(), learning, allow_unused=True)
        except RuntimeError as error:
            raise AssertionError(
                f"score has no second derivatives under kernels.plain(): a gradient penalty cannot train it ({error})"
            ) from error
