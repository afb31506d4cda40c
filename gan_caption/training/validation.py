"""What training asks of whoever validates: the contract that `evaluation.evaluator` fulfils."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from gan_caption.data.features import FeatureSource
from gan_caption.decoding.decoders import Decoder
from gan_caption.discriminators.base import Discriminator
from gan_caption.metrics.metric import Metrics, Predictions
from gan_caption.training.networks import EncoderDecoder


@dataclass(frozen=True)
class Evaluation:
    """What a captioner wrote, and what it is worth."""

    metrics: dict[str, float]
    """By their documented names; scale 0 to 1, CIDEr-D 0 to 10, NLL in nats."""
    captions: Sequence[str]
    """One decoded caption an image, as people read it."""
    samples: Sequence[Sequence[str]]
    """K sampled captions an image, as people read them."""
    predictions: Predictions
    """The same as the metrics read them, beside what people wrote."""


class Validator(Protocol):
    """Measures captioners on one split, always in the same way, with random numbers of its own."""

    @property
    def source(self) -> FeatureSource:
        """Features of the split."""
        ...

    @property
    def metrics(self) -> Metrics:
        """What a validation measures."""
        ...

    @property
    def references(self) -> Sequence[Sequence[str]]:
        """Of each image its tokenized captions."""
        ...

    @property
    def training_captions(self) -> Container[str]:
        """The tokenized captions of training: what counts as learned by heart."""
        ...

    @property
    def decoders(self) -> Mapping[str, Decoder]:
        """Ways of decoding, by the phase that has one of its own."""
        ...

    def evaluate(
        self, captioner: EncoderDecoder, *, phase: str | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Evaluation:  # fmt: skip
        """Decode, sample and score the whole split.

        Args:
            captioner: its mode and gradients are left as they were.
            phase: which left the weights, for its own way of decoding where it has one.
            progress: told (images done, images in all).
        """
        ...

    def knowledge(self, discriminator: Discriminator, samples: Sequence[Sequence[str]]) -> dict[str, float]:
        """Measure how well a discriminator tells an evaluation's samples from people's captions of the same images."""
        ...
