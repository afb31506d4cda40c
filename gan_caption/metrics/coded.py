"""Captions as integers, a word each, so that whole corpora are counted and compared in a few passes over arrays.

Shapes: C captions, T words of all of them, L words of the longest of those looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, repeat

import numpy as np

NO_WORD = -1
"""Behind the end of a caption."""


@dataclass(frozen=True)
class Coded:
    """Captions, one after the other."""

    words: np.ndarray
    """(T,) int32, at least 0."""
    lengths: np.ndarray
    """(C,) int64, in words."""
    starts: np.ndarray
    """(C,) int64, where each begins."""

    @classmethod
    def of(cls, words: np.ndarray, lengths: np.ndarray) -> Coded:
        """Hold words and how many each caption has."""
        return cls(words, lengths, np.cumsum(lengths) - lengths)

    def rectangle(self, rows: np.ndarray) -> np.ndarray:
        """Return captions side by side, word below word: (L, n), `NO_WORD` behind their ends.

        Args:
            rows: (n,) which captions.
        """
        lengths = self.lengths[rows]
        place = np.arange(int(lengths.max(initial=0)))[:, None]
        begin = self.starts[rows]
        there = place < lengths
        filled = np.full(there.shape, NO_WORD, np.int32)
        filled[there] = self.words[(begin + place)[there]]
        return filled


def learn(captions: Iterable[str], known: dict[str, int]) -> Coded:
    """Code captions; words that are new are added to `known`, and numbered on."""
    words, lengths = [], []
    for caption in captions:
        own = [known.setdefault(word, len(known)) for word in caption.split()]
        words.append(np.array(own, np.int32))
        lengths.append(len(own))
    return Coded.of(np.concatenate([np.zeros(0, np.int32), *words]), np.array(lengths, np.int64))


def code(captions: Sequence[str], known: dict[str, int]) -> Coded:
    """Code captions; words that are not known get numbers that no known one has, for this answer."""
    split = [caption.split() for caption in captions]
    lengths = np.fromiter(map(len, split), np.int64, len(split))
    flat = list(chain.from_iterable(split))
    words = np.fromiter(map(known.get, flat, repeat(-1)), np.int32, len(flat))
    if len(words) and words.min() < 0:
        new: dict[str, int] = {}
        for place in np.flatnonzero(words < 0).tolist():
            words[place] = len(known) + new.setdefault(flat[place], len(new))
    return Coded.of(words, lengths)
