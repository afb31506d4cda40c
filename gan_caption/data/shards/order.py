"""The order of an epoch over shards: a pure function of the seed and the shards' sizes.

Shards in random order, a window of them at a time, and in random order the samples of a window: whoever reads in this
order needs only a window of shards at hand.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate

import numpy as np


class ShardOrder:
    """Every row once; any place in the order is found without going through those before it."""

    def __init__(self, sizes: Sequence[int], *, window: int, seed: Sequence[int]) -> None:
        """Order the shards.

        Args:
            sizes: rows of each shard; rows are counted through.
            window: shards whose rows are mixed, at least 1.
            seed: of the order; not negative.
        """
        self._sizes = sizes
        self._starts = [*accumulate(sizes, initial=0)]
        self._seed = list(seed)
        shards = np.random.default_rng([*seed, 0]).permutation(len(sizes)).tolist()
        self._windows = [shards[first : first + window] for first in range(0, len(shards), window)]
        self._ends = np.cumsum([sum(sizes[shard] for shard in own) for own in self._windows])

    def __len__(self) -> int:
        return self._starts[-1]

    def rows(self, first: int = 0, last: int | None = None) -> Iterator[int]:
        """Yield the rows at the places from `first` to before `last` (None: the end)."""
        last = len(self) if last is None else last
        for window in range(int(np.searchsorted(self._ends, first, side="right")), len(self._windows)):
            rows = self._mixed(window)
            begin = int(self._ends[window]) - len(rows)
            if begin >= last:
                return
            yield from rows[max(first - begin, 0) : last - begin].tolist()

    def _mixed(self, window: int) -> np.ndarray:
        own = self._windows[window]
        rows = np.concatenate([np.arange(self._sizes[one]) + self._starts[one] for one in own])
        return np.random.default_rng([*self._seed, 1 + window]).permutation(rows)


def part_of(total: int, part: int, parts: int) -> tuple[int, int]:
    """Return the places of an epoch that belong to one of several readers.

    Together the parts are the whole, none has a place of another, and their sizes differ by at most one. A part is one
    piece, so that its reader needs only its own shards, and at the ends those of its neighbours.
    """
    return total * part // parts, total * (part + 1) // parts
