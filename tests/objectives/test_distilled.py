"""Distilled resampling against its target, enumerated."""

from __future__ import annotations

from itertools import product

import pytest
import torch

from gan_caption.decoding.decoders import Beam, Reranked
from gan_caption.decoding.resampling import Resampling
from gan_caption.discriminators.set import SetDiscriminator
from gan_caption.objectives.distilled import DistilledResampling, resampling_weights
from gan_caption.rewards.discriminator import DiscriminatorReward
from gan_caption.rewards.mixture import Mixture
from gan_caption.rewards.transforms import Probability
from tests import tiny
from tests.objectives import tabular
from tests.objectives.estimates import assert_close, deviation_of
from tests.objectives.tabular import TabularGenerator

ALPHA = 0.8


def distilled(**changes):
    plain = {"reward": tiny.CaptionReward(), "alpha": ALPHA, "samples_per_image": 2}
    return DistilledResampling(**(plain | changes))


def loss_of(objective, generator, *, reference, rng):
    (policy,) = objective.losses(
        generator, tabular.features(), real=None, max_length=3, rng=rng, reference=reference, progress=0.0
    )
    return policy


def odds():
    """exp(alpha x reward) of every caption, (images, captions)."""
    return torch.stack([(ALPHA * tiny.reward_of(tiny.captions_of(image))).exp() for image in range(2)])


def taught_by_two(reference):
    """The mean share that resampling gives to each caption, over all pairs of candidates."""
    p, weight = tabular.probabilities(reference).detach(), odds()
    shares = torch.zeros_like(p)
    for image in range(2):
        for first, second in product(range(p.shape[1]), repeat=2):
            both = p[image, first] * p[image, second]
            total = weight[image, first] + weight[image, second]
            shares[image, first] += both * weight[image, first] / total
            shares[image, second] += both * weight[image, second] / total
    return shares


def gradient_towards(target, generator):
    generator.zero_grad()
    (-target * tabular.probabilities(generator).log()).sum(1).mean().backward()
    return tiny.gradient(generator).clone()


def test_a_judge_of_sets_is_refused_since_it_chooses_none_of_an_images_candidates():
    sets = DiscriminatorReward(
        discriminator=tiny.discriminator(SetDiscriminator), transform=Probability(), chunk_rows=8
    )
    mixed = Mixture(parts={"d": sets}, weights={"d": 1.0})
    with pytest.raises(ValueError, match="a SetDiscriminator gives all captions"):
        distilled(reward=mixed)
    parts = {"alpha": 1.0, "own_weight": 0.0, "temperature": 1.0, "top_k": 0, "top_p": 1.0}
    with pytest.raises(ValueError, match="a SetDiscriminator gives all captions"):
        Resampling(judge=mixed, candidates=4, density_sets=2, **parts)
    with pytest.raises(ValueError, match="a SetDiscriminator gives all captions"):
        Reranked(
            proposer=Beam(beam_size=2, length_penalty=0.0, no_repeated_trigram=False),
            judges={"d": sets}, weights={"own": 1.0, "d": 1.0},
        )  # fmt: skip


def gradients(objective, generator, *, reference, batches):
    rng, estimates = torch.Generator().manual_seed(0), []
    for _ in range(batches):
        generator.zero_grad()
        loss_of(objective, generator, reference=reference, rng=rng).loss.backward()
        estimates.append(tiny.gradient(generator))
    return torch.stack(estimates)


def test_two_candidates_teach_what_all_pairs_teach_on_average():
    generator, reference = TabularGenerator(seed=3), TabularGenerator(seed=2)
    truth = gradient_towards(taught_by_two(reference), generator)
    found = gradients(distilled(), generator, reference=reference, batches=800)
    assert_close(deviation_of(found, truth))


def test_many_candidates_teach_the_reference_times_the_odds():
    generator, reference = TabularGenerator(seed=3), TabularGenerator(seed=2)
    target = tabular.probabilities(reference).detach() * odds()
    target = target / target.sum(1, keepdim=True)
    truth = gradient_towards(target, generator)
    objective = distilled(samples_per_image=2000)
    found = gradients(objective, generator, reference=reference, batches=20).mean(0)
    assert (found - truth).norm() < 0.03 * truth.norm()
    assert (gradient_towards(taught_by_two(reference), generator) - truth).norm() > 0.1 * truth.norm()


def test_a_policy_that_is_what_is_taught_stays():
    reference = TabularGenerator(seed=2)
    taught = tabular.policy_of(taught_by_two(reference))
    truth = torch.zeros(taught.table.numel())
    assert (
        deviation_of(gradients(distilled(), taught, reference=reference, batches=400), truth).deviations[:-1] < 4
    ).all()
    moved = deviation_of(gradients(distilled(), reference, reference=reference, batches=400), truth)
    assert (moved.deviations[:-1] > 8).any()


def test_weights_and_the_effective_sample_size_by_hand():
    weights = resampling_weights(torch.tensor([0.0, 2.0, 5.0, 5.0]), alpha=0.5, candidates=2)
    e = torch.tensor(1.0).exp()
    torch.testing.assert_close(weights, torch.stack([torch.stack([1 / (1 + e), e / (1 + e)]), torch.full((2,), 0.5)]))
    reference = TabularGenerator(seed=2)
    rng = torch.Generator().manual_seed(0)
    alike = loss_of(distilled(alpha=0.0, samples_per_image=7), reference, reference=reference, rng=rng).metrics
    assert alike["policy/effective_samples"] == pytest.approx(7)
    apart = loss_of(distilled(alpha=1e4, samples_per_image=2), reference, reference=reference, rng=rng).metrics
    assert 1 <= apart["policy/effective_samples"] <= 2


def test_a_reward_of_tokens_and_no_reference_are_refused():
    reference = TabularGenerator(seed=2)
    with pytest.raises(ValueError, match="one reward a caption"):
        loss_of(distilled(reward=tiny.TokenReward()), reference, reference=reference, rng=torch.Generator())
    with pytest.raises(ValueError, match="no pretrained policy"):
        loss_of(distilled(), reference, reference=None, rng=torch.Generator())


@pytest.mark.parametrize("settings", [{"alpha": -1.0}, {"samples_per_image": 1}])
def test_settings_out_of_range(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        distilled(**settings)
