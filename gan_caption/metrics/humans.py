"""What people score, for a scale beside what captioners score.

Shapes: N images, K captions an image.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from gan_caption.errors import UserError
from gan_caption.metrics.document_frequencies import DocumentFrequencies
from gan_caption.metrics.metric import Metric, Metrics, Predictions, corpus_value, measure
from gan_caption.metrics.standard import DIVERSITY, LEARNED_BY_HEART, QUALITY, VARIETY

SCORED = 5
"""How many references of an image are scored at most; each costs a comparison with all others."""


def human_scores(
    references: Sequence[Sequence[str]], frequencies: DocumentFrequencies, metrics: Metrics,
    samples: int | None = None, *, image_ids: Sequence[str] = (),
) -> dict[str, float]:  # fmt: skip
    """Return what humans score, by metric: against the other humans of the same images, and in variety.

    Args:
        references: of each image its tokenized captions.
        frequencies: of words, as captioners are scored by.
        metrics: all that captioners are measured by; people are scored by those that compare a caption with others of
            its image. Where there is one of samples as well, `sample_...`, they have the same value in both.
        samples: how many of an image are compared with each other; None: the metrics of samples are left out.
        image_ids: of each image, for metrics that ask whose captions these are.
    """
    first = Predictions([own[0] for own in references], (), references, frequencies)
    told = measure((metric for metric in VARIETY if metric.name not in LEARNED_BY_HEART), first)
    humans = {name: corpus_value(value) for name, value in told.items() if not math.isnan(corpus_value(value))}
    if sum(len(own) > 1 for own in references) > 1:
        comparing = [metric for metric in metrics.values() if metric.compares and metric.of == "captions"]
        humans |= (
            compared := human_quality(references, compared_by=comparing, image_ids=image_ids, frequencies=frequencies)
        )
        if samples is not None:
            sampled = {f"sample_{name}": value for name, value in compared.items()}
            humans |= {name: value for name, value in sampled.items() if name in metrics}
    if samples is not None and any(len(own) >= samples for own in references):
        humans |= human_diversity(references, frequencies, samples)
    return humans


def human_quality(
    references: Sequence[Sequence[str]], *, compared_by: Iterable[Metric] = QUALITY, image_ids: Sequence[str] = (),
    frequencies: DocumentFrequencies | None = None,
) -> dict[str, float]:  # fmt: skip
    """Return what a human scores against the other humans of the same images, leaving one out, by name.

    The first references of all images are candidates once, then the second ones, up to the fifth: the mean over them.
    Images with a single reference are left out; the others' references are one fewer than a system has, which lowers
    the values.

    Args:
        references: of each image its tokenized captions.
        compared_by: metrics that compare a caption with others.
        image_ids: of each image, for metrics that ask whose captions these are.
        frequencies: of words, as captioners are scored by; None: those of these images.

    Raises:
        UserError: fewer than two images have at least two references.
    """
    several = [row for row, own in enumerate(references) if len(own) > 1]
    told, ids = [references[row] for row in several], [image_ids[row] for row in several if image_ids]
    if len(told) < 2:
        raise UserError("humans cannot be scored: fewer than two images have at least two references")
    counted = frequencies or DocumentFrequencies.of(told)
    rounds = []
    for position in range(min(SCORED, *map(len, told))):
        others = [[*own[:position], *own[position + 1 :]] for own in told]
        candidates = [own[position] for own in told]
        rounds.append(measure(compared_by, Predictions(candidates, (), others, counted, image_ids=ids)))
    return {name: float(np.mean([corpus_value(one[name]) for one in rounds])) for name in rounds[0]}


def human_diversity(
    references: Sequence[Sequence[str]], frequencies: DocumentFrequencies, count: int
) -> dict[str, float]:
    """Return the variety of the first `count` references of the images that have so many, by name.

    Raises:
        UserError: no image has so many.
    """
    told = [own[:count] for own in references if len(own) >= count]
    if not told:
        raise UserError(f"no image has {count} references to compare {count} samples with")
    measured = measure(DIVERSITY, Predictions((), told, told, frequencies))
    return {name: corpus_value(value) for name, value in measured.items()}
