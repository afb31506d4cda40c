"""Uncertainty from resampling images (Efron 1979), and seeds outside of them where a system was trained with several.

A few seeds that are drawn again and again vary too little: three that agree in their sign agree in every draw. So what
several seeds tell is held against Student's t over seeds, and the less certain of the two is told.

Shapes: N images, S seeds, B bootstrap draws.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from gan_caption.errors import UserError
from gan_caption.extras import require
from gan_caption.metrics.ngrams import Score

FEW = 20
"""Images, of fewer than which the bootstrap is too sure."""
OF_FEW = f"Of fewer than {FEW} images a bootstrap knows too little: intervals are too narrow, and p is too small."
"""What is said then."""


@lru_cache(maxsize=4)  # the same for all metrics and systems of a table: of images here and there, and of seeds
def image_weights(images: int, *, draws: int = 1000, seed: int = 0) -> np.ndarray:
    """Return how often each image is drawn into each of `draws` corpora, (draws, images) float64, with replacement.

    The array is not to be written to: whoever asks again is given the same one.
    """
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(images, np.full(images, 1 / images), size=draws).astype(np.float64)
    weights.flags.writeable = False
    return weights


def image_interval(score: Score, weights: np.ndarray, *, level: float = 0.95) -> tuple[float, float]:
    """Return the percentile interval of a corpus value over images, (low, high); NaN of a single image.

    Args:
        score: of N images.
        weights: (B, N), of `image_weights`.
        level: of confidence.
    """
    return percentiles(score.resampled(weights), level=level) if weights.shape[1] > 1 else (math.nan, math.nan)


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
    def of(cls, by_seed: Sequence[float], drawn: np.ndarray) -> Difference:
        """Return the mean of a difference over seeds, with interval and p.

        Args:
            by_seed: (S,), the difference with each seed.
            drawn: (B,), its mean in each draw of the bootstrap; NaN are left out.

        Raises:
            UserError: there are several seeds, and scipy is missing.
        """
        drawn = drawn[~np.isnan(drawn)]
        if not len(drawn):
            return cls(float(np.mean(by_seed)), (math.nan, math.nan), math.nan)
        # One is added so that no finite number of draws makes p 0 (Davison and Hinkley 1997, eq. 4.11).
        fewest = min(int(np.sum(drawn <= 0)), int(np.sum(drawn >= 0)))
        p_drawn = min(1.0, 2 * (fewest + 1) / (len(drawn) + 1))
        interval, p = over_seeds(by_seed)
        return cls(float(np.mean(by_seed)), wider(percentiles(drawn), interval), float(np.fmax(p, p_drawn)))


def over_seeds(values: Sequence[float], *, level: float = 0.95) -> tuple[tuple[float, float], float]:
    """Return the interval of the mean of independent runs, and the two-sided p of its being 0, by Student's t.

    Args:
        values: (S,); of a single one, and where one is no number, nothing is known: all is NaN.
        level: of confidence.

    Raises:
        UserError: there are several, and scipy is missing.
    """
    if len(values) < 2 or not np.isfinite(values).all():
        return (math.nan, math.nan), math.nan
    mean = float(np.mean(values))
    if np.allclose(values, mean, rtol=1e-12, atol=0):  # runs that are one and the same
        return (mean, mean), float(mean == 0)
    require("scipy", extra="report", what="differences over seeds")
    from scipy.stats import ttest_1samp

    told = ttest_1samp(values, 0.0)
    low, high = told.confidence_interval(level)
    return (float(low), float(high)), float(told.pvalue)


def wider(one: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    """Return the interval that holds both; NaN ends are no ends."""
    return float(np.fmin(one[0], other[0])), float(np.fmax(one[1], other[1]))


def paired_difference(
    system: Sequence[Score], baseline: Sequence[Score], *, draws: int = 1000, seed: int = 0
) -> Difference:
    """Return the mean difference of a metric over seeds, by the paired bootstrap and Student's t over seeds.

    Each draw takes S seeds and, with all of them, the same N images, with replacement, for both systems alike (Koehn
    2004 for images). Of several seeds the interval is the one that holds that of the draws and that of Student's t over
    the seeds' differences, and p the larger of both. Of one image nothing is known: interval and p are NaN. Of fewer
    than `FEW` images the bootstrap is too sure: of two systems alike it finds .14 of 5 and .07 of 20 different.

    Args:
        system: its score with each of S seeds, of the same N images in the same order.
        baseline: the other's.
        draws: B.
        seed: of the bootstrap.

    Raises:
        UserError: seeds or images differ in number; there are several seeds, and scipy is missing.
    """
    counts = {len(score.per_image) for score in (*system, *baseline)}
    if len(system) != len(baseline) or len(counts) != 1:
        raise UserError(
            f"paired differences need the same seeds and images: {len(system)} and {len(baseline)} seeds, "
            f"{sorted(counts)} images"
        )
    by_seed = [own.corpus - other.corpus for own, other in zip(system, baseline, strict=True)]
    count = counts.pop()
    if count < 2:  # of one image all draws are the same
        return Difference(float(np.mean(by_seed)), (math.nan, math.nan), math.nan)
    images = image_weights(count, draws=draws, seed=seed)
    seeds = seed_weights(len(system), draws=draws, seed=seed)
    return Difference.of(by_seed, drawn_means(system, images, seeds) - drawn_means(baseline, images, seeds))


def mean_interval(scores: Sequence[Score], *, draws: int = 1000, seed: int = 0) -> tuple[float, float]:
    """Return the 95% interval of a metric's mean over seeds; see `paired_difference`.

    Args:
        scores: of S seeds, of the same N images in the same order.
        draws: B.
        seed: of the bootstrap.

    Raises:
        UserError: there are several seeds, and scipy is missing.
    """
    count = len(scores[0].per_image)
    if count < 2:
        return math.nan, math.nan
    images = image_weights(count, draws=draws, seed=seed)
    drawn = drawn_means(scores, images, seed_weights(len(scores), draws=draws, seed=seed))
    return wider(percentiles(drawn), over_seeds([score.corpus for score in scores])[0])


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
