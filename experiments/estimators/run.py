"""Bias and variance of every credit x baseline, against exact enumeration: see README.md."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from experiments.estimators import world
from gan_caption.generators.base import Generator
from gan_caption.objectives.baselines import (
    Baseline,
    BatchMean,
    Fixed,
    LeaveOneOut,
    MovingAverage,
    NoBaseline,
    SelfCritical,
)
from gan_caption.objectives.credit import Credit, Discounted, MonteCarlo, WholeSequence
from gan_caption.objectives.critic import LearnedCritic
from gan_caption.objectives.policy_gradient import PolicyGradient
from gan_caption.reporting.table import markdown

HERE = Path(__file__).parent
IMAGES, SAMPLES = 16, 2
WARM_UP, BATCHES = 200, 2000

Reward = world.CaptionReward | world.TokenReward


def main() -> None:
    generator = world.generators()[0]
    rows = [["credit", "baseline", "largest deviation, standard errors", "variance", "of no baseline, %"]]
    coordinates, plain = 0, 0.0
    for credit_name, (credit, reward) in credits().items():
        truth = world.exact_gradient(generator, reward)
        coordinates = int((truth != 0).sum())
        for name, baseline in baselines().items():
            if isinstance(baseline, SelfCritical) and isinstance(reward, world.TokenReward):
                continue  # refused: a greedy caption's reward is no baseline for single tokens
            objective = PolicyGradient(
                reward=reward,
                credit=credit,
                baseline=baseline,
                samples_per_image=SAMPLES,
                entropy_weight=0.0,
                kl_weight=0.0,
                advantage_clip=None,
            )
            estimates = draw(objective, generator)
            error = estimates.std(0) / len(estimates) ** 0.5
            varies = error > 1e-9
            deviation = ((estimates.mean(0) - truth)[varies].abs() / error[varies]).max().item()
            variance = estimates.var(0).sum().item()
            if isinstance(baseline, NoBaseline):
                plain = variance
            rows.append([credit_name, name, f"{deviation:.1f}", f"{variance:.3f}", f"{100 * variance / plain:.0f}"])
    table = markdown(rows)
    note = (
        f"Vocabulary of {world.VOCABULARY - 3} words with <eos>, captions of at most {world.LENGTH} tokens, {IMAGES} "
        f"images ({IMAGES // 2} copies of two) x {SAMPLES} samples; {BATCHES} estimates of a gradient of {coordinates} "
        "coordinates.\nDeviation of their mean from the enumerated gradient, at the worst coordinate; variance summed "
        "over the coordinates."
    )
    (HERE / "table.md").write_text(f"{note}\n\n{table}\n")
    print(f"{note}\n\n{table}")


def credits() -> dict[str, tuple[Credit, Reward]]:
    """Return each credit with the rewards that it takes."""
    return {
        "whole sequence": (WholeSequence(), world.CaptionReward()),
        "Monte Carlo, 1 rollout": (MonteCarlo(rollouts=1, update_rate=1.0), world.CaptionReward()),
        "Monte Carlo, 4 rollouts": (MonteCarlo(rollouts=4, update_rate=1.0), world.CaptionReward()),
        "Monte Carlo, 16 rollouts": (MonteCarlo(rollouts=16, update_rate=1.0), world.CaptionReward()),
        "token rewards, gamma 1": (Discounted(discount=1.0), world.TokenReward()),
    }


def baselines() -> dict[str, Baseline]:
    torch.manual_seed(0)
    critic = LearnedCritic(
        vocabulary_size=world.VOCABULARY, pooled_size=5, device=torch.device("cpu"), hidden=16, embedding=16,
        learning_rate=1e-2, clip=5.0,
    )  # fmt: skip
    return {
        "none": NoBaseline(), "fixed, .7": Fixed(value=0.7), "moving average": MovingAverage(decay=0.9),
        "batch mean": BatchMean(), "leave one out": LeaveOneOut(), "greedy": SelfCritical(), "learned critic": critic,
    }  # fmt: skip


def draw(objective: PolicyGradient, generator: Generator) -> Tensor:
    """Return estimates of the gradient, (estimates, coordinates); the first ones only warm the baseline up."""
    images = world.features().select(torch.arange(IMAGES) % 2)
    rng = torch.Generator().manual_seed(0)
    estimates = []
    for _ in range(WARM_UP + BATCHES):
        experience = objective.collect(generator, images, max_length=world.LENGTH, rng=rng)
        generator.zero_grad()
        objective.loss(generator, experience).loss.backward()  # type: ignore[no-untyped-call]
        estimates.append(-world.gradient(generator))
    return torch.stack(estimates[WARM_UP:])


if __name__ == "__main__":
    main()
