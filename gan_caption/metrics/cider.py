"""CIDEr-D (Vedantam et al. 2015, arXiv 1411.5726, eq. 4): what coco-caption calls "CIDEr".

Scale 0 to 10, here and in coco-caption; papers call both 0.6 and 60 (times 100) "CIDEr".
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gan_caption.errors import UserError
from gan_caption.metrics.ngrams import Ngram, Score, check_pairs, check_references, count_ngrams

_LONGEST = 4
_SIGMA = 6.0
_KEPT_IMAGES = 10_000
"""Reference vectors are kept for so many images, some 50 kB each."""


@dataclass(frozen=True)
class DocumentFrequencies:
    """In how many images' references each n-gram occurs."""

    images: int
    """How many images were counted."""
    counts: Counter[Ngram]
    """By n-gram of 1 to 4 words."""

    @classmethod
    def of(cls, references: Sequence[Sequence[str]]) -> DocumentFrequencies:
        """Count over the references of a corpus.

        Raises:
            UserError: there is only one image; every n-gram then has the weight log 1 = 0 and any caption scores 0.
        """
        if len(references) < 2:
            raise UserError(
                f"CIDEr-D weighs words by how rare they are among images, and {len(references)} image(s) tell nothing: "
                "give at least two, or the DocumentFrequencies of a larger corpus"
            )
        counts: Counter[Ngram] = Counter()
        for own in references:
            counts.update({gram for text in own for gram in count_ngrams(text.split(), _LONGEST)})
        return cls(len(references), counts)


@dataclass(frozen=True)
class _Vector:
    """tf-idf of one caption, by the length of the n-gram."""

    weights: tuple[dict[Ngram, float], ...]
    norms: tuple[float, ...]
    length: int
    """Bigrams, as coco-caption counts it."""


class CiderD:
    """Scores captions against references whose vectors are made once: fit for a reward."""

    def __init__(self, references: Sequence[Sequence[str]], frequencies: DocumentFrequencies | None = None) -> None:
        """Hold the references.

        Args:
            references: of each image its tokenized references, at least one. Tokens are any strings without spaces:
                append "<eos>" to references and candidates alike, and ending at the right place is paid as well.
            frequencies: None counts them over these references, as coco-caption does.

        Raises:
            UserError: no images, an image without references, or only one image and no frequencies.
        """
        check_references(references)
        self.frequencies = frequencies or DocumentFrequencies.of(references)
        self._references = references
        self._log_images = math.log(self.frequencies.images)
        self._vectors: dict[int, list[_Vector]] = {}

    def score(self, rows: Sequence[int], candidates: Sequence[str]) -> np.ndarray:
        """Return CIDEr-D of each candidate, (n,) float64, 0 to 10.

        Args:
            rows: for each candidate the image whose references it is compared with.
            candidates: tokenized captions, any number an image.

        Raises:
            UserError: the numbers differ.
        """
        if len(rows) != len(candidates):
            raise UserError(
                f"{len(rows)} rows and {len(candidates)} candidates: give the image's row for each candidate"
            )
        return np.array([self._score(row, candidate) for row, candidate in zip(rows, candidates, strict=True)])

    def _score(self, row: int, candidate: str) -> float:
        if row not in self._vectors:
            if len(self._vectors) >= _KEPT_IMAGES:
                self._vectors.clear()
            self._vectors[row] = [self._vector(text) for text in self._references[row]]
        vector = self._vector(candidate)
        total = sum(_similarity(vector, reference) for reference in self._vectors[row])
        return 10.0 * total / len(self._vectors[row]) / _LONGEST

    def _vector(self, text: str) -> _Vector:
        words = text.split()
        weights: tuple[dict[Ngram, float], ...] = tuple({} for _ in range(_LONGEST))
        for gram, count in count_ngrams(words, _LONGEST).items():
            rarity = self._log_images - math.log(max(1.0, self.frequencies.counts[gram]))
            weights[len(gram) - 1][gram] = count * rarity
        norms = tuple(math.sqrt(sum(weight**2 for weight in own.values())) for own in weights)
        return _Vector(weights, norms, max(len(words) - 1, 0))


def cider_d(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> Score:
    """Return CIDEr-D of one candidate an image, the document frequencies taken from these references.

    Args:
        candidates: N tokenized captions, N at least 2.
        references: of each image its tokenized references, at least one.

    Raises:
        UserError: nothing to score, the numbers differ, or there is only one image.
    """
    check_pairs(candidates, references)
    values = CiderD(references).score(range(len(candidates)), candidates)
    return Score(float(values.mean()), values)


def _similarity(candidate: _Vector, reference: _Vector) -> float:
    """Sum over n of the clipped cosine, damped where the lengths differ (eq. 4)."""
    damping = math.exp(-((candidate.length - reference.length) ** 2) / (2 * _SIGMA**2))
    total = 0.0
    for own, told, norm, other in zip(
        candidate.weights, reference.weights, candidate.norms, reference.norms, strict=True
    ):
        product = sum(min(weight, told[gram]) * told[gram] for gram, weight in own.items() if gram in told)
        if norm and other:
            product /= norm * other
        total += product * damping
    return total
