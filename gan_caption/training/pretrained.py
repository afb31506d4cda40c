"""The policy as it is and as maximum likelihood left it, for rewards that compare with it. Shapes: N captions."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from torch import Tensor

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.generators.base import Generator
from gan_caption.generators.parts import log_probs_in_parts
from gan_caption.modes import evaluating
from gan_caption.text.base import Tokenizer
from gan_caption.training.checkpoint import load_weights
from gan_caption.training.networks import EncoderDecoder


class AsItIs:
    """The policy that learns."""

    def __init__(self, captioner: EncoderDecoder) -> None:
        """Keep it."""
        self._captioner = captioner

    def log_likelihood(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Return log p(caption | image) in nats, (N,)."""
        return _log_likelihood(self._captioner.generator, features, captions)


class Pretrained:
    """A frozen copy of the policy, made when it is first asked after these weights were left; before, the policy."""

    def __init__(
        self, captioner: EncoderDecoder, weights: Path, tokenizer: Tokenizer, *, left: Callable[[], bool]
    ) -> None:
        """Remember where the weights will be.

        Args:
            captioner: the policy.
            weights: file of the best ones so far, which may still be replaced.
            tokenizer: the policy's.
            left: tells whether they are those that the phase has left.
        """
        self._captioner = captioner
        self._weights = weights
        self._left = left
        self._vocabulary = tokenizer.fingerprint

    @cached_property
    def _frozen(self) -> Generator:
        return frozen(self._captioner, self._weights, vocabulary=self._vocabulary)

    def log_likelihood(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Return log p(caption | image) in nats, (N,)."""
        return _log_likelihood(self._frozen if self._left() else self._captioner.generator, features, captions)


def frozen(captioner: EncoderDecoder, weights: Path, *, vocabulary: str) -> Generator:
    """Return a copy of a captioner's policy that has other weights and does not learn.

    Args:
        captioner: of the same sizes.
        weights: the file of a captioner's.
        vocabulary: the tokenizer's fingerprint.
    """
    copied = copy.deepcopy(captioner)
    load_weights(copied, weights, vocabulary=vocabulary)
    return copied.generator.eval().requires_grad_(False)


def _log_likelihood(policy: Generator, features: ImageFeatures, captions: Captions) -> Tensor:
    with evaluating(policy):
        return log_probs_in_parts(policy, features, captions)
