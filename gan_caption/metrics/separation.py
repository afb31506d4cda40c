"""How well a judge tells two kinds of captions apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Separation(NamedTuple):
    """What a judge knows; one that knows nothing has .5, .5 and log 2 = .693."""

    accuracy: float
    """Balanced: the mean of the shares that it gets right of each kind; an even answer counts half."""
    auc: float
    """How probably it finds a person's caption likelier human than a generated one; ties count half."""
    log_loss: float
    """Nats, the mean of both kinds: what its probabilities are worth, calibration counted; without bound."""


def separation(real: Sequence[float], generated: Sequence[float]) -> Separation:
    """Measure a judge on captions that it has not learned from.

    Args:
        real: (N,) in [0, 1], how probable it finds it that people wrote people's captions.
        generated: (M,) the same of generated ones.

    Raises:
        ValueError: there are none of a kind.
    """
    people, policy = np.asarray(real, float), np.sort(np.asarray(generated, float))
    if not people.size or not policy.size:
        raise ValueError(f"{people.size} real and {policy.size} generated captions: a judge needs some of both")
    right = [np.sign(people - 0.5).mean(), np.sign(0.5 - policy).mean()]  # shares right less shares wrong
    accuracy = 0.5 + sum(right) / 4
    below = (np.searchsorted(policy, people, "left") + np.searchsorted(policy, people, "right")) / 2
    with np.errstate(divide="ignore"):
        log_loss = -(np.log(people).mean() + np.log1p(-policy).mean()) / 2
    return Separation(float(accuracy), float(below.mean() / policy.size), float(log_loss))
