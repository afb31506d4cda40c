"""Rejection sampling by a weight. Shapes: N captions, M choices, C candidates, S sets of candidates."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gan_caption.decoding.reweighted import Reweighted
from gan_caption.distributed import world


@dataclass(kw_only=True)
class Rejection(Reweighted):
    """Takes the first of C candidates that is accepted, with the probability min(1, weight / exp(bound)).

    What is accepted has exactly the density p(x) min(w(x), exp(bound)) / Z; where none is, the last one is taken.
    """

    bound: float
    """Nats; a higher one accepts fewer, and cuts off fewer weights."""

    def _choose(self, weights: Tensor, rng: torch.Generator) -> Tensor:
        uniforms = world.draw(torch.rand, *weights.shape, rng=rng).to(weights.device)
        accepted = uniforms < self._acceptance(weights)
        accepted[:, -1] = True
        return accepted.float().argmax(1)  # the first

    def _log_gain(self, weights: Tensor, others: Tensor) -> Tensor:
        own, first = self._acceptance(weights), others.new_ones(*others.shape[:2], 1)
        # How probably a try is reached, in each set; a product of independent tries' is unbiased, a power of means not.
        reached = torch.cat([first, (1 - self._acceptance(others)).cumprod(2)], dim=2).mean(1)  # (N, C)
        return (own * reached.sum(1) + (1 - own) * reached[:, -1]).log()

    def _acceptance(self, weights: Tensor) -> Tensor:
        return (weights - self.bound).clamp(max=0).exp()
