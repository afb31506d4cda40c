"""How LeakGAN's manager and worker learn (Guo et al. 2018, arXiv 1709.08624, eq. 8 to 11): each from its own loss.

Shapes: N captions, M tokens in all, T steps, F leaked features, c steps a goal lasts. A goal of step t is set after t
tokens, from the features f_t of these, and stands for the change f_(t+c) - f_t.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.decoding.sampling import Samples
from gan_caption.distributed import world
from gan_caption.errors import UserError
from gan_caption.generators.base import Generator
from gan_caption.generators.leakgan import LeakGANGenerator
from gan_caption.modes import evaluating
from gan_caption.objectives.base import PolicyLoss
from gan_caption.objectives.credit import Credit
from gan_caption.objectives.maximum_likelihood import MaximumLikelihood, cross_entropy
from gan_caption.objectives.policy_gradient import Experience, PolicyGradient, check_credit, policy_gradient_loss
from gan_caption.rewards.base import PlainReward, plain


@dataclass(frozen=True)
class GuidedExperience(Experience):
    """Samples, what the worker learns from them, and what the manager does."""

    values: Tensor = field(kw_only=True)
    """(N, T): what the manager's credit gave each token."""


@dataclass(kw_only=True)
class LeakGAN(PolicyGradient):
    """A policy gradient for the worker, which is paid by `credit`, and the manager's loss.

    The manager's goals are wanted the more, the higher the reward is that they lead to.
    """

    manager_credit: Credit
    """Turns D's rewards into the value of what was written by the time a goal is over."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_credit(self.manager_credit, self.reward)

    def collect(
        self,
        generator: Generator,
        features: ImageFeatures,
        *,
        max_length: int,
        rng: torch.Generator,
        reference: Generator | None = None,
    ) -> GuidedExperience:
        """Sample, pay the worker and value the manager's goals, without gradients; see `PolicyGradient.collect`."""
        experience = super().collect(generator, features, max_length=max_length, rng=rng, reference=reference)
        values = self.manager_credit(
            generator, experience.samples, experience.rewards, reward=plain(self.reward), rng=rng
        )
        return GuidedExperience(**vars(experience), values=values)

    def loss(self, generator: Generator, experience: Experience) -> PolicyLoss:
        """Score what was sampled, and compare what the manager wanted with what came of it, with gradients."""
        assert isinstance(experience, GuidedExperience)
        guided, captions = _guided(generator), experience.samples.captions
        logits, goals, leaked = _worker_logits(guided, experience.samples.features, captions)
        policy = self._of_logits(logits, guided, experience)
        paid = intrinsic_rewards(goals.detach(), leaked, horizon=guided.horizon)
        reached = goal_cosines(goals, leaked, captions, horizon=guided.horizon)
        values = experience.values.gather(1, _ends(captions, horizon=guided.horizon) - 1)
        manager = policy_gradient_loss(reached, values.masked_fill(~captions.mask, 0))
        metrics = policy.metrics | {
            "policy/intrinsic_reward": _mean(captions.packed(paid)).item(),
            "policy/goal_cosine": _mean(captions.packed(reached.detach())).item(),
        }
        return PolicyLoss(policy.loss + manager, metrics)

    def state_dict(self) -> dict[str, Any]:
        """Return what the baseline and both credits remember."""
        return super().state_dict() | {"manager_credit": self.manager_credit.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        super().load_state_dict(state)
        self.manager_credit.load_state_dict(state["manager_credit"])


@dataclass(kw_only=True)
class IntrinsicReward(Credit):
    """The worker's return: how well a token goes where the last goals point. The reward is not looked at."""

    def __call__(
        self, generator: Generator, samples: Samples, rewards: Tensor, *, reward: PlainReward, rng: torch.Generator
    ) -> Tensor:
        """Return (N, T) in [-1, 1]."""
        del rewards, reward, rng
        guided = _guided(generator)
        with evaluating(guided):
            goals, leaked = guided.goals(samples.features, samples.captions)
        paid = intrinsic_rewards(goals, leaked, horizon=guided.horizon)
        return paid.masked_fill(~samples.captions.mask, 0)


@dataclass(frozen=True, kw_only=True)
class LeakGANLikelihood(MaximumLikelihood):
    """Pretraining: the worker by maximum likelihood, the manager by the feature changes of real captions (Q = 1).

    The loss is the mean negative log-likelihood per token less the goals' mean cosine.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.scheduled_sampling:
            raise ValueError(
                f"scheduled_sampling={self.scheduled_sampling}: 0, the manager learns from real captions as they are"
            )

    def loss(self, generator: Generator, features: ImageFeatures, captions: Captions, rng: torch.Generator) -> Tensor:
        """Return the loss to minimise, a scalar; see `MaximumLikelihood.loss`."""
        del rng
        guided = _guided(generator)
        packed, goals, leaked = _worker_logits(guided, features, captions)
        reached = goal_cosines(goals, leaked, captions, horizon=guided.horizon)
        worker = cross_entropy(packed, captions, first_word=generator.first_word, label_smoothing=self.label_smoothing)
        told = captions.packed(captions.tokens) >= generator.first_word  # the same tokens as the worker's
        return worker - _mean(captions.packed(reached)[told])


def goal_cosines(goals: Tensor, leaked: Tensor, captions: Captions, *, horizon: int) -> Tensor:
    """Return the cosines (N, T) between each goal and the change of the features while it lasts.

    A goal lasts c steps, or to the caption's end where that is nearer.

    Args:
        goals: (N, T, F).
        leaked: (N, T + 1, F), after 0, 1, ... T tokens.
        captions: N captions.
        horizon: c.
    """
    ends = _ends(captions, horizon=horizon)[..., None].expand(-1, -1, leaked.shape[2])
    return functional.cosine_similarity(leaked.gather(1, ends) - leaked[:, :-1], goals, dim=2)


def intrinsic_rewards(goals: Tensor, leaked: Tensor, *, horizon: int) -> Tensor:
    """Return for each token the mean cosine (N, T) between each of the last c goals and the change since it was set.

    At a caption's beginning there are fewer goals.

    Args:
        goals: (N, T, F).
        leaked: (N, T + 1, F), after 0, 1, ... T tokens.
        horizon: c.
    """
    steps = goals.shape[1]
    sums = goals.new_zeros(goals.shape[:2])
    for back in range(1, min(horizon, steps) + 1):
        change = leaked[:, back:] - leaked[:, :-back]
        sums[:, back - 1 :] += functional.cosine_similarity(change, goals[:, : steps + 1 - back], dim=2)
    return sums / torch.arange(1, steps + 1, device=goals.device).clamp(max=horizon)


def _ends(captions: Captions, *, horizon: int) -> Tensor:
    """Return how many tokens are written when a goal is over, (N, T), 1 to the caption's length."""
    steps = torch.arange(captions.tokens.shape[1], device=captions.tokens.device)
    return torch.minimum(steps + horizon, captions.lengths[:, None])


def _worker_logits(
    guided: LeakGANGenerator, features: ImageFeatures, captions: Captions
) -> tuple[Tensor, Tensor, Tensor]:
    """Return logits (M, W) whose gradients stop at the goals, the goals and the leaked features."""
    goals, leaked = guided.goals(features, captions)
    return guided.work(features, captions, goals.detach()), goals, leaked


def _mean(values: Tensor) -> Tensor:
    """Return the mean of the tokens' values (M,) over all ranks."""
    return world.mean(values.mean(), len(values))


def _guided(generator: Generator) -> LeakGANGenerator:
    """Return the generator.

    Raises:
        UserError: it has no manager.
    """
    if not isinstance(generator, LeakGANGenerator):
        raise UserError(f"LeakGAN trains a manager, and {type(generator).__name__} has none: give generator=leakgan")
    return generator
