"""Quality against diversity: a system decoded over a grid of temperatures is a curve, and curves are compared.

One point of a text GAN says nothing, because any model buys quality with diversity by sampling colder (Caccia et al.
2020, arXiv 1811.02549). What counts is how much diversity is left at the same quality.

Shapes: S seeds, P points of the grid, N images, B bootstrap draws, L levels of quality.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gan_caption.errors import UserError
from gan_caption.metrics.bootstrap import over_seeds, percentiles, wider

DOMINATES, BELOW, CROSSES, ALIKE = "dominates", "below", "crosses", "cannot be told apart"
_ROUNDING = 1e-9
"""Differences below it are those of floating point."""


class NoCommonQuality(UserError):
    """Two curves that cannot be compared: one ends below where the other begins."""


@dataclass(frozen=True)
class Curve:
    """A system at every point of the grid; higher is better on both axes."""

    quality: np.ndarray
    """(S, P, N) float64, of each image's samples."""
    diversity: np.ndarray
    """(S, P, N) float64."""


@dataclass(frozen=True)
class EqualQuality:
    """How much more diverse a system is than the baseline where both reach a quality."""

    levels: np.ndarray
    """(L,) the qualities, over the range that both curves cover."""
    difference: np.ndarray
    """(L,) in diversity; positive where the system is the more diverse."""
    low: np.ndarray
    """(L,) lower ends of the 95% intervals."""
    high: np.ndarray
    """(L,) upper ends."""
    mean: float
    """Mean difference over the levels."""
    interval: tuple[float, float]
    """Its 95% interval."""

    @property
    def verdict(self) -> str:
        """Say how the curves lie: `dominates`, `below`, `crosses`, or `cannot be told apart`.

        By the interval of the mean and of each level: a system dominates (lies below) where some level is surely above
        (below) and none surely on the other side, and the mean agrees; it crosses where both are the case.
        """
        above, below = bool((self.low > _ROUNDING).any()), bool((self.high < -_ROUNDING).any())
        if above and below:
            return CROSSES
        if above and self.interval[0] > 0:
            return DOMINATES
        if below and self.interval[1] < 0:
            return BELOW
        return ALIKE


def at_equal_quality(
    system: Curve, baseline: Curve, *, levels: int = 21, draws: int = 1000, seed: int = 0
) -> EqualQuality:
    """Compare the diversity that two systems leave at the same quality.

    The diversity at quality q is the greatest on the curve, points joined by straight lines, where quality is at least
    q. Intervals are percentiles of a bootstrap over images, and over seeds outside of it where there are several; both
    systems are drawn together, so they must be paired by seed and image. They hold those of Student's t over the
    differences of the single seeds' curves as well: see `metrics.bootstrap`.

    Args:
        system: S seeds; of its images the same, in the same order, as the baseline's.
        baseline: S seeds.
        levels: L.
        draws: B.
        seed: of the bootstrap.

    Raises:
        NoCommonQuality: no quality is reached by both.
        UserError: seeds or images differ in number; there are several seeds, and scipy is missing.
    """
    seeds, _, images = system.quality.shape
    if baseline.quality.shape[::2] != (seeds, images):
        raise UserError(
            f"curves are compared on the same seeds and images: {seeds} seeds and {images} images against "
            f"{baseline.quality.shape[0]} and {baseline.quality.shape[2]}"
        )
    own, other = (
        _means(curve, np.full((1, seeds), 1 / seeds), np.full((1, images), 1 / images)) for curve in (system, baseline)
    )
    lowest = max(own[0].min(), other[0].min())
    highest = min(own[0].max(), other[0].max())
    if lowest > highest:
        raise NoCommonQuality(
            f"no quality is reached by both: {own[0].min():.3g} to {own[0].max():.3g} against {other[0].min():.3g} to "
            f"{other[0].max():.3g}; widen the grid of temperatures"
        )
    at = np.linspace(lowest, highest, levels)
    difference = (_diversity_at(at, *own) - _diversity_at(at, *other))[0]

    rng = np.random.default_rng(seed)
    image_draws = rng.multinomial(images, np.full(images, 1 / images), size=draws) / images
    seed_draws = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=draws) / seeds
    drawn = _differences(at, *(_means(curve, seed_draws, image_draws) for curve in (system, baseline)))
    each, all_images = np.eye(seeds), np.full((seeds, images), 1 / images)
    by_seed = _differences(at, *(_means(curve, each, all_images) for curve in (system, baseline)))  # (S, L)
    ends = [
        wider(percentiles(of_draws), over_seeds(of_seeds)[0])
        for of_draws, of_seeds in zip((*drawn.T, drawn.mean(1)), (*by_seed.T, by_seed.mean(1)), strict=True)
    ]
    low, high = np.array(ends[:-1]).T
    return EqualQuality(at, difference, low, high, float(difference.mean()), ends[-1])


def _differences(
    levels: np.ndarray, own: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Return how much more diverse one is than the other at each level, (B, L), of B pairs of curves.

    Curves that end before a level are compared where they end.
    """
    reached = np.minimum(own[0].max(1), other[0].max(1))
    within = np.minimum(levels, reached[:, None])
    return _diversity_at(within, *own) - _diversity_at(within, *other)


def _means(curve: Curve, seed_draws: np.ndarray, image_draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return quality and diversity of each point, (B, P) each, weighted by (B, S) and (B, N)."""
    points = curve.quality.shape[1]
    quality, diversity = (np.zeros((len(image_draws), points)) for _ in range(2))
    for index in range(curve.quality.shape[0]):
        weight = seed_draws[:, index : index + 1]
        quality += weight * (image_draws @ curve.quality[index].T)
        diversity += weight * (image_draws @ curve.diversity[index].T)
    return quality, diversity


def _diversity_at(levels: np.ndarray, quality: np.ndarray, diversity: np.ndarray) -> np.ndarray:
    """Return the greatest diversity where quality is at least each level, (L,) or (B, L), which must be reached."""
    reached = np.where(quality[:, None] >= levels[..., None], diversity[:, None], -np.inf).max(-1)
    before, after = quality[:, None, :-1], quality[:, None, 1:]
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (levels[..., None] - before) / (after - before)
        crossing = diversity[:, None, :-1] + share * (diversity[:, None, 1:] - diversity[:, None, :-1])
    within = (share >= 0) & (share <= 1)
    return np.maximum(reached, np.where(within, crossing, -np.inf).max(-1, initial=-np.inf))
