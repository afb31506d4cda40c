"""Uncertainty from resampling images (Efron 1979): how a corpus's value varies with the images it happens to hold."""

from __future__ import annotations

import numpy as np

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
    low, high = np.quantile(score.resampled(weights), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
