"""BLEU-1 to BLEU-4 (Papineni et al. 2002), as coco-caption computes it: closest reference length, tiny additions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from gan_caption.metrics.coded import learn
from gan_caption.metrics.ngrams import Score, check_pairs
from gan_caption.metrics.occurrences import LONGEST, occurrences, pairs_of, parts

# coco-caption adds these so that a count of 0 is no error; its values depend on them.
_TINY, _SMALL = 1e-15, 1e-9


@dataclass(frozen=True)
class PooledBleu(Score):
    """BLEU-n of one n: no mean over images, the corpus's counts are pooled first."""

    n: int
    counts: np.ndarray
    """(K, N, 10): of K captions an image the clipped matches for n = 1 to 4, the n-grams for n = 1 to 4, the words, and
    the words of the closest reference. With K > 1 the value is the mean of K corpora."""

    def resampled(self, weights: np.ndarray) -> np.ndarray:
        """Return BLEU-n of other corpora made of the same images, (B,) float64; see `Score.resampled`."""
        return bleu_of_counts(np.tensordot(weights, self.counts, axes=(1, 1)))[..., self.n - 1].mean(1)


@dataclass(frozen=True)
class PooledOverlap(PooledBleu):
    """The same of `overlap_of_counts`, for captions that are compared with one another."""

    def resampled(self, weights: np.ndarray) -> np.ndarray:
        """Return the overlap of other corpora made of the same images, (B,) float64; see `Score.resampled`."""
        return overlap_of_counts(np.tensordot(weights, self.counts, axes=(1, 1))).mean(1)


@dataclass(frozen=True)
class BleuResult:
    """BLEU-1, BLEU-2, BLEU-3, BLEU-4."""

    corpus: tuple[float, float, float, float]
    """Over all images."""
    per_image: np.ndarray
    """(N, 4) float64."""
    counts: np.ndarray
    """(N, 10) float64; see `PooledBleu`."""

    def order(self, n: int) -> PooledBleu:
        """Return BLEU-n alone."""
        return PooledBleu(self.corpus[n - 1], self.per_image[:, n - 1], n, self.counts[None])


def bleu(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> BleuResult:
    """Return BLEU of one candidate an image.

    Args:
        candidates: N tokenized captions.
        references: of each image its tokenized references, at least one.

    Raises:
        UserError: nothing to score, or the numbers differ.
    """
    check_pairs(candidates, references)
    counts = _counts(candidates, references)
    one, two, three, four = bleu_of_counts(counts.sum(0)).tolist()
    return BleuResult((one, two, three, four), bleu_of_counts(counts), counts)


def _counts(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
    """Return (N, 10): clipped matches and n-grams for n = 1 to 4, the words, and those of the closest reference."""
    known: dict[str, int] = {}
    told, own = learn((text for own in references for text in own), known), learn(candidates, known)
    sizes = np.array([len(own) for own in references])
    begin = np.cumsum(sizes) - sizes
    counts = np.zeros((len(candidates), 2 * LONGEST + 2))
    longest = np.maximum(np.maximum.reduceat(told.lengths, begin), own.lengths)
    for rows in parts(longest * sizes):
        candidate, reference = pairs_of(begin[rows], sizes[rows])  # (P,)
        words = own.rectangle(rows)  # (L, n)
        found = occurrences(words.take(candidate, 1), told.rectangle(reference))
        most = np.maximum.reduceat(found, np.cumsum(sizes[rows]) - sizes[rows], axis=2)  # in any one reference
        said = np.maximum(occurrences(words, words), 1)
        counts[rows, :LONGEST] = np.rint(
            (np.minimum(most, said) / said).sum(1).T
        )  # what stands at three places, a third at each
    lengths = own.lengths.tolist()
    counts[:, LONGEST : 2 * LONGEST] = [ngrams_in(length) for length in lengths]
    counts[:, -2] = lengths
    references_of = np.split(told.lengths, begin[1:])
    counts[:, -1] = [
        closest_length(length, others.tolist()) for length, others in zip(lengths, references_of, strict=True)
    ]
    return counts


def ngrams_in(words: int) -> list[int]:
    """Return how many n-grams a caption of so many words has, for n = 1 to 4."""
    return [max(words - n, 0) for n in range(LONGEST)]


def closest_length(length: int, references: Iterable[int]) -> int:
    """Return the reference length closest to a candidate's; of two equally close the shorter."""
    return min(references, key=lambda other: (abs(other - length), other))


def bleu_of_counts(counts: np.ndarray) -> np.ndarray:
    """Return BLEU-1 to BLEU-4, (..., 4) float64, of counts as `PooledBleu` lays them out, (..., 10)."""
    precisions = (counts[..., :4] + _TINY) / (counts[..., 4:8] + _SMALL)
    return np.cumprod(precisions, axis=-1) ** (1 / np.arange(1, LONGEST + 1)) * _brevity(counts)[..., None]


def overlap_of_counts(counts: np.ndarray) -> np.ndarray:
    """Return BLEU-4 over those orders alone of which there are n-grams, (...,) float64, of counts (..., 10).

    Where every caption has four words this is BLEU-4. Of shorter ones BLEU-4 is 0, and who says "a man" of every image
    would repeat himself least of all.
    """
    there = counts[..., 4:8] > 0
    logs = np.log((counts[..., :4] + _TINY) / (counts[..., 4:8] + _SMALL))
    mean = np.where(there, logs, 0.0).sum(-1) / np.maximum(there.sum(-1), 1)
    nobody_speaks = counts[..., 8:].sum(-1) == 0
    return np.exp(mean) * np.where(nobody_speaks, 1.0, _brevity(counts))


def _brevity(counts: np.ndarray) -> np.ndarray:
    ratio = (counts[..., 8] + _TINY) / (counts[..., 9] + _SMALL)
    return np.exp(np.minimum(1 - 1 / ratio, 0.0))
