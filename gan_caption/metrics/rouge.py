"""ROUGE-L (Lin 2004), as coco-caption computes it: best precision and best recall over the references, beta 1.2."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gan_caption.metrics.ngrams import Score, check_pairs

_BETA = 1.2


def rouge_l(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> Score:
    """Return ROUGE-L of one candidate an image; the corpus value is the mean.

    Args:
        candidates: N tokenized captions.
        references: of each image its tokenized references, at least one.

    Raises:
        UserError: nothing to score, or the numbers differ.
    """
    check_pairs(candidates, references)
    values = [_score(candidate, own) for candidate, own in zip(candidates, references, strict=True)]
    return Score(float(np.mean(values)), np.array(values))


def _score(candidate: str, references: Sequence[str]) -> float:
    # coco-caption splits at single spaces, so an empty caption counts as one empty word.
    words = candidate.split(" ")
    precision = recall = 0.0
    for reference in references:
        told = reference.split(" ")
        common = _longest_common_subsequence(words, told)
        precision = max(precision, common / len(words))
        recall = max(recall, common / len(told))
    if precision == 0 or recall == 0:
        return 0.0
    return (1 + _BETA**2) * precision * recall / (recall + _BETA**2 * precision)


def _longest_common_subsequence(one: Sequence[str], other: Sequence[str]) -> int:
    """Count with one integer as a row of bits (Hyyrö 2004): a few machine operations a word."""
    places: dict[str, int] = {}
    for index, word in enumerate(one):
        places[word] = places.get(word, 0) | 1 << index
    full = (1 << len(one)) - 1
    row = full
    for word in other:
        match = row & places.get(word, 0)
        row = ((row + match) | (row - match)) & full
    return len(one) - row.bit_count()
