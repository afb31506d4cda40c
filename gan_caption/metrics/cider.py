"""CIDEr and CIDEr-D (Vedantam et al. 2015, arXiv 1411.5726), as coco-caption computes the latter.

What coco-caption prints as "CIDEr" is CIDEr-D. Scale 0 to 10, here and there; papers call both 0.6 and 60 (times 100)
"CIDEr".

Shapes: C captions, R references of all images, P pairs of a candidate and a reference, E entries (see `Entries`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gan_caption.errors import UserError
from gan_caption.files import write_atomically
from gan_caption.metrics.indexed import LONGEST, Entries, NgramIndex, find, firsts, ranges
from gan_caption.metrics.ngrams import Score, check_pairs, check_references

_SIGMA = 6.0
_SCORED_AT_ONCE = 8192


@dataclass(frozen=True)
class DocumentFrequencies:
    """In how many images' references each n-gram occurs."""

    images: int
    """How many images were counted."""
    index: NgramIndex
    """Of their n-grams."""
    counts: np.ndarray
    """By the n-gram's integer, (index.size,) int64."""

    @classmethod
    def of(cls, references: Sequence[Sequence[str]]) -> DocumentFrequencies:
        """Count over the references of a corpus.

        Raises:
            UserError: there is only one image; every n-gram then has the weight log 1 = 0 and any caption scores 0.
        """
        index = NgramIndex()
        return cls.of_entries(index.add([text for own in references for text in own]), index, references)

    @classmethod
    def of_entries(
        cls, entries: Entries, index: NgramIndex, references: Sequence[Sequence[str]]
    ) -> DocumentFrequencies:
        """Count over references that an index has learned already; see `of`."""
        if len(references) < 2:
            raise UserError(
                f"CIDEr-D weighs words by how rare they are among images, and {len(references)} image(s) tell nothing: "
                "give at least two, or the DocumentFrequencies of a larger corpus"
            )
        image = np.repeat(np.arange(len(references)), [len(own) for own in references])  # (R,)
        of_image = np.sort(image[entries.caption] * index.size + entries.gram)
        grams = of_image[firsts(of_image)] % max(index.size, 1)
        return cls(len(references), index, np.bincount(grams, minlength=index.size))

    @classmethod
    def load(cls, path: Path) -> DocumentFrequencies:
        """Read what `save` wrote.

        Raises:
            UserError: the file is missing or is something else.
        """
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            texts, numbers = list(told["counts"]), np.array([int(count) for count in told["counts"].values()])
            index = NgramIndex()
            entries = index.add(texts)
            words = np.array([len(text.split()) for text in texts])
            if not set(words.tolist()) <= set(range(1, LONGEST + 1)):
                raise ValueError("an n-gram has 1 to 4 words")
            counts = np.zeros(index.size, np.int64)
            whole = words[entries.caption] == entries.order + 1
            counts[entries.gram[whole]] = numbers[entries.caption[whole]]
            return cls(int(told["images"]), index, counts)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"{path}: no document frequencies here ({error!r}); DocumentFrequencies.of(references).save(path) "
                "makes them"
            ) from error

    def save(self, path: Path) -> None:
        """Write a JSON file: the number of images, and in how many of them each n-gram occurs."""
        counts = {text: int(self.counts[gram]) for gram, text in self.index.texts().items() if self.counts[gram]}
        told = {"images": self.images, "counts": counts}
        write_atomically(path, lambda file: file.write(json.dumps(told, ensure_ascii=False).encode()))

    def weights(self, grams: np.ndarray) -> np.ndarray:
        """Return log(images / images that have the n-gram), (E,); log(images) for one that none has.

        Args:
            grams: (E,) integers of `index`, or of a copy that has learned more.
        """
        counts = np.zeros(len(grams), np.int64)
        known = grams < len(self.counts)
        counts[known] = self.counts[grams[known]]
        return math.log(self.images) - np.log(np.maximum(1, counts))

    def check(self, references: Sequence[Sequence[str]]) -> None:
        """Refuse frequencies that were counted over other words than these references are written in.

        Raises:
            UserError: fewer than half of the references' distinct words occur in them.
        """
        entries = self.index.entries([text for own in references for text in own])
        used = np.unique(entries.gram[entries.order == 0]) // LONGEST
        known = int((used < self.index.known(1)).sum())
        if 2 * known < len(used):
            raise UserError(
                f"document frequencies of another vocabulary: they know {known} of the references' {len(used)} words; "
                "count them over captions tokenized in the same way"
            )


@dataclass(frozen=True)
class Vectors:
    """tf-idf of captions (eq. 1, without dividing by the caption's length)."""

    weight: np.ndarray
    """(E,) float64."""
    norms: np.ndarray
    """(C, 4) float64, for n = 1 to 4."""


def tf_idf(entries: Entries, captions: int, frequencies: DocumentFrequencies) -> Vectors:
    """Return the vectors of captions.

    Args:
        entries: of the captions, by an index in which the integers of `frequencies.index` mean the same.
        captions: C.
        frequencies: for the weights.
    """
    weight = entries.count * frequencies.weights(entries.gram)
    squares = np.bincount(entries.caption * LONGEST + entries.order, weight**2, minlength=captions * LONGEST)
    return Vectors(weight, np.sqrt(squares).reshape(captions, LONGEST))


class CiderD:
    """Scores captions against references that are counted once: fit for a reward."""

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
        texts = [text for own in references for text in own]
        if frequencies is None:
            self._index = NgramIndex()
            entries = self._index.add(texts)
            frequencies = DocumentFrequencies.of_entries(entries, self._index, references)
        else:
            frequencies.check(references)
            self._index = frequencies.index.copy()
            entries = self._index.add(texts)
        self.frequencies = frequencies
        self._of_image = np.cumsum([0, *map(len, references)])  # the first reference of each image
        self._lengths = _bigrams(texts)
        self._starts = entries.starts(len(texts))
        # A weight is a count and a table's entry: 9 bytes an n-gram are kept, for a million references some hundred MB.
        self._grams = entries.gram
        self._counts = entries.count.astype(np.uint8 if entries.count.max(initial=0) < 256 else np.int64)
        self._norms = tf_idf(entries, len(texts), frequencies).norms

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
        return self._in_parts(self._clipped, rows, candidates)

    def cosines(self, rows: Sequence[int], candidates: Sequence[str]) -> np.ndarray:
        """Return the original CIDEr of each candidate, (n,) float64, 0 to 10; see `cider`."""
        return self._in_parts(self._plain, rows, candidates)

    def _in_parts(
        self, similarity: Callable[[Pairs], np.ndarray], rows: Sequence[int], candidates: Sequence[str]
    ) -> np.ndarray:
        """Return ten times the mean over references and n of a similarity, (n,); memory is bounded."""
        parts = [np.zeros(0)]
        for start in range(0, len(candidates), _SCORED_AT_ONCE):
            pairs = Pairs.of(
                np.asarray(rows[start : start + _SCORED_AT_ONCE], dtype=np.int64), self._of_image,
                candidates[start : start + _SCORED_AT_ONCE],
            )  # fmt: skip
            total = np.bincount(pairs.candidate, similarity(pairs), minlength=len(pairs.texts))
            parts.append(10.0 * total / pairs.references / LONGEST)
        return np.concatenate(parts)

    def _clipped(self, pairs: Pairs) -> np.ndarray:
        """Return the clipped cosine summed over n, damped where the lengths differ (eq. 4), (P,)."""
        apart = _bigrams(pairs.texts)[pairs.candidate] - self._lengths[pairs.reference]
        return self._products(pairs, lambda own, told: np.minimum(own, told) * told) * np.exp(
            -(apart**2) / (2 * _SIGMA**2)
        )

    def _plain(self, pairs: Pairs) -> np.ndarray:
        """Return the cosine summed over n (eq. 2), (P,)."""
        return self._products(pairs, np.multiply)

    def _products(self, pairs: Pairs, product: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
        """Return products of two captions' weights, summed over their common n-grams and divided by the norms, (P,)."""
        own = self._index.entries(pairs.texts)
        vectors = tf_idf(own, len(pairs.texts), self.frequencies)
        begin, end = self._starts[pairs.reference], self._starts[pairs.reference + 1]
        pair = np.repeat(np.arange(len(begin)), end - begin)
        entry = ranges(begin, end - begin)
        gram = self._grams[entry]
        size = 1 + max(int(own.gram.max(initial=0)), int(gram.max(initial=0)))
        place, common = find(own.caption * size + own.gram, pairs.candidate[pair] * size + gram)
        shared = gram[common]
        told = self._counts[entry[common]] * self.frequencies.weights(shared)
        products = product(vectors.weight[place[common]], told)
        summed = np.bincount(pair[common] * LONGEST + shared % LONGEST, products, minlength=len(begin) * LONGEST)
        norms = vectors.norms[pairs.candidate] * self._norms[pairs.reference]  # (P, 4)
        return np.divide(summed.reshape(norms.shape), norms, out=np.zeros(norms.shape), where=norms > 0).sum(1)


@dataclass(frozen=True)
class Pairs:
    """Candidates, each beside all references of its image."""

    texts: Sequence[str]
    """n candidates."""
    references: np.ndarray
    """(n,) how many each has."""
    candidate: np.ndarray
    """(P,), ascending."""
    reference: np.ndarray
    """(P,)."""

    @classmethod
    def of(cls, rows: np.ndarray, of_image: np.ndarray, texts: Sequence[str]) -> Pairs:
        """Pair candidates of image `rows` (n,) with the references from `of_image[row]` to `of_image[row + 1]`."""
        begin = of_image[:-1][rows]
        sizes = of_image[1:][rows] - begin
        return cls(texts, sizes, np.repeat(np.arange(len(rows)), sizes), ranges(begin, sizes))


def _bigrams(texts: Sequence[str]) -> np.ndarray:
    """Return the lengths of captions as coco-caption counts them, (C,) float64."""
    return np.maximum(np.fromiter((len(text.split()) for text in texts), np.float64, len(texts)) - 1, 0)


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
