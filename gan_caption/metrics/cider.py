"""CIDEr and CIDEr-D (Vedantam et al. 2015, arXiv 1411.5726), as coco-caption computes the latter.

What coco-caption prints as "CIDEr" is CIDEr-D. Scale 0 to 10, here and there; papers call both 0.6 and 60 (times 100)
"CIDEr".

Shapes: C captions of L words at most, R references of M, P pairs of a candidate and a reference.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from gan_caption.errors import UserError
from gan_caption.metrics.coded import code, learn
from gan_caption.metrics.document_frequencies import DocumentFrequencies
from gan_caption.metrics.ngrams import Score, check_captions, check_pairs, check_references
from gan_caption.metrics.occurrences import LONGEST, occurrences, pairs_of, parts

_SIGMA = 6.0


@dataclass(frozen=True)
class Vectors:
    """tf-idf of captions (eq. 1, without dividing by the caption's length), by where n-grams begin, n = 1 to 4."""

    words: np.ndarray
    """(L, C)."""
    counts: np.ndarray
    """(4, L, C) how often the caption has the n-gram that begins here; 0 where none does."""
    squares: np.ndarray
    """(4, L, C) float64, the square of its inverse document frequency, divided by its count: an n-gram that stands at
    three places counts a third at each."""
    norms: np.ndarray
    """(4, C) float64."""

    @classmethod
    def of(cls, words: np.ndarray, frequencies: DocumentFrequencies) -> Vectors:
        """Weigh captions (L, C), coded by `frequencies.words` or by a copy that has learned more."""
        counts = occurrences(words, words)
        squares = frequencies.weights(words) ** 2 / np.maximum(counts, 1)
        norms = np.sqrt(np.einsum("nlc,nlc,nlc->nc", squares, counts, counts, dtype=np.float64))
        return cls(words, counts, squares, norms)


class CiderD:
    """Scores captions against references that are counted once: fit for a reward."""

    def __init__(self, references: Sequence[Sequence[str]], frequencies: DocumentFrequencies | None = None) -> None:
        """Hold the references.

        Args:
            references: of each image its tokenized references, at least one. Tokens are any strings without spaces:
                append "<eos>" to references and candidates alike, and ending at the right place counts as well.
            frequencies: None counts them over these references, as coco-caption does.

        Raises:
            UserError: no images, an image without references, only one image and no frequencies, or frequencies of
                another vocabulary.
        """
        check_references(references)
        sizes = [len(own) for own in references]
        if frequencies is not None:
            frequencies.check(references)
        self._words = {} if frequencies is None else dict(frequencies.words)
        told = learn((text for own in references for text in own), self._words)
        self.frequencies = frequencies or DocumentFrequencies.of_coded(told, self._words, sizes)
        self._of_image = np.cumsum([0, *sizes])  # the first reference of each image
        self._told = told  # their words and their norms are all that is kept of the references
        self._norms = np.empty((LONGEST, len(told.lengths)))
        for rows in parts(told.lengths):
            self._norms[:, rows] = Vectors.of(told.rectangle(rows), self.frequencies).norms

    def score(self, rows: Sequence[int], candidates: Sequence[str]) -> np.ndarray:
        """Return CIDEr-D of each candidate, (n,) float64, 0 to 10.

        Args:
            rows: for each candidate the image whose references it is compared with.
            candidates: tokenized captions, any number an image.

        Raises:
            UserError: the numbers differ, or one text is given, and no list.
        """
        check_captions(candidates, "candidates")
        if len(rows) != len(candidates):
            raise UserError(
                f"{len(rows)} rows and {len(candidates)} candidates: give the image's row for each candidate"
            )
        return self._means(rows, candidates, _clipped, _penalty)

    def cosines(self, rows: Sequence[int], candidates: Sequence[str]) -> np.ndarray:
        """Return the original CIDEr of each candidate, (n,) float64, 0 to 10; see `cider`."""
        check_captions(candidates, "candidates")
        return self._means(rows, candidates, np.multiply, np.ones_like)

    def _means(
        self,
        rows: Sequence[int],
        candidates: Sequence[str],
        product: Callable[[np.ndarray, np.ndarray], np.ndarray],
        damping: Callable[[np.ndarray], np.ndarray],
    ) -> np.ndarray:
        """Return ten times the mean of a similarity over references and n, (n,).

        Args:
            rows: see `score`.
            candidates: see `score`.
            product: of the counts that an n-gram has in the candidate and in the reference.
            damping: factor of a pair whose lengths differ so much.
        """
        told, captions = self._told, code(candidates, self._words)
        image = np.asarray(rows, dtype=np.int64)
        means = np.zeros(len(candidates))
        for part in parts(captions.lengths):
            own = Vectors.of(captions.rectangle(part), self.frequencies)
            begin = self._of_image[image[part]]
            sizes = self._of_image[image[part] + 1] - begin
            candidate, reference = pairs_of(begin, sizes)  # (P,)
            apart = captions.lengths[part][candidate] - told.lengths[reference]
            factor = damping(apart.astype(np.float64)) / sizes[candidate]
            for pairs in parts(np.maximum(captions.lengths[part][candidate], told.lengths[reference])):
                at, other = candidate[pairs], reference[pairs]
                similar = similarities(own, at, told.rectangle(other), self._norms[:, other], product)
                means[part] += np.bincount(at, factor[pairs] * similar, minlength=len(part))
        return 10.0 / LONGEST * means


def similarities(
    own: Vectors,
    candidate: np.ndarray,
    words: np.ndarray,
    norms: np.ndarray,
    product: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> np.ndarray:
    """Return products of two captions' weights over those of their norms, summed over n: (P,) float64, 0 to 4.

    Args:
        own: the candidates.
        candidate: (P,) each pair's.
        words: (M, P) of each pair's reference.
        norms: (4, P) of each pair's reference.
        product: of the counts that an n-gram has in the candidate and in the reference.
    """
    found = occurrences(own.words.take(candidate, 1), words).ravel()
    place = np.flatnonzero(found)  # of an n, of a word and of a pair
    begin, pair = np.divmod(place, len(candidate))
    begin = begin * own.words.shape[1] + candidate[pair]  # the same of a candidate
    products = product(own.counts.ravel()[begin], found[place].astype(np.float64)) * own.squares.ravel()[begin]
    n = place // (len(own.words) * len(candidate))
    summed = np.bincount(n * len(candidate) + pair, products, minlength=norms.size).reshape(norms.shape)
    both = own.norms[:, candidate] * norms
    return np.divide(summed, both, out=np.zeros(norms.shape), where=both > 0).sum(0)


def _clipped(own: np.ndarray, told: np.ndarray) -> np.ndarray:
    """Return the products of counts, the candidate's clipped to the reference's (eq. 4)."""
    return np.minimum(own, told) * told


def _penalty(apart: np.ndarray) -> np.ndarray:
    """Return what a candidate keeps that is so many words longer or shorter than the reference (eq. 4)."""
    return np.exp(-(apart**2) / (2 * _SIGMA**2))


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
    values = CiderD(references).cosines(range(len(candidates)), candidates)
    return Score(float(np.mean(values)), values)
