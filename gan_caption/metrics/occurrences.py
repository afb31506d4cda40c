"""How often one caption has another's n-grams, n = 1 to 4, for many pairs of captions at once.

An n-gram is known by where it begins: captions are compared word by word, and two n-grams are equal where two words are
equal and those behind them are. That asks for no table of n-grams. Of captions of a thousand words and more the n-grams
are sorted instead, which takes a time that does not grow by the square.

Shapes: C captions of L words at most, P pairs of a caption and of another one with M words at most.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gan_caption.metrics.coded import NO_WORD

LONGEST = 4
_COMPARED_AT_ONCE = 1 << 20
"""Words with words: as many bytes, a few times over."""


def occurrences(own: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return how often another caption has the n-gram that begins at each word, (4, L, P); 0 where none does.

    Args:
        own: (L, P) words.
        other: (M, P) words of the captions that they are looked for in.
    """
    counts = np.zeros((LONGEST, *own.shape), np.min_scalar_type(len(other)))
    other = np.where(other == NO_WORD, NO_WORD - 1, other)  # equal to nothing
    if len(own) * len(other) > _COMPARED_AT_ONCE:
        for pair in range(own.shape[1]):
            _by_sorting(own[:, pair], other[:, pair], counts[:, :, pair])
        return counts
    block = max(_COMPARED_AT_ONCE // max(other.size, 1), 1)
    for begin in range(0, len(own), block):
        part = own[begin : begin + block + LONGEST - 1]
        same = other[:, None] == part  # (M, block, P)
        equal = same
        for n in range(LONGEST):
            if n:
                equal = equal[:-1, :-1] & same[n:, n:]
            found = counts[n, begin : begin + block]
            equal[:, : len(found)].view(np.uint8).sum(0, dtype=counts.dtype, out=found[: equal.shape[1]])
    return counts


def _by_sorting(own: np.ndarray, other: np.ndarray, counts: np.ndarray) -> None:
    """Put into `counts` (4, L) what `occurrences` returns of one pair of captions, (L,) and (M,) words."""
    words = np.unique(np.concatenate([own, other]), return_inverse=True)[1]
    here, there = codes = words[: len(own)], words[len(own) :]
    many = len(words)
    for n in range(LONGEST):
        if n:  # an n-gram is one that is a word shorter, and a word
            longer = [code[:-1] * many + word[n:] for code, word in zip(codes, (here, there), strict=True)]
            coded = np.unique(np.concatenate(longer), return_inverse=True)[1]
            codes = coded[: len(longer[0])], coded[len(longer[0]) :]
        if not min(map(len, codes)):
            return
        counts[n, : len(codes[0])] = np.bincount(codes[1], minlength=codes[0].max() + 1)[codes[0]]


def parts(lengths: np.ndarray) -> Iterator[np.ndarray]:
    """Split captions, or pairs of them, so that what is compared at once is bounded; yield the rows of each part.

    Args:
        lengths: (C,) in words, the longer one's of a pair.
    """
    waiting = [np.argsort(lengths, kind="stable")]
    while waiting:
        rows = waiting.pop()
        if len(rows) > 1 and len(rows) * int(lengths[rows[-1]]) ** 2 > _COMPARED_AT_ONCE:
            waiting += [rows[len(rows) // 2 :], rows[: len(rows) // 2]]
        elif len(rows):
            yield rows


def pairs_of(begin: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pair each caption with its references, which stand in a row: its number and the reference's, both (P,).

    Args:
        begin: (C,) the first reference of each.
        sizes: (C,) how many it has.
    """
    ends = np.cumsum(sizes)
    caption = np.repeat(np.arange(len(sizes)), sizes)
    return caption, np.arange(len(caption)) + (begin - ends + sizes)[caption]
