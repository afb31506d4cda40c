"""Self-BLEU (Zhu et al. 2018, arXiv 1802.01886): how much a corpus repeats itself."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gan_caption.metrics.bleu import LONGEST, closest_length, ngrams_in, overlap_of_counts
from gan_caption.metrics.diversity import check_samples
from gan_caption.metrics.ngrams import Ngram, count_ngrams


@dataclass(frozen=True)
class SelfBleu:
    """Self-BLEU-4, and against how many captions each was held: the value grows with that number."""

    value: float
    references: int


def self_bleu(captions: Sequence[str], *, count: int = 500, seed: int = 0) -> SelfBleu:
    """Return BLEU-4 of each of `count` captions against all the others of them, the mean. Lower is more varied.

    A caption is never its own reference; an equal one elsewhere in the corpus is. Of a caption with fewer than
    four words the shorter n-grams count alone: see `overlap_of_counts`.

    Args:
        captions: tokenized; of more than `count` a random choice is taken, of fewer all.
        count: at least 2.
        seed: of that choice.

    Raises:
        UserError: there are fewer than 2 captions.
    """
    check_samples([captions], at_least=2)
    chosen = list(captions)
    if len(chosen) > count:
        chosen = random.Random(seed).sample(chosen, count)
    counted = [count_ngrams(caption.split(), LONGEST) for caption in chosen]
    lengths = Counter(len(caption.split()) for caption in chosen)
    most = _two_largest(counted)
    rows = []
    for index, (caption, own) in enumerate(zip(chosen, counted, strict=True)):
        matches = [0] * LONGEST
        for gram, times in own.items():
            owner, first, second = most[gram]
            matches[len(gram) - 1] += min(times, second if owner == index else first)
        length = len(caption.split())
        others = (other for other, captions in lengths.items() if other != length or captions > 1)
        rows.append([*matches, *ngrams_in(length), length, closest_length(length, others)])
    return SelfBleu(float(overlap_of_counts(np.array(rows)).mean()), len(chosen) - 1)


def _two_largest(counted: Sequence[Counter[Ngram]]) -> dict[Ngram, tuple[int, int, int]]:
    """Return for each n-gram the caption that has most of it, how many, and how many any other caption has at most."""
    most: dict[Ngram, tuple[int, int, int]] = {}
    for index, own in enumerate(counted):
        for gram, times in own.items():
            owner, first, second = most.get(gram, (-1, 0, 0))
            if times > first:
                most[gram] = (index, times, first)
            elif times > second:
                most[gram] = (owner, first, times)
    return most
