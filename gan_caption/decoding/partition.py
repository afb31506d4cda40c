"""The logarithm of a mean of weights, from below and from above. Shapes: B images, n weights of each."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def log_mean_bounds(logs: Tensor) -> tuple[Tensor, Tensor]:
    """Return what log E[w] lies between, (B,) float64 each: in expectation, and with n the two come together.

    From below: T_n, the logarithm of the mean of n weights, which is too low by about var(w) / (2 n E[w]^2) (Jensen).
    From above: (2n - 1) T_n - 2(n - 1) T_{n-1}, where T_{n-1} is the mean over leaving one weight out. It is too high
    by about as much (Deng et al. 2020, arXiv 2004.11714, theorem 2), once n is large enough for the weights' tail.

    Args:
        logs: (B, n), logarithms of independent weights, n at least 2.

    Raises:
        ValueError: n is less than 2.
    """
    count = logs.shape[1]
    if count < 2:
        raise ValueError(f"{count} weights of an image: at least 2, for one is left out")
    logs = logs.double()
    never = logs.new_full((len(logs), 1), -math.inf)
    before = torch.cat([never, logs[:, :-1]], 1).logcumsumexp(1)
    after = torch.cat([never, logs.flip(1)[:, :-1]], 1).logcumsumexp(1).flip(1)
    fewer = torch.logaddexp(before, after).mean(1) - math.log(count - 1)
    low = logs.logsumexp(1) - math.log(count)
    high = (2 * count - 1) * low - 2 * (count - 1) * fewer
    return low, high.masked_fill(low == -math.inf, -math.inf)
