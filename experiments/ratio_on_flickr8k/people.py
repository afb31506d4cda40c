"""People's captions as the scale: means of captions where diversity and lengths are theirs.

Shapes: N images, K samples an image, P points of a grid, S strata of length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

STRATA = (8, 10, 12, 14)
"""A caption's stratum is the number of these that its words reach."""
Lengths = Sequence[Sequence[int]]
"""Of each image's captions, in words."""


@dataclass(frozen=True)
class People:
    """The scale and the standard."""

    lengths: Lengths
    self_cider: np.ndarray
    """(N,) of each image's captions; NaN where there are not as many as samples."""

    @property
    def level(self) -> float:
        """Their mean Self-CIDEr."""
        return float(np.nanmean(self.self_cider))

    @property
    def shares(self) -> np.ndarray:
        """(S,) of the strata of length."""
        _, counts = stratified(self.lengths, self.lengths)
        shares: np.ndarray = counts / counts.sum()
        return shares


def at_equal_diversity(values: Sequence[float], diversity: Sequence[float], people: People) -> float:
    """Return a mean of captions where Self-CIDEr is people's.

    Points are joined by straight lines over Self-CIDEr; beyond the last ones nothing is known (NaN).

    Args:
        values: (P,) the mean at each point; see `standardised`.
        diversity: (P,) the mean Self-CIDEr of each point.
        people: the scale.
    """
    order = np.argsort(diversity)
    across, up = np.array(diversity)[order], np.array(values)[order]
    return float(np.interp(people.level, across, up, left=np.nan, right=np.nan))


def standardised(lengths: Lengths, values: Sequence[Sequence[float]], people: People) -> float:
    """Return the mean of captions' values (N, K), lengths distributed as people's (direct standardisation).

    The captions of a stratum of length count together as much as people's do; a stratum without captions is left out.
    """
    sums, counts = stratified(lengths, values)
    there = counts > 0
    return float(people.shares[there] @ (sums[there] / counts[there]) / people.shares[there].sum())


def stratified(lengths: Lengths, values: Sequence[Sequence[float]]) -> tuple[np.ndarray, np.ndarray]:
    """Return the sum of captions' values and their number, by stratum of length, (S,) each."""
    strata = np.searchsorted(STRATA, [length for own in lengths for length in own], side="right")
    flat = np.array([value for own in values for value in own], dtype=float)
    size = len(STRATA) + 1
    return np.bincount(strata, weights=flat, minlength=size), np.bincount(strata, minlength=size)
