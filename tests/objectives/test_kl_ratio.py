"""The policy gradient on the exact density ratio, less beta KL to the reference: where it leads, enumerated."""

from __future__ import annotations

import pytest
import torch

from gan_caption.objectives.baselines import LeaveOneOut
from gan_caption.objectives.credit import WholeSequence
from gan_caption.objectives.policy_gradient import PolicyGradient
from tests import tiny
from tests.objectives import tabular
from tests.objectives.estimates import assert_close, deviation_of, gradients
from tests.objectives.tabular import TabularGenerator

REFERENCE = TabularGenerator(seed=2)
DATA = tabular.probabilities(TabularGenerator(seed=1)).detach()
LOG_RATIO = (DATA / tabular.probabilities(REFERENCE).detach()).log()


def exact_ratio(features, captions):
    """What the best discriminator of the reference's samples would say: log p_data / p_reference."""
    return tabular.told_of(LOG_RATIO, captions)


def gradients_with(beta, generator, *, batches):
    objective = PolicyGradient(
        reward=exact_ratio, credit=WholeSequence(), baseline=LeaveOneOut(), samples_per_image=40, entropy_weight=0.0,
        kl_weight=beta, advantage_clip=None,
    )  # fmt: skip
    return gradients(objective, generator, batches=batches, reference=REFERENCE)


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
def test_the_estimate_is_the_gradient_of_the_expected_ratio_less_beta_kl(beta):
    generator = TabularGenerator(seed=3)
    p, reference = tabular.probabilities(generator), tabular.probabilities(REFERENCE).detach()
    (p * (LOG_RATIO - beta * (p / reference).log())).sum(1).mean().backward()
    truth = tiny.gradient(generator).clone()
    assert_close(deviation_of(gradients_with(beta, generator, batches=100), truth))


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
def test_it_rests_where_the_reference_meets_the_odds_to_the_power_of_one_in_beta(beta):
    """With beta 1 that is the data; see Korbak et al. 2022, section 3."""
    target = tabular.probabilities(REFERENCE).detach() * (LOG_RATIO / beta).exp()
    target = target / target.sum(1, keepdim=True)
    if beta == 1.0:
        torch.testing.assert_close(target, DATA)
    resting = tabular.policy_of(target)
    found = gradients_with(beta, resting, batches=50)
    still = torch.zeros(found.shape[1])
    assert (deviation_of(found, still).deviations[:-1] < 4).all()
    assert (deviation_of(gradients_with(beta + 1, resting, batches=50), still).deviations[:-1] > 8).any()
