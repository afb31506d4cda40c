"""BLEU-1 to BLEU-4 (Papineni et al. 2002), as coco-caption computes it: closest reference length, tiny additions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from gan_caption.metrics.indexed import LONGEST, NgramIndex, find, firsts
from gan_caption.metrics.ngrams import Score, check_pairs

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
    index = NgramIndex()
    told = index.add([text for own in references for text in own])
    image = np.repeat(np.arange(len(references)), [len(own) for own in references])
    own = index.entries(candidates)
    size = 1 + max(int(own.gram.max(initial=0)), int(told.gram.max(initial=0)))
    key = image[told.caption] * size + told.gram
    order = np.argsort(key)
    begin = firsts(key[order])
    place, common = find(key[order][begin], own.caption * size + own.gram)
    counts = np.zeros((len(candidates), 2 * LONGEST + 2))
    if common.any():
        most = np.maximum.reduceat(told.count[order], begin)  # in any one reference of the image
        clipped = np.minimum(own.count[common], most[place[common]])
        cell = own.caption[common] * LONGEST + own.order[common]
        matches = np.bincount(cell, clipped, minlength=len(candidates) * LONGEST)
        counts[:, :LONGEST] = matches.reshape(-1, LONGEST)
    words = [len(candidate.split()) for candidate in candidates]
    counts[:, LONGEST : 2 * LONGEST] = [ngrams_in(length) for length in words]
    counts[:, -2] = words
    counts[:, -1] = [
        closest_length(length, [len(text.split()) for text in own])
        for length, own in zip(words, references, strict=True)
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
