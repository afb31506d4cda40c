"""The policy gradient on what the best discriminator of the policy as it is would say: where it leads, enumerated."""

from __future__ import annotations

import pytest
import torch

from gan_caption.objectives.baselines import LeaveOneOut
from gan_caption.objectives.credit import WholeSequence
from gan_caption.objectives.policy_gradient import PolicyGradient
from gan_caption.rewards.densities import BestDiscriminator
from gan_caption.rewards.transforms import Logit, LogProbability, Probability, Saturating
from gan_caption.training.networks import EncoderDecoder
from gan_caption.training.pretrained import AsItIs
from tests import tiny
from tests.objectives import tabular
from tests.objectives.estimates import assert_close, deviation_of
from tests.objectives.tabular import TabularGenerator

DATA = tabular.probabilities(TabularGenerator(seed=1)).detach()


def log_density(features, captions):
    """log p_data of captions (N,)."""
    texts = tiny.all_captions()
    told = [
        DATA[image, texts.index(tokens[:length])].log()
        for tokens, length, image in zip(
            captions.tokens.tolist(), captions.lengths.tolist(), captions.images.tolist(), strict=True
        )
    ]
    return torch.stack(told)


def rewarded(generator, transform):
    policy = AsItIs(EncoderDecoder(generator, None))
    return BestDiscriminator(density=log_density, policy=policy, transform=transform)


def gradients(generator, transform, *, batches):
    objective = PolicyGradient(
        reward=rewarded(generator, transform), credit=WholeSequence(), baseline=LeaveOneOut(), samples_per_image=40,
        entropy_weight=0.0, kl_weight=0.0, advantage_clip=None,
    )  # fmt: skip
    rng, estimates = torch.Generator().manual_seed(0), []
    for _ in range(batches):
        (policy,) = objective.losses(
            generator, tabular.features(), real=None, max_length=3, rng=rng, reference=None, progress=0.0
        )
        generator.zero_grad()
        policy.loss.backward()
        estimates.append(-tiny.gradient(generator))
    return torch.stack(estimates)


def jensen_shannon(p):
    middle = (p + DATA) / 2
    return ((p * (p / middle).log()).sum(1) + (DATA * (DATA / middle).log()).sum(1)).mean() / 2


def reverse_kl(p):
    return (p * (p / DATA).log()).sum(1).mean()


@pytest.mark.parametrize(
    ("transform", "what_falls"),
    [(Saturating(), lambda p: 2 * jensen_shannon(p)), (Logit(), reverse_kl)],
    ids=["Jensen-Shannon", "KL"],
)
def test_the_estimate_is_the_gradient_of_a_divergence_that_falls(transform, what_falls):
    generator = TabularGenerator(seed=3)
    (-what_falls(tabular.probabilities(generator))).backward()
    truth = tiny.gradient(generator).clone()
    assert_close(deviation_of(gradients(generator, transform, batches=100), truth))


@pytest.mark.parametrize("transform", [Saturating(), Logit(), Probability(), LogProbability()])
def test_it_rests_at_the_data(transform):
    found = gradients(tabular.policy_of(DATA), transform, batches=2)
    assert found.abs().max() < 1e-5  # every caption has the same reward
    elsewhere = gradients(TabularGenerator(seed=3), transform, batches=2)
    assert elsewhere.abs().max() > 0.01


def test_its_logit_is_of_the_policy_as_it_is():
    generator, captions = TabularGenerator(seed=3), tiny.captions_of(1)
    reward = rewarded(generator, Probability())
    for _ in range(2):
        p = tabular.probabilities(generator).detach()[1]
        given = reward(tabular.features(), captions)
        torch.testing.assert_close(given.parts["logit"], (DATA[1] / p).log())
        torch.testing.assert_close(given.total, DATA[1] / (DATA[1] + p))
        with torch.no_grad():
            generator.table.add_(torch.randn(generator.table.shape, generator=torch.Generator().manual_seed(0)))
