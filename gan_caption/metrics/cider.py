"""CIDEr-D and CIDEr (Vedantam et al. 2015, arXiv 1411.5726, eq. 4 and 2).

What coco-caption prints as "CIDEr" is CIDEr-D. Scale 0 to 10, here and there; papers call both 0.6 and 60 (times 100)
"CIDEr".
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gan_caption.errors import UserError
from gan_caption.files import write_atomically
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

    @classmethod
    def load(cls, path: Path) -> DocumentFrequencies:
        """Read what `save` wrote.

        Raises:
            UserError: the file is missing or is something else.
        """
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            counts = Counter({tuple(gram.split()): int(count) for gram, count in told["counts"].items()})
            return cls(int(told["images"]), counts)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"{path}: no document frequencies here ({error!r}); DocumentFrequencies.of(references).save(path) "
                "makes them"
            ) from error

    def save(self, path: Path) -> None:
        """Write a JSON file: the number of images, and in how many of them each n-gram occurs."""
        told = {"images": self.images, "counts": {" ".join(gram): count for gram, count in self.counts.items()}}
        write_atomically(path, lambda file: file.write(json.dumps(told, ensure_ascii=False).encode()))

    def weight(self, gram: Ngram) -> float:
        """Return log(images / images that have the n-gram); log(images) for one that none has."""
        return math.log(self.images) - math.log(max(1.0, self.counts[gram]))

    def check(self, references: Sequence[Sequence[str]]) -> None:
        """Refuse frequencies that were counted over other words than these references are written in.

        Raises:
            UserError: fewer than half of the references' distinct words occur in them.
        """
        words = {word for own in references for text in own for word in text.split()}
        known = sum((word,) in self.counts for word in words)
        if 2 * known < len(words):
            raise UserError(
                f"document frequencies of another vocabulary: they know {known} of the references' {len(words)} words; "
                "count them over captions tokenized in the same way"
            )


@dataclass(frozen=True)
class Vector:
    """tf-idf of one caption, by the length of the n-gram."""

    weights: tuple[dict[Ngram, float], ...]
    norms: tuple[float, ...]
    length: int
    """Bigrams, as coco-caption counts it."""


def tf_idf(text: str, frequencies: DocumentFrequencies) -> Vector:
    """Return the vector of a tokenized caption (eq. 1, without dividing by the caption's length)."""
    words = text.split()
    weights: tuple[dict[Ngram, float], ...] = tuple({} for _ in range(_LONGEST))
    for gram, count in count_ngrams(words, _LONGEST).items():
        weights[len(gram) - 1][gram] = count * frequencies.weight(gram)
    norms = tuple(math.sqrt(sum(weight**2 for weight in own.values())) for own in weights)
    return Vector(weights, norms, max(len(words) - 1, 0))


class CiderD:
    """Scores captions against references whose vectors are made once: fit for a reward."""

    def __init__(self, references: Sequence[Sequence[str]], frequencies: DocumentFrequencies | None = None) -> None:
        """Hold the references.

        Args:
            references: of each image its tokenized references, at least one. Tokens are any strings without spaces:
                append "<eos>" to references and candidates alike, and ending at the right place is paid as well.
            frequencies: None counts them over these references, as coco-caption does.

        Raises:
            UserError: no images, an image without references, only one image and no frequencies, or frequencies of
                another vocabulary.
        """
        check_references(references)
        if frequencies is not None:
            frequencies.check(references)
        self.frequencies = frequencies or DocumentFrequencies.of(references)
        self._references = references
        self._vectors: dict[int, list[Vector]] = {}

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
            self._vectors[row] = [tf_idf(text, self.frequencies) for text in self._references[row]]
        vector = tf_idf(candidate, self.frequencies)
        total = sum(_similarity(vector, reference) for reference in self._vectors[row])
        return 10.0 * total / len(self._vectors[row]) / _LONGEST


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


def cider(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> Score:
    """Return the original CIDEr of one candidate an image: plain cosines, no clipping, no penalty on length (eq. 2).

    Easy to game by repeating rare words, which is why CIDEr-D exists. Words are not stemmed, as in the authors' code.

    Args:
        candidates: N tokenized captions, N at least 2.
        references: of each image its tokenized references, at least one.

    Raises:
        UserError: nothing to score, the numbers differ, or there is only one image.
    """
    check_pairs(candidates, references)
    frequencies = DocumentFrequencies.of(references)
    values = []
    for candidate, own in zip(candidates, references, strict=True):
        vector = tf_idf(candidate, frequencies)
        values.append(10.0 * sum(cosine(vector, tf_idf(text, frequencies)) for text in own) / len(own))
    return Score(float(np.mean(values)), np.array(values))


def cosine(one: Vector, other: Vector) -> float:
    """Return the cosine of two captions, the mean over n = 1 to 4; n-grams that one of them lacks count as 0."""
    total = 0.0
    for own, told, norm, length in zip(one.weights, other.weights, one.norms, other.norms, strict=True):
        if norm and length:
            total += sum(weight * told[gram] for gram, weight in own.items() if gram in told) / (norm * length)
    return total / _LONGEST


def _similarity(candidate: Vector, reference: Vector) -> float:
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
