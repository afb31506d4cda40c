"""How well a judge tells two kinds of captions apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

BINS = 15
"""Of probabilities, as many as in Guo et al. 2017."""


class Separation(NamedTuple):
    """What a judge knows; one that knows nothing, and says so, has .5, .5, log 2 = .693 and 0."""

    accuracy: float
    """Balanced: the mean of the shares that it gets right of each kind; an even answer counts half."""
    auc: float
    """How probably it finds a person's caption likelier human than a generated one; ties count half."""
    log_loss: float
    """Nats, the mean of both kinds: what its probabilities are worth, calibration counted; without bound."""
    ece: float
    """Expected calibration error (Guo et al. 2017, arXiv 1706.04599, eq. 3), 0 to 1: how far its probabilities lie from
    the shares of people's captions among those that it gives them, over 15 equal intervals of [0, 1]."""


class Bin(NamedTuple):
    """Captions to which a judge gives about the same probability; each kind of captions counts half in all."""

    weight: float
    """Of the bin's captions among all, above 0 to 1."""
    probability: float
    """That a person wrote them, in the judge's eyes: the mean, in [0, 1]."""
    people: float
    """The share that people wrote, in [0, 1]."""
    captions: int
    """Their number."""


def reliability(real: Sequence[float], generated: Sequence[float]) -> list[Bin]:
    """Return what a reliability diagram shows: 15 bins of equally many captions, by rising probability.

    A judge that knows little gives all captions about the same probability, and equal intervals would show one point of
    it. Captions with the same probability share a bin: there may be fewer, and of other sizes.

    Args:
        real: (N,) in [0, 1], how probable it finds it that people wrote people's captions.
        generated: (M,) the same of generated ones.
    """
    told = np.concatenate([np.asarray(real, float), np.asarray(generated, float)])
    ranks = np.searchsorted(np.sort(told), told)  # equal ones share the lowest
    return _binned(told, len(real), ranks * BINS // len(told))


def _binned(told: np.ndarray, real: int, places: np.ndarray) -> list[Bin]:
    """Return the bins, by rising place, of probabilities (N,) of captions, the first of which people wrote."""
    people = np.arange(len(told)) < real
    weights = np.where(people, 0.5 / max(real, 1), 0.5 / max(len(told) - real, 1))
    bins = []
    for place in np.unique(places):
        own = places == place
        weight, probability = weights[own].sum(), weights[own] @ told[own]
        share = weights[own & people].sum() / weight
        bins.append(Bin(float(weight), float(probability / weight), float(share), int(own.sum())))
    return bins


def probabilities(logits: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return the sigmoid of logits, (N,) in [0, 1]."""
    sure = 700  # of which the exponential is still a number
    return 1 / (1 + np.exp(-np.asarray(logits, float).clip(-sure, sure)))


def area_under(higher: np.ndarray, lower: np.ndarray) -> float:
    """Return how often a number of the first (N,) is above one of the second (M,), the AUC; equal ones count half."""
    ordered = np.sort(lower)
    below = (np.searchsorted(ordered, higher, "left") + np.searchsorted(ordered, higher, "right")) / 2
    return float(below.mean() / len(ordered))


def separation(real: Sequence[float], generated: Sequence[float]) -> Separation:
    """Measure a judge on captions that it has not learned from.

    It is asked for logits, since of these all are told apart, and none is infinitely wrong: above 17 the probability is
    1 in float32, above 37 in float64.

    Args:
        real: (N,), the logits of the probability that people wrote people's captions.
        generated: (M,) the same of generated ones.

    Raises:
        ValueError: there are none of a kind.
    """
    people, policy = np.asarray(real, float), np.asarray(generated, float)
    if not people.size or not policy.size:
        raise ValueError(f"{people.size} real and {policy.size} generated captions: a judge needs some of both")
    right = [np.sign(people).mean(), np.sign(-policy).mean()]  # shares right less shares wrong
    accuracy = 0.5 + sum(right) / 4
    log_loss = (np.logaddexp(0, -people).mean() + np.logaddexp(0, policy).mean()) / 2
    told = probabilities(np.concatenate([people, policy]))
    intervals = np.minimum((told * BINS).astype(int), BINS - 1)  # each holds its lower end, the last one both
    ece = sum(one.weight * abs(one.probability - one.people) for one in _binned(told, len(people), intervals))
    return Separation(float(accuracy), area_under(people, policy), float(log_loss), ece)
