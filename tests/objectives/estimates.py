"""Estimates of a gradient in the world that can be enumerated, and how far their mean lies from the exact one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gan_caption.generators.base import Generator
from gan_caption.objectives.policy_gradient import PolicyGradient
from tests import tiny
from tests.objectives import tabular
from tests.objectives.tabular import TabularGenerator


@dataclass(frozen=True)
class Deviation:
    """Of the mean over many batches, along few fixed directions; the exact gradient's own is the last of them."""

    deviations: Tensor
    """From the exact gradient along each, in standard errors, at least 0."""
    seen: float
    """The exact gradient's length, in standard errors along it: how wrong a mean has to be for the test to see it."""


MANY = {"batches": 100, "copies": 8}
"""As many images in all as by default."""


def deviation(
    objective: PolicyGradient, generator: Generator, truth: Tensor, *, batches: int = 800, copies: int = 1,
    reference: Generator | None = None,
) -> Deviation:  # fmt: skip
    """Collect and score so many batches of so many copies of the images, and compare the mean gradient with the truth.

    Few images show what a row's own return does to a baseline of the batch; where the baseline is each image's own, or
    depends on no sample, many show as much in fewer batches: `MANY`.
    """
    rng, images = torch.Generator().manual_seed(0), tiny.features()
    images = images.select(torch.arange(len(images)).repeat(copies))
    estimates = []
    for _ in range(batches):
        experience = objective.collect(generator, images, max_length=3, rng=rng, reference=reference)
        generator.zero_grad()
        objective.loss(generator, experience).loss.backward()
        estimates.append(-tiny.gradient(generator))
    return deviation_of(torch.stack(estimates), truth)


def gradients(
    objective: PolicyGradient, generator: TabularGenerator, *, batches: int, reference: Generator | None = None
) -> Tensor:
    """Return the estimates of so many batches of the tabular policy's images, a row each."""
    rng, estimates = torch.Generator().manual_seed(0), []
    for _ in range(batches):
        (policy,) = objective.losses(
            generator, tabular.features(), real=None, max_length=3, rng=rng, reference=reference, progress=0.0
        )
        generator.zero_grad()
        policy.loss.backward()
        estimates.append(-tiny.gradient(generator))
    return torch.stack(estimates)


def deviation_of(estimates: Tensor, truth: Tensor) -> Deviation:
    """Compare the mean of gradients, a row each, with the truth."""
    # Few fixed directions instead of hundreds of coordinates: 4 standard errors then mean what they say.
    directions = torch.randn(len(truth), 6, generator=torch.Generator().manual_seed(1))
    directions = torch.cat([directions, truth[:, None]], dim=1)
    along, true_along = estimates @ directions, truth @ directions
    error = along.std(0) / len(estimates) ** 0.5
    return Deviation((along.mean(0) - true_along).abs() / error, (true_along[-1] / error[-1]).item())


def assert_unbiased(
    objective: PolicyGradient, generator: Generator, truth: Tensor, *, batches: int = 800, copies: int = 1,
    reference: Generator | None = None, errors: float = 4,
) -> None:  # fmt: skip
    """The mean over many batches lies within so many standard errors of the truth, in every direction tested."""
    found = deviation(objective, generator, truth, batches=batches, copies=copies, reference=reference)
    assert_close(found, errors=errors)


def assert_close(found: Deviation, *, errors: float = 4) -> None:
    """The mean lies within so many standard errors of the truth, which is large enough to be seen."""
    assert (found.deviations < errors).all()
    assert found.seen > 8  # and the gradient is large enough for the test to see a wrong one
