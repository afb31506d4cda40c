"""In how many images' references each n-gram occurs, n = 1 to 4: what CIDEr weighs n-grams by.

n-grams of a single image are not kept: they weigh as much as those of none, log(images), and are most of all n-grams.
Equal n-grams have equal integers, exactly, there is no hashing that could confuse two: a bigram is a pair of words, a
trigram a bigram and a word, four words are two bigrams, which 64 bits hold as a pair of integers each.

Shapes: C captions, L words of the longest, T words of all captions.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from gan_caption import counting
from gan_caption.errors import UserError
from gan_caption.files import write_atomically
from gan_caption.metrics.coded import Coded, learn
from gan_caption.metrics.ngrams import check_captions, check_captions_of_images
from gan_caption.metrics.occurrences import LONGEST
from gan_caption.untrusted.parsing import briefly, parse_json

_HALF = 32


@dataclass(frozen=True)
class DocumentFrequencies:
    """In how many images' references each n-gram occurs."""

    images: int
    """How many images were counted."""
    words: dict[str, int]
    """The integer of each word of the references; not to be changed."""
    pairs: Sequence[np.ndarray]
    """The halves of every n-gram of two images or more, for n = 2 to 4, in ascending order; a place is an integer."""
    counts: Sequence[np.ndarray]
    """By the n-gram's integer, for n = 1 to 4, int64."""

    @classmethod
    def of(cls, references: Sequence[Sequence[str]]) -> DocumentFrequencies:
        """Count over the references of a corpus.

        Raises:
            UserError: there is only one image; every n-gram then has the weight log 1 = 0 and any caption scores 0. Or
                a text stands where a list of texts is wanted.
        """
        check_captions_of_images(references, "references")
        words: dict[str, int] = {}
        return cls.of_coded(
            learn((text for own in references for text in own), words), words, list(map(len, references))
        )

    @classmethod
    def of_coded(cls, captions: Coded, words: dict[str, int], sizes: Sequence[int]) -> DocumentFrequencies:
        """Count over captions that `words` has coded, so many of each image; see `of`."""
        _check_images(len(sizes))
        image = np.repeat(np.repeat(np.arange(len(sizes)), sizes), captions.lengths)  # (T,)
        left = np.repeat(np.cumsum(captions.lengths), captions.lengths) - np.arange(len(image))  # words to the end
        one = captions.words.astype(np.int64)
        counted = [_images_of(one, image, len(sizes), len(words))]
        pairs = []

        def longer(n: int, first: np.ndarray, second: np.ndarray, shorter: np.ndarray) -> np.ndarray:
            """Count the n-grams that begin at each word, and return their integers (T,); -1 where none is kept."""
            # What two images have in common begins and ends with shorter n-grams that they have in common.
            there = np.flatnonzero((left >= n) & (shorter >= 0) & (np.append(shorter[1:], -1) >= 0))
            found, which = np.unique(first[there] << _HALF | second[there + n - n // 2], return_inverse=True)
            count = _images_of(which, image[there], len(sizes), len(found))
            kept = count >= 2
            pairs.append(found[kept])
            counted.append(count[kept])
            integers = np.full(len(image), -1)
            integers[there] = np.where(kept, np.cumsum(kept) - 1, -1)[which]
            return integers

        two = longer(2, one, one, np.where(counted[0][one] >= 2, one, -1))
        three = longer(3, two, one, two)
        longer(4, two, two, three)
        return cls(len(sizes), words, pairs, counted)

    @classmethod
    def of_many(cls, references: Iterable[Sequence[str]], *, at_once: int = 1_000_000) -> DocumentFrequencies:
        """Count as `of`, exactly, in one pass; memory grows with the n-grams that are kept, not with the references.

        Args:
            references: of each image its tokenized references; gone through once.
            at_once: distinct n-grams in memory before they go to disk; see `counting.counted`.

        Raises:
            UserError: see `of`.
        """
        check_captions(references, "references")
        images = 0

        def grams() -> Iterator[str]:
            nonlocal images
            for own in references:
                check_captions(own, f"references of image {images}")
                images += 1
                yield from _grams(own)

        counts = {
            tuple(gram.split(" ")): count
            for gram, count in counting.counted(grams(), at_once=at_once)
            if count >= 2 or " " not in gram
        }
        _check_images(images)
        return cls._of_counts(images, counts)

    @classmethod
    def _of_counts(cls, images: int, counts: dict[tuple[str, ...], int]) -> DocumentFrequencies:
        """Hold counts, in which every n-gram has its halves as well."""
        words = {gram[0]: place for place, gram in enumerate(gram for gram in counts if len(gram) == 1)}
        numbers = [np.array([counts[word,] for word in words], np.int64)]
        integers: dict[tuple[str, ...], int] = {(word,): place for word, place in words.items()}
        pairs = []
        for n in range(2, LONGEST + 1):
            cut = n // 2 + n % 2
            halves = {gram: integers[gram[:cut]] << _HALF | integers[gram[cut:]] for gram in counts if len(gram) == n}
            grams = sorted(halves, key=halves.__getitem__)
            integers |= {gram: place for place, gram in enumerate(grams)}
            pairs.append(np.array([halves[gram] for gram in grams], np.int64))
            numbers.append(np.array([counts[gram] for gram in grams], np.int64))
        return cls(images, words, pairs, numbers)

    @classmethod
    def load(cls, path: Path) -> DocumentFrequencies:
        """Read what `save` wrote.

        Raises:
            UserError: the file is missing or is something else.
        """
        try:
            told = parse_json(path.read_bytes())
            images = told["images"]
            if type(images) is not int or not 2 <= images < 1 << _HALF:
                raise ValueError(f"images is {briefly(images)}, no number of images")
            for text, count in told["counts"].items():
                if type(count) is not int or not 1 <= count <= images or text.count(" ") >= LONGEST:
                    raise ValueError(f"{briefly(text)}: {briefly(count)} is not 1 to 4 words in 1 to all images")
            counts = {tuple(text.split()): count for text, count in told["counts"].items()}
            if not {len(gram) for gram in counts} <= set(range(1, LONGEST + 1)):
                raise ValueError("an n-gram has 1 to 4 words")
            return cls._of_counts(images, counts)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"{path}: no document frequencies here ({repr(error)[:300]}); "
                "--save-frequencies and DocumentFrequencies.of(references).save(path) make them"
            ) from error

    def save(self, path: Path) -> None:
        """Write a JSON file: the number of images, and in how many each word and each n-gram of two or more occurs."""
        one = list(self.words)[: len(self.counts[0])]
        two = self._texts(2, one, one)
        texts = (one, two, self._texts(3, two, one), self._texts(4, two, two))
        counts = {
            text: count
            for own, numbers in zip(texts, self.counts, strict=True)
            for text, count in zip(own, numbers.tolist(), strict=True)
        }
        told = {"images": self.images, "counts": counts}
        write_atomically(path, lambda file: file.write(json.dumps(told, ensure_ascii=False).encode()))

    def _texts(self, n: int, first: Sequence[str], second: Sequence[str]) -> list[str]:
        halves = self.pairs[n - 2]
        begin, end = (halves >> _HALF).tolist(), (halves & ((1 << _HALF) - 1)).tolist()
        return [f"{first[one]} {second[other]}" for one, other in zip(begin, end, strict=True)]

    def weights(self, words: np.ndarray) -> np.ndarray:
        """Return log(images / images that have the n-gram), (4, L, C) float64; log(images) for one that none has.

        Args:
            words: (L, C) coded by `words`, or by a copy that has learned more. What is said of an n-gram that ends
                behind its caption is of no use.
        """
        one = np.where(words < len(self.counts[0]), words, -1).astype(np.int64)
        two = self._look_up(2, one, one[1:])
        three = self._look_up(3, two, one[2:])
        four = self._look_up(4, two, two[2:])
        return np.stack([own[integers] for own, integers in zip(self._weights, (one, two, three, four), strict=True)])

    @cached_property
    def _weights(self) -> list[np.ndarray]:
        """By the n-gram's integer, for n = 1 to 4; at -1, the last, that of an n-gram that none has."""
        whole = math.log(self.images)
        return [whole - np.log(np.append(np.maximum(own, 1), 1)) for own in self.counts]

    def _look_up(self, n: int, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return the integers of n-grams by their halves, (L, C); -1 where one is not known."""
        integers = np.full(first.shape, -1)
        whole = integers[: len(second)]
        begin = first[: len(second)]
        place, known = _find(self.pairs[n - 2], np.where(begin < 0, -1, begin << _HALF | second))
        np.copyto(whole, place, where=known)
        return integers

    def check(self, references: Sequence[Sequence[str]]) -> None:
        """Refuse frequencies that were counted over other words than these references are written in.

        Raises:
            UserError: fewer than half of the references' distinct words occur in them, or a text stands where a list of
                texts is wanted.
        """
        check_captions_of_images(references, "references")
        used = {word for own in references for text in own for word in text.split()}
        known = len(used & self.words.keys())
        if 2 * known < len(used):
            raise UserError(
                f"document frequencies of another vocabulary: they know {known} of the references' {len(used)} words; "
                "count them over captions tokenized in the same way"
            )


def _check_images(images: int) -> None:
    if images < 2:
        raise UserError(
            f"CIDEr-D weighs words by how rare they are among images, and {images} image(s) tell nothing: "
            "give at least two images, or, from Python, the DocumentFrequencies of a larger corpus"
        )


def _grams(references: Sequence[str]) -> set[str]:
    """Return the distinct n-grams of an image's references, n = 1 to 4."""
    return {
        " ".join(words[first : first + n])
        for words in map(str.split, references)
        for n in range(1, LONGEST + 1)
        for first in range(len(words) - n + 1)
    }


def _images_of(gram: np.ndarray, image: np.ndarray, images: int, grams: int) -> np.ndarray:
    """Return in how many images each of the n-grams 0 to `grams` - 1 occurs."""
    both = np.sort(gram * images + image)
    return np.bincount(both[np.flatnonzero(np.diff(both, prepend=-1))] // images, minlength=grams)


def _find(ascending: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where each number stands in an ascending array, and whether it does."""
    if not len(ascending):
        return np.zeros(wanted.shape, np.int64), np.zeros(wanted.shape, bool)
    place = np.minimum(np.searchsorted(ascending, wanted), len(ascending) - 1)
    return place, ascending[place] == wanted
