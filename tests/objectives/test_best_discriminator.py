"""The policy gradient on what the best discriminator of the policy as it is would say: where it leads, enumerated."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from gan_caption.data.captions import EOS, captions_from_ids
from gan_caption.decoding.rerank import check_judge
from gan_caption.objectives.baselines import LeaveOneOut
from gan_caption.objectives.credit import MonteCarlo, WholeSequence
from gan_caption.objectives.policy_gradient import PolicyGradient, check_credit
from gan_caption.rewards.densities import BestDiscriminator, ExactRatio
from gan_caption.rewards.transforms import Logit, LogProbability, Odds, Probability, Saturating
from gan_caption.training.networks import EncoderDecoder
from gan_caption.training.pretrained import AsItIs
from tests import tiny
from tests.objectives import tabular
from tests.objectives.estimates import assert_close, deviation_of, gradients
from tests.objectives.tabular import TabularGenerator

DATA = tabular.probabilities(TabularGenerator(seed=1)).detach()


class Known(BestDiscriminator):
    """Of the enumerated world's captions, whose density stands in DATA; -inf of those that nobody writes."""

    def log_density(self, features, captions):
        return tabular.told_of(DATA.log(), captions)


def rewarded(generator, transform):
    policy = AsItIs(EncoderDecoder(generator, None))
    return Known(split=None, tokenizer=None, floor=-30.0, policy=policy, transform=transform)


def gradients_by(transform, generator, *, batches):
    objective = PolicyGradient(
        reward=rewarded(generator, transform), credit=WholeSequence(), baseline=LeaveOneOut(), samples_per_image=40,
        entropy_weight=0.0, kl_weight=0.0, advantage_clip=None,
    )  # fmt: skip
    return gradients(objective, generator, batches=batches)


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
    assert_close(deviation_of(gradients_by(transform, generator, batches=100), truth))


@pytest.mark.parametrize("transform", [Saturating(), Logit(), Probability(), LogProbability()])
def test_it_rests_at_the_data(transform):
    found = gradients_by(transform, tabular.policy_of(DATA), batches=2)
    assert found.abs().max() < 1e-5  # every caption has the same reward
    elsewhere = gradients_by(transform, TabularGenerator(seed=3), batches=2)
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


def nobody_writes(_row, _caption):
    return -math.inf


class Sure:
    """A policy that finds everything less probable than the floor."""

    def log_likelihood(self, features, captions):
        return torch.full((len(captions),), -50.0)


def test_what_nobody_writes_is_not_rewarded_for_being_improbable():
    """Floored itself, a density of 0 would lie above a policy's probability of e^-50."""
    split = SimpleNamespace(log_density=nobody_writes)
    tokenizer = SimpleNamespace(decode=str, encode=lambda text, max_length: [EOS])
    known = {"split": split, "tokenizer": tokenizer, "floor": -30.0}
    features = replace(tabular.features(), rows=torch.arange(2))
    captions = captions_from_ids([[EOS], [EOS + 1, EOS + 1]], [0, 1])  # the other was cut off
    best = BestDiscriminator(**known, policy=Sure(), transform=Probability())(features, captions)
    assert best.parts["logit"].tolist() == [-30.0, -30.0]
    assert best.total.max() < 1e-12
    assert ExactRatio(**known, reference=Sure())(features, captions).tolist() == [-30.0, -30.0]
    never = SimpleNamespace(log_likelihood=lambda features, captions: torch.full((len(captions),), -math.inf))
    assert ExactRatio(**known, reference=never)(features, captions).tolist() == [-30.0, -30.0]


def test_where_a_judgement_must_not_move_it_is_refused():
    reward = rewarded(TabularGenerator(seed=3), Odds())
    with pytest.raises(ValueError, match="gives a caption another number whenever it is asked"):
        check_judge(reward)
    with pytest.raises(ValueError, match="Odds are relative to those of a batch's captions"):
        check_credit(MonteCarlo(rollouts=1, update_rate=1.0), reward)
