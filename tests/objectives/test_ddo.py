"""Direct discriminative optimisation, where the data's and the reference's distributions are known."""

from __future__ import annotations

import math

import pytest
import torch

from gan_caption.data.captions import EOS, UNK, captions_from_ids
from gan_caption.objectives.ddo import DirectDiscriminative
from tests import tiny
from tests.objectives import tabular
from tests.objectives.estimates import assert_close, deviation_of
from tests.objectives.tabular import TabularGenerator


def ddo(**changes):
    return DirectDiscriminative(**({"beta": 1.0, "generated_weight": 1.0, "samples_per_image": 4} | changes))


def loss_of(objective, generator, *, reference, real, rng):
    (policy,) = objective.losses(
        generator, tabular.features(), real=real, max_length=3, rng=rng, reference=reference, progress=0.0
    )
    return policy


def exact_loss(p, *, data, reference, beta=1.0, weight=1.0):
    """The cross entropy of sigmoid(beta log p / p_reference), in full: its logarithms as they are written."""
    discriminator = 1 / (1 + (reference / p) ** beta)
    return (-data * discriminator.log() - weight * reference * (1 - discriminator).log()).sum(1).mean()


def gradient_of_exact_loss(generator, **distributions):
    generator.zero_grad()
    exact_loss(tabular.probabilities(generator), **distributions).backward()
    return tiny.gradient(generator).clone()


@pytest.fixture
def data():
    return tabular.probabilities(TabularGenerator(seed=1)).detach()


@pytest.fixture
def reference():
    return TabularGenerator(seed=2)


@pytest.mark.parametrize(("beta", "weight"), [(1.0, 1.0), (0.5, 3.0)])
def test_the_estimate_is_the_gradient_of_the_enumerated_cross_entropy(data, reference, beta, weight):
    generator = TabularGenerator(seed=3)
    known = {"data": data, "reference": tabular.probabilities(reference).detach()}
    truth = gradient_of_exact_loss(generator, **known, beta=beta, weight=weight)
    rng = torch.Generator().manual_seed(0)
    objective, estimates = ddo(beta=beta, generated_weight=weight), []
    for _ in range(800):
        real = tabular.drawn(data, each=3, rng=rng)
        generator.zero_grad()
        loss_of(objective, generator, reference=reference, real=real, rng=rng).loss.backward()
        estimates.append(tiny.gradient(generator))
    assert_close(deviation_of(torch.stack(estimates), truth))


def test_there_is_no_gradient_at_the_data(data, reference):
    generator = TabularGenerator(seed=1)
    known = {"data": data, "reference": tabular.probabilities(reference).detach()}
    assert gradient_of_exact_loss(generator, **known).abs().max() < 1e-6
    assert gradient_of_exact_loss(generator, **known, beta=0.5).abs().max() > 1e-2


def train(generator, objective, *, reference, data, steps, rate=0.1):
    rng = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(generator.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.01, total_iters=steps)
    for _ in range(steps):
        real = tabular.drawn(data, each=256, rng=rng)
        optimizer.zero_grad()
        policy = loss_of(objective, generator, reference=reference, real=real, rng=rng)
        policy.loss.backward()
        optimizer.step()
        schedule.step()
    return policy


def distance(p, q):
    """The total variation distance, the mean over images."""
    return ((p - q).abs().sum(1) / 2).mean().item()


def test_the_policy_that_it_ends_at_is_the_data(data, reference):
    generator = TabularGenerator(seed=2)
    before = distance(tabular.probabilities(generator), data)
    train(generator, ddo(samples_per_image=256), reference=reference, data=data, steps=150)
    assert before > 0.4
    assert distance(tabular.probabilities(generator), data) < 0.04


@pytest.mark.slow
def test_a_small_beta_ends_beyond_the_data(data):
    """At p_reference (p_data / p_reference)^(1 / beta), from a reference that is near enough for it to sum to 1."""
    reference = TabularGenerator(seed=1)
    with torch.no_grad():
        reference.table *= 0.8
    known = tabular.probabilities(reference).detach()
    beyond = known * (data / known) ** 2
    beyond = beyond / beyond.sum(1, keepdim=True)
    generator = TabularGenerator(seed=1)
    objective = ddo(beta=0.5, samples_per_image=256)
    train(generator, objective, reference=reference, data=data, steps=400, rate=0.02)
    found = tabular.probabilities(generator)
    assert distance(found, beyond) < 0.5 * distance(found, data)


def test_what_is_told_of_the_implied_discriminator(data, reference):
    rng = torch.Generator().manual_seed(0)
    real = tabular.drawn(data, each=400, rng=rng)
    objective = ddo(samples_per_image=400, generated_weight=2.0)
    same = loss_of(objective, reference, reference=reference, real=real, rng=rng).metrics
    assert same["policy/discriminator_accuracy"] == 0.5
    assert same["policy/discriminator_log_loss"] == pytest.approx(math.log(2))
    known = tabular.probabilities(reference).detach()
    told = loss_of(objective, TabularGenerator(seed=1), reference=reference, real=real, rng=rng).metrics
    bayes = torch.maximum(data, known).sum(1).mean().item() / 2
    assert told["policy/discriminator_accuracy"] == pytest.approx(bayes, abs=0.05)
    best = exact_loss(data, data=data, reference=known).item() / 2
    assert told["policy/discriminator_log_loss"] == pytest.approx(best, abs=0.05)


def test_gradients_reach_the_policy_alone_and_unknown_words_tell_nothing():
    generator, reference = tiny.generators()[0], tiny.generators(seed=5)[0]
    told = []
    for word in (UNK, None):
        text = [4, 5, EOS] if word is None else [word, 5, EOS]
        (policy,) = ddo().losses(
            generator, tiny.features(), real=captions_from_ids([text, [5, EOS]], [0, 1]), max_length=3,
            rng=torch.Generator().manual_seed(0), reference=reference, progress=0.0,
        )  # fmt: skip
        told.append(policy.loss)
    assert torch.isfinite(told[0])
    assert told[0] != told[1]
    told[0].backward()
    assert tiny.gradient(generator).isfinite().all()
    assert all(parameter.grad is None for parameter in reference.parameters())


def test_a_policy_with_noise_is_refused():
    """Its samples and people's captions would be scored under different noise vectors."""
    real, rng = captions_from_ids([[EOS], [EOS]], [0, 1]), torch.Generator()
    with pytest.raises(ValueError, match=r"noise_size=3: .* DDO needs generator\.noise_size=0"):
        loss_of(ddo(), tiny.lstm(noise_size=3), reference=TabularGenerator(seed=2), real=real, rng=rng)


def test_without_a_reference_it_says_so():
    with pytest.raises(ValueError, match="no pretrained policy"):
        loss_of(ddo(), TabularGenerator(seed=0), reference=None, real=None, rng=torch.Generator())


@pytest.mark.parametrize("settings", [{"beta": 0.0}, {"generated_weight": -1.0}, {"samples_per_image": 0}])
def test_settings_out_of_range(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        ddo(**settings)
