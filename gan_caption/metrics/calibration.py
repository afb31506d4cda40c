"""How probable it is that something is right, by one number that grows with it: a logistic curve (Platt 1999).

log p(caption) a token is no probability that a caption is right, and a long caption's log p is lower than a short
one's. On captions of which it is known whether they are right, P(right) = 1 / (1 + exp(-(intercept + slope x))) is
fitted by maximum likelihood; 1 / slope is the temperature of x. How well that holds is told by captions that the curve
was not fitted on.

Shapes: N captions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gan_caption.errors import UserError
from gan_caption.metrics.separation import area_under, probabilities

BINS = 10
"""Of a reliability diagram, of equally many captions each."""


@dataclass(frozen=True)
class Logistic:
    """P(right) by a number."""

    intercept: float
    slope: float

    def __call__(self, numbers: np.ndarray) -> np.ndarray:
        """Return probabilities, (N,), of numbers (N,)."""
        return probabilities(self.intercept + self.slope * np.asarray(numbers))


def fitted(
    numbers: Sequence[float] | np.ndarray, right: Sequence[bool] | np.ndarray, weights: np.ndarray | None = None
) -> Logistic:
    """Return the curve of maximum likelihood, by Newton's method; it is the lowest point of a convex function.

    Right captions count as (n + 1) / (n + 2) right and the others as 1 / (m + 2), as Platt has it: a curve exists also
    where some number parts the two. Where all captions are right, or none is, or all numbers are equal, the numbers
    tell nothing, and the curve is flat at the mean of these.

    Args:
        numbers: (N,)
        right: (N,)
        weights: (N,), at least 0, of the captions; None: all count alike.
    """
    x, true = np.asarray(numbers, float), np.asarray(right, bool)
    count = int(true.sum())
    target = np.where(true, (count + 1) / (count + 2), 1 / (len(true) - count + 2))
    share = np.full(len(x), 1 / len(x)) if weights is None else weights / weights.sum()
    if count in (0, len(true)) or not np.ptp(x):
        mean = share @ target
        return Logistic(float(np.log(mean / (1 - mean))), 0.0)
    centre, scale = x.mean(), x.std()
    inputs = np.stack([np.ones(len(x)), (x - centre) / scale], 1)

    def loss(line: np.ndarray) -> float:
        return float(share @ (np.logaddexp(0, inputs @ line) - target * (inputs @ line)))

    line = np.zeros(2)
    for _ in range(100):
        told = Logistic(*line)(inputs[:, 1])
        curvature = inputs.T @ (inputs * (share * told * (1 - told))[:, None])
        step = np.linalg.solve(curvature + 1e-12 * np.eye(2), inputs.T @ (share * (target - told)))
        while loss(line + step) > loss(line) and np.abs(step).max() > 1e-10:
            step /= 2  # too long: the curve bends less where it leads
        line += step
        if np.abs(step).max() < 1e-10:
            break
    slope = float(line[1] / scale)
    return Logistic(float(line[0] - slope * centre), slope)


def enough_to_fold(captions: int, *, folds: int) -> None:
    """Refuse fewer than two captions a fold.

    Raises:
        UserError: there are fewer.
    """
    if captions < 2 * folds:
        raise UserError(f"folds={folds}: {captions} captions are too few, 2 a fold are needed")


def cross_fitted(numbers: np.ndarray, right: np.ndarray, *, folds: int, seed: int = 0) -> np.ndarray:
    """Return what each caption's probability is by a curve that was fitted on the other folds, (N,).

    Raises:
        UserError: there are fewer captions than 2 a fold.
    """
    enough_to_fold(len(numbers), folds=folds)
    of = np.random.default_rng(seed).permutation(len(numbers)) % folds
    told = np.zeros(len(numbers))
    for fold in range(folds):
        told[of == fold] = fitted(numbers[of != fold], right[of != fold])(numbers[of == fold])
    return told


@dataclass(frozen=True)
class Reliability:
    """How far probabilities can be relied on."""

    base: float
    """The share that is right."""
    auc: float
    """How probably a right caption has the higher of the numbers that they are ranked by; ties count half."""
    brier: float
    """The mean squared error of the probabilities; base (1 - base) is that of always saying the base."""
    log_loss: float
    """Nats."""
    ece: float
    """Expected calibration error over `bins` (Guo et al. 2017, arXiv 1706.04599, eq. 3)."""
    bins: Sequence[tuple[float, float, int]]
    """The mean probability, the share that is right, and the captions of each bin, by rising probability."""


def reliability_of(probabilities: np.ndarray, right: np.ndarray, *, ranked_by: np.ndarray | None = None) -> Reliability:
    """Measure probabilities of captions of which it is known whether they are right.

    Args:
        probabilities: (N,)
        right: (N,)
        ranked_by: (N,) what the probabilities were made of, whose AUC is meant; None: the probabilities'. Those that
            are cross-fitted come from a curve a fold, and a fold with many right captions has the lowest curve: ranked
            together they would tell right captions less well than the numbers do, and worse than chance where these
            tell nothing.
    """
    true = np.asarray(right, float)
    _, ties = np.unique(probabilities, return_inverse=True)
    shares = (np.bincount(ties, weights=true) / np.bincount(ties))[ties]  # in whatever order equal ones came
    parts = [part for part in np.array_split(np.argsort(probabilities, kind="stable"), BINS) if len(part)]
    bins = [(float(probabilities[part].mean()), float(shares[part].mean()), len(part)) for part in parts]
    ece = sum(count * abs(told - share) for told, share, count in bins) / len(true)
    ranked = probabilities if ranked_by is None else ranked_by
    positive, negative = ranked[true == 1], ranked[true == 0]
    above = area_under(positive, negative) if len(positive) and len(negative) else np.nan
    clipped = np.clip(probabilities, 1e-12, 1 - 1e-12)
    log_loss = -(true * np.log(clipped) + (1 - true) * np.log1p(-clipped)).mean()
    brier = ((probabilities - true) ** 2).mean()
    return Reliability(float(true.mean()), float(above), float(brier), float(log_loss), float(ece), bins)
