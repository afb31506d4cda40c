"""What captions are worth: every metric with its interval over images, beside what humans score."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gan_caption.errors import UserError
from gan_caption.metrics import DocumentFrequencies
from gan_caption.metrics.bootstrap import image_interval, image_weights, paired_difference
from gan_caption.metrics.humans import human_scores
from gan_caption.metrics.metric import Metrics, Predictions, corpus_value, measure
from gan_caption.metrics.ngrams import Score


@dataclass(frozen=True)
class Scores:
    """Values by the names of their metrics."""

    measured: Mapping[str, Score]
    """Means over images, and BLEU."""
    of_corpus: Mapping[str, float]
    """Properties of all captions together; no interval over images: they change with how many there are."""
    intervals: Mapping[str, tuple[float, float]]
    """95%, over images, of `measured`."""
    humans: Mapping[str, float]
    """The same of the references, leaving one out; missing where there are too few."""

    @property
    def values(self) -> dict[str, float]:
        """All values of the corpus, by name."""
        return {name: corpus_value(value) for name, value in self.measured.items()} | dict(self.of_corpus)


def frequencies_of(split: str, references: Sequence[Sequence[str]]) -> DocumentFrequencies:
    """Count the words of a split's references, tokenized, by image.

    Raises:
        UserError: the split has fewer than two images.
    """
    try:
        return DocumentFrequencies.of(references)
    except UserError as error:
        raise UserError(f"{split}: {error}") from error


def score(predictions: Predictions, metrics: Metrics) -> Scores:
    """Measure one caption an image, and samples where there are any.

    Args:
        predictions: of N images, with equally many samples of each, or none.
        metrics: what is measured; those of samples only where there are any.

    Raises:
        UserError: something cannot be scored; the message says what.
    """
    counts = {len(own) for own in predictions.samples}
    if len(counts) > 1:
        raise UserError(f"images have {min(counts)} to {max(counts)} samples: give equally many of every image")
    told = measure((one for one in metrics.values() if counts or one.of != "samples"), predictions)
    measured = {name: value for name, value in told.items() if isinstance(value, Score)}
    of_corpus = {name: value for name, value in told.items() if not isinstance(value, Score) and not math.isnan(value)}
    weights = image_weights(len(predictions.captions))
    intervals = {name: image_interval(value, weights) for name, value in measured.items()}
    humans = human_scores(
        predictions.references, predictions.frequencies, metrics, next(iter(counts), None),
        image_ids=predictions.image_ids,
    )  # fmt: skip
    return Scores(measured, of_corpus, intervals, humans)


def paired_intervals(scores: Sequence[Scores]) -> dict[str, tuple[float, float]] | None:
    """Return the intervals over images of the differences between two systems, by metric; None for another number."""
    if len(scores) != 2:
        return None
    one, other = (own.measured for own in scores)
    return {name: paired_difference([other[name]], [one[name]]).interval for name in one}
