"""What captions are worth: every metric with its interval over images, beside what humans score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gan_caption.errors import UserError
from gan_caption.metrics import DocumentFrequencies
from gan_caption.metrics.bootstrap import image_interval, image_weights
from gan_caption.metrics.ngrams import Score
from gan_caption.metrics.scoring import (
    corpus_variety,
    human_quality,
    human_variety,
    image_by_image,
    quality,
)
from gan_caption.reporting.table import ROWS, between, markdown, shown


@dataclass(frozen=True)
class Scores:
    """Metrics by their documented names."""

    measured: dict[str, Score]
    """Means over images, and BLEU."""
    of_corpus: dict[str, float]
    """Properties of all captions together; no interval over images: they change with how many there are."""
    intervals: dict[str, tuple[float, float]]
    """95%, over images, of `measured`."""
    humans: dict[str, float]
    """The same of the references, leaving one out; missing where there are too few."""

    @property
    def values(self) -> dict[str, float]:
        """All values of the corpus, by name."""
        return {name: value.corpus for name, value in self.measured.items()} | self.of_corpus


def score(
    captions: Sequence[str],
    references: Sequence[Sequence[str]],
    samples: Sequence[Sequence[str]] | None,
    frequencies: DocumentFrequencies,
    known: Mapping[str, Score] | None = None,
) -> Scores:
    """Measure one caption an image, and samples where there are any.

    Args:
        captions: N tokenized captions.
        references: of each image its tokenized references.
        samples: of each image K tokenized captions; K is the same everywhere.
        frequencies: for CIDEr-D and Self-CIDEr.
        known: by name, what was measured elsewhere of the same images; it gets its intervals like the rest.

    Raises:
        UserError: something cannot be scored; the message says what.
    """
    if samples is None:
        measured = quality(captions, references, frequencies)
        humans = human_scores(references, frequencies)
    else:
        counts = {len(own) for own in samples}
        if len(counts) > 1:
            raise UserError(f"images have {min(counts)} to {max(counts)} samples: give equally many of every image")
        measured = image_by_image(captions, samples, references, frequencies)
        humans = human_scores(references, frequencies, len(samples[0]))
    measured |= known or {}
    weights = image_weights(len(captions))
    intervals = {name: image_interval(value, weights) for name, value in measured.items()}
    return Scores(measured, corpus_variety(captions, references), intervals, humans)


def human_scores(
    references: Sequence[Sequence[str]], frequencies: DocumentFrequencies, samples: int | None = None
) -> dict[str, float]:
    """Return what humans score, by metric: against the other humans of the same images, and in variety.

    Args:
        references: of each image its tokenized captions.
        frequencies: for Self-CIDEr.
        samples: how many of an image are compared with each other; None: the metrics of samples are left out.
    """
    humans = corpus_variety([own[0] for own in references], references)
    if sum(len(own) > 1 for own in references) > 1:
        humans |= human_quality(references)
        if samples is not None:
            humans["sample_cider_d"] = humans["cider_d"]
    if samples is not None and any(len(own) >= samples for own in references):
        humans |= human_variety(references, frequencies, samples)
    return humans


def scores_table(scores: Scores) -> str:
    """Return a Markdown table: a row a metric, printed as `ROWS` says."""
    rows = [["", "value", "95% over images", "humans"]]
    values = scores.values
    for name, (label, _, _) in ROWS.items():
        if name not in values:
            continue
        interval = between(name, scores.intervals[name]) if name in scores.intervals else "-"
        human = shown(name, scores.humans[name]) if name in scores.humans else "-"
        rows.append([label, shown(name, values[name]), interval, human])
    return markdown(rows)
