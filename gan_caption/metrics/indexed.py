"""n-grams as integers, so that whole corpora are counted, weighted and matched in a few passes over arrays.

Shapes: C captions, T words of all of them, E entries, which are the distinct n-grams of each caption, n = 1 to 4.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

LONGEST = 4
_HALF = 32


@dataclass(frozen=True)
class Entries:
    """The n-grams of each caption."""

    caption: np.ndarray
    """(E,) int64, ascending."""
    gram: np.ndarray
    """(E,) int64, ascending within a caption: 4 i + n - 1 of the i-th n-gram with n words."""
    count: np.ndarray
    """(E,) int64, how often the caption has it."""

    @property
    def order(self) -> np.ndarray:
        """n - 1 of each n-gram, (E,)."""
        return self.gram % LONGEST

    def starts(self, captions: int) -> np.ndarray:
        """Return where each caption's entries begin, and the end of all, (C + 1,)."""
        return np.searchsorted(self.caption, np.arange(captions + 1))


class NgramIndex:
    """Gives equal n-grams equal integers, by n: exactly, there is no hashing that could confuse two.

    A bigram is a pair of words, a trigram a bigram and a word, four words are two bigrams: a pair of integers each,
    which one of 64 bits holds.
    """

    def __init__(self) -> None:
        self._words: dict[str, int] = {}
        self._pairs = {n: np.empty(0, np.int64) for n in range(2, LONGEST + 1)}  # in ascending order
        self._integers = {n: np.empty(0, np.int64) for n in range(2, LONGEST + 1)}  # of these pairs

    def known(self, n: int) -> int:
        """Return how many n-grams with n words are known."""
        return len(self._words) if n == 1 else len(self._pairs[n])

    @property
    def size(self) -> int:
        """A number above the integers of all n-grams that are known."""
        return LONGEST * max(self.known(n) for n in range(1, LONGEST + 1))

    def add(self, captions: Sequence[str]) -> Entries:
        """Learn the n-grams of captions and return them."""
        return self._entries(captions, learn=True)

    def entries(self, captions: Sequence[str]) -> Entries:
        """Return the n-grams of captions; unknown ones get integers that no known one has, for this answer."""
        return self._entries(captions, learn=False)

    def copy(self) -> NgramIndex:
        """Return an index that learns for itself; arrays are never changed in place."""
        other = NgramIndex()
        other._words = dict(self._words)
        other._pairs, other._integers = copy.copy(self._pairs), copy.copy(self._integers)
        return other

    def texts(self) -> dict[int, str]:
        """Return all known n-grams by their integers."""
        words = list(self._words)

        def halves(n: int) -> list[tuple[int, int]]:
            pairs = self._pairs[n][np.argsort(self._integers[n])]
            return list(zip((pairs >> _HALF).tolist(), (pairs & ((1 << _HALF) - 1)).tolist(), strict=True))

        two = [f"{words[one]} {words[other]}" for one, other in halves(2)]
        three = [f"{two[one]} {words[other]}" for one, other in halves(3)]
        four = [f"{two[one]} {two[other]}" for one, other in halves(4)]
        return {
            LONGEST * i + n: text for n, texts in enumerate((words, two, three, four)) for i, text in enumerate(texts)
        }

    def _entries(self, captions: Sequence[str], *, learn: bool) -> Entries:
        split = [caption.split() for caption in captions]
        lengths = np.fromiter(map(len, split), np.int64, len(split))
        one = self._word_integers(list(chain.from_iterable(split)), learn=learn)  # (T,)
        caption = np.repeat(np.arange(len(split)), lengths)  # (T,)
        left = np.repeat(np.cumsum(lengths), lengths) - np.arange(len(one))  # words from here to the caption's end
        two = self._integers_at(2, one, one[1:], left, learn=learn)
        three = self._integers_at(3, two, one[2:], left, learn=learn)
        four = self._integers_at(4, two, two[2:], left, learn=learn)
        whole = [left >= n for n in range(1, LONGEST + 1)]
        grams = [
            integers[there] * LONGEST + n
            for n, (integers, there) in enumerate(zip((one, two, three, four), whole, strict=True))
        ]
        return _counted(np.concatenate([caption[there] for there in whole]), np.concatenate(grams))

    def _word_integers(self, words: list[str], *, learn: bool) -> np.ndarray:
        known = self._words
        new = [word for word in dict.fromkeys(words) if word not in known]
        if new:
            known = known if learn else dict(known)
            known.update(zip(new, range(len(known), len(known) + len(new)), strict=True))
        return np.fromiter(map(known.__getitem__, words), np.int64, len(words))

    def _integers_at(
        self, n: int, first: np.ndarray, second: np.ndarray, left: np.ndarray, *, learn: bool
    ) -> np.ndarray:
        """Return the integer of the n-gram that begins at each word, (T,); 0 where the caption ends before it."""
        there = np.flatnonzero(left >= n)
        integers = np.zeros(len(left), np.int64)
        integers[there] = self._look_up(n, first[there] << _HALF | second[there], learn=learn)
        return integers

    def _look_up(self, n: int, pairs: np.ndarray, *, learn: bool) -> np.ndarray:
        place, known = find(self._pairs[n], pairs)
        integers = np.empty(len(pairs), np.int64)
        integers[known] = self._integers[n][place[known]]
        new, which = np.unique(pairs[~known], return_inverse=True)
        begin = len(self._pairs[n])
        integers[~known] = begin + which
        if learn and len(new):
            together = np.concatenate([self._pairs[n], new])
            order = np.argsort(together)
            numbers = np.concatenate([self._integers[n], np.arange(begin, begin + len(new))])
            self._pairs[n], self._integers[n] = together[order], numbers[order]
        return integers


def find(ascending: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where each number stands in an ascending array, and whether it does."""
    if not len(ascending):
        return np.zeros(len(wanted), np.int64), np.zeros(len(wanted), bool)
    place = np.minimum(np.searchsorted(ascending, wanted), len(ascending) - 1)
    return place, ascending[place] == wanted


def ranges(starts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return start, start + 1 ... of each range, one after the other."""
    ends = np.cumsum(sizes)
    return np.repeat(starts - ends + sizes, sizes) + np.arange(int(ends[-1]) if len(ends) else 0)


def firsts(ascending: np.ndarray) -> np.ndarray:
    """Return where each distinct number of an ascending array stands first."""
    return np.flatnonzero(np.concatenate([[True], ascending[1:] != ascending[:-1]])) if len(ascending) else ascending


def _counted(caption: np.ndarray, gram: np.ndarray) -> Entries:
    size = int(gram.max()) + 1 if len(gram) else 1
    both = np.sort(caption * size + gram)
    first = firsts(both)
    caption, gram = np.divmod(both[first], size)
    return Entries(caption, gram, np.diff(first, append=len(both)))
