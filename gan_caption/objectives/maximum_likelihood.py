"""Maximum likelihood by teacher forcing: the baseline of every method.

Shapes: B images, N captions, T steps, W words that may be written.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.distributed import world
from gan_caption.errors import probability, share
from gan_caption.generators.base import Generator
from gan_caption.kernels.picking import pick

_NO_TARGET = -100


@dataclass(frozen=True, kw_only=True)
class MaximumLikelihood:
    """Mean negative log-likelihood per token, with label smoothing and scheduled sampling."""

    label_smoothing: float
    """The mass in [0, 1) that targets give to all words alike (Szegedy et al. 2016, arXiv 1512.00567, section 7)."""
    scheduled_sampling: float
    """Probability in [0, 1] that an input word is the model's own sample instead of the reference's (Bengio et al.
    2015, arXiv 1506.03099)."""

    def __post_init__(self) -> None:
        share(label_smoothing=self.label_smoothing)
        probability(scheduled_sampling=self.scheduled_sampling)

    def loss(self, generator: Generator, features: ImageFeatures, captions: Captions, rng: torch.Generator) -> Tensor:
        """Return the loss to minimise, a scalar; `rng` (CPU) serves scheduled sampling."""
        if self.scheduled_sampling:
            logits = scheduled_logits(generator, features, captions, share=self.scheduled_sampling, rng=rng)
            packed = captions.packed(logits)
        else:
            packed = generator.logits(features, captions)
        return cross_entropy(packed, captions, first_word=generator.first_word, label_smoothing=self.label_smoothing)

    def targets(self, generator: Generator, captions: Captions) -> int:
        """Return over how many tokens of these captions the loss is a mean."""
        return int((captions.packed(captions.tokens) >= generator.first_word).sum())


def cross_entropy(packed: Tensor, captions: Captions, *, first_word: int, label_smoothing: float) -> Tensor:
    """Return the mean over all ranks' target tokens of -log p, a scalar.

    Padding is no target, nor is a token that the generator never writes (`<unk>`): a model that cannot say "unknown" is
    not asked for its probability.

    Args:
        packed: logits (M, W); see `Generator.logits`.
        captions: N captions of M tokens.
        first_word: ids below are never written, and share in no smoothing.
        label_smoothing: in [0, 1).
    """
    targets = captions.packed(captions.tokens) - first_word
    targets = targets.masked_fill(targets < 0, _NO_TARGET)
    loss = functional.cross_entropy(packed, targets, ignore_index=_NO_TARGET, label_smoothing=label_smoothing)
    return world.mean(loss, (targets != _NO_TARGET).sum())


def scheduled_logits(
    generator: Generator, features: ImageFeatures, captions: Captions, *, share: float, rng: torch.Generator
) -> Tensor:
    """Predict every token (N, T, W), reading with probability `share` the model's own sample in place of a word."""
    rows, length = captions.tokens.shape
    state = generator.start(features, length).select(captions.images)
    device = captions.tokens.device
    replaced = (world.draw(torch.rand, rows, length, rng=rng) < share).to(device, non_blocking=True)
    uniforms = world.draw(torch.rand, rows, length, rng=rng).to(device, non_blocking=True)
    inputs = captions.inputs
    tokens, predictions = inputs[:, 0], []
    for step in range(length):
        logits, state = generator.step(tokens, state)
        predictions.append(logits)
        if step + 1 < length:
            own = pick(logits.detach().float().softmax(1), uniforms[:, step]) + generator.first_word
            tokens = torch.where(replaced[:, step], own, inputs[:, step + 1])
    return torch.stack(predictions, dim=1)
