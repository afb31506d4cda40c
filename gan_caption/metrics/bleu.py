"""BLEU-1 to BLEU-4 (Papineni et al. 2002), as coco-caption computes it: closest reference length, tiny additions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gan_caption.metrics.ngrams import check_pairs, count_ngrams

LONGEST = 4
# coco-caption adds these so that a count of 0 is no error; its values depend on them.
_TINY, _SMALL = 1e-15, 1e-9


@dataclass(frozen=True)
class BleuResult:
    """BLEU-1, BLEU-2, BLEU-3, BLEU-4."""

    corpus: tuple[float, float, float, float]
    """Over all images."""
    per_image: np.ndarray
    """(N, 4) float64."""


def bleu(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> BleuResult:
    """Return BLEU of one candidate an image.

    Args:
        candidates: N tokenized captions.
        references: of each image its tokenized references, at least one.

    Raises:
        UserError: nothing to score, or the numbers differ.
    """
    check_pairs(candidates, references)
    counted = [_count(candidate, own) for candidate, own in zip(candidates, references, strict=True)]
    per_image = np.array([bleu_of_counts(*one) for one in counted])
    matches, grams, lengths, closest = zip(*counted, strict=True)
    return BleuResult(
        bleu_of_counts(np.sum(matches, axis=0), np.sum(grams, axis=0), sum(lengths), sum(closest)), per_image
    )


def _count(candidate: str, references: Sequence[str]) -> tuple[np.ndarray, np.ndarray, int, int]:
    """Return for each n the clipped matches and the n-grams of the candidate, its and the closest length."""
    words = candidate.split()
    most: dict[tuple[str, ...], int] = {}
    lengths = []
    for reference in references:
        told = reference.split()
        lengths.append(len(told))
        for gram, count in count_ngrams(told, LONGEST).items():
            most[gram] = max(most.get(gram, 0), count)
    matches = np.zeros(LONGEST)
    for gram, count in count_ngrams(words, LONGEST).items():
        matches[len(gram) - 1] += min(count, most.get(gram, 0))
    grams = np.maximum(len(words) - np.arange(LONGEST), 0)
    closest = min(lengths, key=lambda length: (abs(length - len(words)), length))
    return matches, grams, len(words), closest


def bleu_of_counts(
    matches: np.ndarray, grams: np.ndarray, length: int, closest: int
) -> tuple[float, float, float, float]:
    """Return BLEU-1 to BLEU-4.

    Args:
        matches: (4,) clipped matches of each n.
        grams: (4,) n-grams of the candidate.
        length: of the candidate, in words.
        closest: length of the reference that is closest to it.
    """
    precisions = (matches + _TINY) / (grams + _SMALL)
    ratio = (length + _TINY) / (closest + _SMALL)
    brevity = math.exp(1 - 1 / ratio) if ratio < 1 else 1.0
    one, two, three, four = (np.cumprod(precisions) ** (1 / np.arange(1, LONGEST + 1)) * brevity).tolist()
    return one, two, three, four
