"""Sampling-importance-resampling (Rubin 1987; for captions' energies Deng et al. 2020, arXiv 2004.11714, section 3.3).

Shapes: N captions, M choices, C candidates, S sets of candidates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gan_caption.decoding.reweighted import Reweighted, log_mean
from gan_caption.distributed import world
from gan_caption.kernels.picking import pick


@dataclass(kw_only=True)
class Resampling(Reweighted):
    """Takes one of C candidates with a probability in proportion to its weight.

    With more candidates it comes nearer to p(x) w(x) / Z. What it draws with C of them has the density
    q(x) = p(x) E[C w(x) / (w(x) + the weights of C - 1 others)], and that is what `log_probs` estimates.
    """

    def _choose(self, weights: Tensor, rng: torch.Generator) -> Tensor:
        uniforms = world.draw(torch.rand, len(weights), rng=rng).to(weights.device)
        return pick(weights.softmax(1), uniforms)

    def _log_gain(self, weights: Tensor, others: Tensor) -> Tensor:
        rivals = others.logsumexp(2) if others.shape[2] else others.new_full(others.shape[:2], -math.inf)
        shares = weights[:, None] - torch.logaddexp(weights[:, None], rivals)
        return log_mean(shares, 1) + math.log(self.candidates)
