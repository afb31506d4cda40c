"""Uncertainty from resampling images (Efron 1979), and seeds outside of them where a system was trained with several.

Shapes: N images, S seeds, B bootstrap draws.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gan_caption.errors import UserError
from gan_caption.metrics.ngrams import Score


def image_weights(images: int, *, draws: int = 1000, seed: int = 0) -> np.ndarray:
    """Return how often each image is drawn into each of `draws` corpora, (draws, images) float64, with replacement."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(images, np.full(images, 1 / images), size=draws).astype(np.float64)


def image_interval(score: Score, weights: np.ndarray, *, level: float = 0.95) -> tuple[float, float]:
    """Return the percentile interval of a corpus value over images, (low, high).

    Args:
        score: of N images.
        weights: (B, N), of `image_weights`.
        level: of confidence.
    """
    return percentiles(score.resampled(weights), level=level)


def percentiles(drawn: np.ndarray, *, level: float = 0.95) -> tuple[float, float]:
    """Return the middle of what bootstrap draws gave, (B,), of those that have a value; NaN where none has one."""
    known = drawn[~np.isnan(drawn)]
    if not len(known):
        return math.nan, math.nan
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


@dataclass(frozen=True)
class Difference:
    """How much more a system has than another of a metric."""

    value: float
    interval: tuple[float, float]
    """95%."""
    p: float
    """Two-sided, of the hypothesis that there is no difference; not corrected for how many are asked."""

    @classmethod
    def of(cls, value: float, drawn: np.ndarray) -> Difference:
        """Return a difference with its percentile interval and p by what bootstrap draws gave, (B,), NaN left out."""
        drawn = drawn[~np.isnan(drawn)]
        # One is added so that no finite number of draws makes p 0 (Davison and Hinkley 1997, eq. 4.11).
        fewest = min(int(np.sum(drawn <= 0)), int(np.sum(drawn >= 0)))
        return cls(value, percentiles(drawn), min(1.0, 2 * (fewest + 1) / (len(drawn) + 1)))


def paired_difference(
    system: Sequence[Score], baseline: Sequence[Score], *, draws: int = 1000, seed: int = 0
) -> Difference:
    """Return the mean difference of a metric over seeds, with a percentile interval of the paired bootstrap.

    Each draw takes S seeds and, with all of them, the same N images, with replacement, for both systems alike (Koehn
    2004 for images). With few seeds the interval is too narrow rather than too wide: three say little of a fourth.

    Args:
        system: its score with each of S seeds, of the same N images in the same order.
        baseline: the other's.
        draws: B.
        seed: of the bootstrap.

    Raises:
        UserError: seeds or images differ in number.
    """
    counts = {len(score.per_image) for score in (*system, *baseline)}
    if len(system) != len(baseline) or len(counts) != 1:
        raise UserError(
            f"paired differences need the same seeds and images: {len(system)} and {len(baseline)} seeds, "
            f"{sorted(counts)} images"
        )
    images = image_weights(counts.pop(), draws=draws, seed=seed)
    seeds = seed_weights(len(system), draws=draws, seed=seed)
    drawn = drawn_means(system, images, seeds) - drawn_means(baseline, images, seeds)
    value = float(np.mean([own.corpus - other.corpus for own, other in zip(system, baseline, strict=True)]))
    return Difference.of(value, drawn)


def mean_interval(scores: Sequence[Score], *, draws: int = 1000, seed: int = 0) -> tuple[float, float]:
    """Return the 95% percentile interval of a metric's mean over seeds; each draw takes seeds and images.

    Args:
        scores: of S seeds, of the same N images in the same order.
        draws: B.
        seed: of the bootstrap.
    """
    images = image_weights(len(scores[0].per_image), draws=draws, seed=seed)
    return percentiles(drawn_means(scores, images, seed_weights(len(scores), draws=draws, seed=seed)))


def seed_weights(seeds: int, *, draws: int, seed: int) -> np.ndarray:
    """Return the share of each seed in each draw, (B, S), with replacement; independent of `image_weights`."""
    return image_weights(seeds, draws=draws, seed=seed + 1) / seeds


def drawn_means(scores: Sequence[Score], images: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """Return the mean of a metric over the drawn seeds on the drawn images, (B,).

    Args:
        scores: of S seeds.
        images: (B, N), of `image_weights`.
        seeds: (B, S), of `seed_weights`.
    """
    return sum(
        (share * own.resampled(images) for share, own in zip(seeds.T, scores, strict=True)), np.zeros(len(images))
    )
