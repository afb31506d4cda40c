"""Sampling-importance-resampling (Rubin 1987; for captions' energies Deng et al. 2020, arXiv 2004.11714, section 3.3).

Shapes: N captions, M choices, C candidates, S sets of candidates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gan_caption.decoding.partition import log_mean_bounds
from gan_caption.decoding.reweighted import Reweighted, Weighed, log_mean
from gan_caption.distributed import world
from gan_caption.kernels.picking import pick


@dataclass(kw_only=True)
class Resampling(Reweighted):
    """Takes one of C candidates with a probability in proportion to its weight.

    With more candidates it comes nearer to p(x) w(x) / Z. What it draws with C of them has the density
    q(x) = p(x) E[C w(x) / (w(x) + the weights of C - 1 others)], and that is what `log_probs` estimates. Where all
    weights are 0 (-inf in logarithms) none is preferred.
    """

    def has_limit(self) -> bool:
        """Tell whether `limit` can be given: the proposals are not cut off, and there are others to estimate Z by."""
        whole = not self.proposals.top_k and self.proposals.top_p == 1
        return whole and self.density_sets * (self.candidates - 1) >= 2

    def limit(self, weighed: Weighed) -> tuple[Tensor, Tensor]:
        """Return log(w(x) / Z), (N,) float64, at least and at most: what many candidates come to; 0 as in `log_gains`.

        Z is estimated from the proposals that were weighed; see `log_mean_bounds`.
        """
        low, high = log_mean_bounds(weighed.others.flatten(1))
        gains = (_less(weighed.weights, log_partition[weighed.images]) for log_partition in (high, low))
        least, most = (own.masked_fill(~weighed.proposed, 0) for own in gains)
        return least, most

    def _choose(self, weights: Tensor, rng: torch.Generator) -> Tensor:
        uniforms = world.draw(torch.rand, len(weights), rng=rng).to(weights.device)
        nothing = (weights == -math.inf).all(1, keepdim=True)
        return pick(weights.masked_fill(nothing, 0).softmax(1), uniforms)

    def _log_gain(self, weights: Tensor, others: Tensor) -> Tensor:
        rivals = others.logsumexp(2) if others.shape[2] else others.new_full(others.shape[:2], -math.inf)
        totals = torch.logaddexp(weights[:, None], rivals)
        shares = (weights[:, None] - totals).masked_fill(totals == -math.inf, -math.log(self.candidates))
        return log_mean(shares, 1) + math.log(self.candidates)


def _less(weights: Tensor, log_partition: Tensor) -> Tensor:
    """Return log(w / Z); 0 where both are 0, and nothing is preferred."""
    return (weights - log_partition).masked_fill((weights == -math.inf) & (log_partition == -math.inf), 0)
