"""Proximal policy optimisation. Shapes: N captions, T steps."""

from __future__ import annotations

import torch
from torch import Tensor

from gan_caption.distributed import world
from gan_caption.errors import at_least
from gan_caption.objectives.baselines import Baseline
from gan_caption.objectives.credit import Credit
from gan_caption.objectives.policy_gradient import Experience, PolicyGradient
from gan_caption.rewards.base import Reward


class ProximalPolicy(PolicyGradient):
    """Several steps on the same samples, the probability ratio clipped (Schulman et al. 2017, arXiv 1707.06347)."""

    def __init__(
        self,
        *,
        reward: Reward,
        credit: Credit,
        baseline: Baseline,
        updates: int = 4,
        ratio_clip: float = 0.2,
        samples_per_image: int = 1,
        entropy_weight: float = 0.0,
        kl_weight: float = 0.0,
        advantage_clip: float | None = None,
    ) -> None:
        """Put the parts together.

        Args:
            reward: see `PolicyGradient`, as for all that is not named here.
            credit: spreads the pay over tokens.
            baseline: subtracted from the returns.
            updates: gradient steps on the same samples.
            ratio_clip: epsilon in (0, 1): a token gains nothing by a ratio beyond 1 plus or minus it.
            samples_per_image: K.
            entropy_weight: of the policy's entropy.
            kl_weight: of KL(policy || reference).
            advantage_clip: of the advantages, before the ratio.
        """
        super().__init__(
            reward=reward, credit=credit, baseline=baseline, samples_per_image=samples_per_image,
            entropy_weight=entropy_weight, kl_weight=kl_weight, advantage_clip=advantage_clip,
        )  # fmt: skip
        at_least(1, updates=updates)
        if not 0 < ratio_clip < 1:
            raise ValueError(f"ratio_clip={ratio_clip}: above 0, below 1")
        self.updates = updates
        self.ratio_clip = ratio_clip

    def _surrogate(self, log_probs: Tensor, experience: Experience) -> tuple[Tensor, dict[str, float]]:
        ratio = (log_probs - experience.log_probs).exp()
        mask = experience.rollout.captions.mask
        clipped = world.gather(((ratio - 1).abs() > self.ratio_clip)[mask]).float().mean().item()
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
