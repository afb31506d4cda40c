"""Bias and variance of every credit x baseline, against exact enumeration: see README.md."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from gan_caption.objectives.baselines import (
    Baseline,
    BatchMean,
    Greedy,
    LeaveOneOut,
    MovingAverage,
    NoBaseline,
)
from gan_caption.objectives.credit import Credit, MonteCarlo, WholeSequence
from gan_caption.objectives.critic import LearnedCritic
from gan_caption.objectives.policy_gradient import PolicyGradient
from gan_caption.reporting.table import markdown
from tests import tiny

HERE = Path(__file__).parent
WARM_UP, BATCHES = 300, 3000


def main() -> None:
    generator, images = tiny.generators()[0], tiny.features()
    truth = exact_gradient(generator)
    rows = [["credit", "baseline", "largest deviation, standard errors", "variance", "of plain REINFORCE, %"]]
    plain = 0.0
    for credit_name, credit in credits().items():
        for name, baseline in baselines().items():
            objective = PolicyGradient(reward=pay, credit=credit, baseline=baseline, samples_per_image=2)
            estimates = draw(objective, generator, images)
            error = estimates.std(0) / len(estimates) ** 0.5
            varies = error > 1e-9
            deviation = ((estimates.mean(0) - truth)[varies].abs() / error[varies]).max().item()
            variance = estimates.var(0).sum().item()
            plain = plain or variance
            rows.append([credit_name, name, f"{deviation:.1f}", f"{variance:.3f}", f"{100 * variance / plain:.0f}"])
    table = markdown(rows)
    coordinates = f"{int((truth != 0).sum())} coordinates"
    note = (
        f"Vocabulary of {tiny.VOCABULARY - 3} words with <eos>, captions of at most {tiny.LENGTH} tokens, 2 images x 2 "
        f"samples; {BATCHES} estimates of a gradient of {coordinates}.\nDeviation of their mean from the enumerated "
        "gradient, at the worst coordinate; variance summed over the coordinates."
    )
    (HERE / "table.md").write_text(f"{note}\n\n{table}\n")
    print(f"{note}\n\n{table}")


def pay(_: object, captions: object) -> Tensor:
    return tiny.pay_of(captions)  # type: ignore[arg-type]


def credits() -> dict[str, Credit]:
    return {
        "whole sequence": WholeSequence(),
        "Monte Carlo, 1 rollout": MonteCarlo(rollouts=1),
        "Monte Carlo, 4 rollouts": MonteCarlo(rollouts=4),
        "Monte Carlo, 16 rollouts": MonteCarlo(rollouts=16),
    }


def baselines() -> dict[str, Baseline]:
    torch.manual_seed(0)
    critic = LearnedCritic(
        vocabulary_size=tiny.VOCABULARY, pooled_size=5, device=torch.device("cpu"), hidden=16, embedding=16,
        learning_rate=1e-2,
    )  # fmt: skip
    return {
        "none": NoBaseline(), "moving average": MovingAverage(), "batch mean": BatchMean(),
        "leave one out": LeaveOneOut(), "greedy": Greedy(), "learned critic": critic,
    }  # fmt: skip


def draw(objective: PolicyGradient, generator: torch.nn.Module, images: object) -> Tensor:
    """Return estimates of the gradient, (estimates, coordinates); the first ones only warm the baseline up."""
    rng = torch.Generator().manual_seed(0)
    estimates = []
    for _ in range(WARM_UP + BATCHES):
        experience = objective.collect(generator, images, max_length=tiny.LENGTH, rng=rng)  # type: ignore[arg-type]
        generator.zero_grad()
        objective.loss(generator, experience).loss.backward()  # type: ignore[arg-type]
        estimates.append(-gradient(generator))
    return torch.stack(estimates[WARM_UP:])


def exact_gradient(generator: torch.nn.Module) -> Tensor:
    """Return the gradient of the expected pay, mean over images: a sum over every caption there is."""
    generator.zero_grad()
    expected = torch.zeros(())
    for image in range(2):
        captions = tiny.captions_of(image)
        expected = expected + (generator.score(tiny.features(), captions).sum(1).exp() * pay(None, captions)).sum() / 2
    expected.backward()
    return gradient(generator)


def gradient(generator: torch.nn.Module) -> Tensor:
    return torch.cat([p.grad.flatten() for p in generator.parameters() if p.grad is not None])


if __name__ == "__main__":
    main()
