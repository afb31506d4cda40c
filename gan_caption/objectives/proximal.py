"""Proximal policy optimisation. Shapes: N captions, T steps."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gan_caption.distributed import world
from gan_caption.errors import at_least
from gan_caption.objectives.policy_gradient import Experience, PolicyGradient


@dataclass(kw_only=True)
class ProximalPolicy(PolicyGradient):
    """Several steps on the same samples, the probability ratio clipped (Schulman et al. 2017, arXiv 1707.06347)."""

    updates: int
    """Gradient steps on the same samples."""
    ratio_clip: float
    """Epsilon in (0, 1): a token gains nothing by a ratio beyond 1 plus or minus it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, updates=self.updates)
        if not 0 < self.ratio_clip < 1:
            raise ValueError(f"ratio_clip={self.ratio_clip}: above 0, below 1")

    @property
    def gradient_steps(self) -> int:
        """Gradient steps on the same samples."""
        return self.updates

    def _surrogate(self, log_probs: Tensor, experience: Experience) -> tuple[Tensor, dict[str, float]]:
        ratio = (log_probs - experience.samples.log_probs).exp()
        beyond = experience.samples.captions.packed((ratio - 1).abs() > self.ratio_clip)
        clipped = world.gather(beyond).float().mean().item()
        loss = clipped_surrogate_loss(ratio, experience.advantages, ratio_clip=self.ratio_clip)
        return loss, {"policy/clipped": clipped}


def clipped_surrogate_loss(ratio: Tensor, advantages: Tensor, *, ratio_clip: float) -> Tensor:
    """Return minus the clipped objective: sum over the tokens of a caption, mean over all ranks' captions.

    Args:
        ratio: (N, T) p / p_old of the sampled tokens.
        advantages: (N, T), 0 on padding.
        ratio_clip: epsilon.
    """
    inside = ratio.clamp(1 - ratio_clip, 1 + ratio_clip)
    return -world.gather(torch.minimum(ratio * advantages, inside * advantages).sum(1)).mean()
