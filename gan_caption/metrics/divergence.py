"""How far two distributions are apart, from samples of both and their exact densities."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

IMPOSSIBLE = 30.0
"""Nats that log p / q is on a sample of q once in e^30 at most: by Markov's inequality P_q(p / q > e^t) <= e^-t."""


def jensen_shannon(
    real: Sequence[float] | np.ndarray, generated: Sequence[float] | np.ndarray, weights: np.ndarray | None = None
) -> float:
    """Return the Jensen-Shannon divergence in nats between p and q, 0 (alike) to log 2 = .693 (nothing in common).

    It is log 2 less the log-loss of the best judge, p / (p + q), here in a form that loses nothing where one of the two
    is 0 (Goodfellow et al. 2014, arXiv 1406.2661, section 4.1). As a mean over samples it is unbiased.

    Args:
        real: (N,) log p - log q of samples of p; infinite where q is 0.
        generated: (M,) the same of samples of q; minus infinity where p is 0.
        weights: (M,) how much each of these counts, where they were drawn otherwise than from q; None: alike.

    Returns:
        the divergence; NaN where q cannot be what the samples were drawn from, since one of them is `IMPOSSIBLE`. So an
        estimate of q shows that it failed, as that of resampled captions does where one weight outweighs all others.

    Raises:
        ValueError: there are none of a kind.
    """
    people, policy = np.asarray(real, float), np.asarray(generated, float)
    if not people.size or not policy.size:
        raise ValueError(f"{people.size} samples of p and {policy.size} of q: a divergence needs some of both")
    if weights is None and policy.max() > IMPOSSIBLE:
        return math.nan
    surprise = np.logaddexp(0, -people).mean() + np.average(np.logaddexp(0, policy), weights=weights)
    return float(np.log(2) - surprise / 2)
