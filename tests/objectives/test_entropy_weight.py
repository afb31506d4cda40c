"""The entropy's weight by hand, and what it does to a policy that would collapse without it."""

from __future__ import annotations

import math

import pytest
import torch

from gan_caption.objectives.baselines import LeaveOneOut
from gan_caption.objectives.credit import WholeSequence
from gan_caption.objectives.entropy_weight import FIRST, HeldEntropy
from gan_caption.objectives.policy_gradient import PolicyGradient
from tests import tiny
from tests.objectives import tabular


def held(**changes):
    return HeldEntropy(**({"target": None, "weight": 0.01, "rate": 0.1, "least": 1e-4, "most": 10.0} | changes))


def objective(entropy):
    return PolicyGradient(
        reward=tiny.CaptionReward(), credit=WholeSequence(), baseline=LeaveOneOut(), samples_per_image=8,
        entropy_weight=entropy, kl_weight=0.0, advantage_clip=None,
    )  # fmt: skip


def losses(own, generator, rng):
    return own.losses(
        generator, tabular.features(), real=None, max_length=3, rng=rng, reference=None, progress=0.0
    )  # fmt: skip


def learned(entropy, *, steps):
    """Let a policy learn, and return its objective, the entropies of its steps, and its expected reward."""
    torch.manual_seed(0)
    generator, own, rng = tabular.TabularGenerator(seed=0, spread=0.1), objective(entropy), torch.Generator()
    optimizer, entropies = torch.optim.Adam(generator.parameters(), lr=0.02), []
    for _ in range(steps):
        for policy in losses(own, generator, rng.manual_seed(len(entropies))):
            optimizer.zero_grad()
            policy.loss.backward()
            optimizer.step()
            entropies.append(policy.metrics["policy/entropy"])
    rewards = [own.reward(tabular.features(), tiny.captions_of(image)) for image in range(tabular.IMAGES)]
    expected = (tabular.probabilities(generator) * torch.stack(rewards)).sum(1).mean().item()
    return own, entropies, expected


def test_the_weight_by_hand():
    entropy = held(target=1.5)
    entropy.follow(1.0)
    assert entropy.weight == pytest.approx(0.01 * math.exp(0.05))
    entropy.follow(2.0)
    assert entropy.weight == pytest.approx(0.01)
    for _ in range(200):
        entropy.follow(3.0)
    assert entropy.weight == 1e-4
    for _ in range(200):
        entropy.follow(0.0)
    assert entropy.weight == 10.0


def test_without_a_target_the_mean_of_the_first_entropies_is_held():
    entropy = held()
    for update in range(FIRST):
        assert (entropy.goal, entropy.weight) == (None, 0.01)
        entropy.follow(1.25 + (-1) ** update * 0.5)
    assert entropy.goal == 1.25
    assert entropy.weight == pytest.approx(0.01 * math.exp(0.1 * 0.5)), "the last of them was .75"
    entropy.follow(0.25)
    assert entropy.weight == pytest.approx(0.01 * math.exp(0.1 * 1.5))
    assert entropy.metrics["policy/entropy_target"] == 1.25


def test_a_policy_that_would_collapse_keeps_the_entropy_that_was_set():
    _, first, begun = learned(0.0, steps=1)
    _, free, best = learned(0.0, steps=600)
    own, kept, good = learned(held(target=0.6, rate=0.2), steps=600)
    assert first[0] > 0.9
    assert sum(free[-100:]) / 100 < 0.2
    assert sum(kept[-200:]) / 200 == pytest.approx(0.6, abs=0.05)
    assert begun < good < best
    assert own.entropy_weight.weight > 0.01


def test_it_goes_on_where_it_was():
    for steps in (5, FIRST + 5):
        own, _, _ = learned(held(), steps=steps)
        other = objective(held())
        other.load_state_dict(own.state_dict())
        assert (other.entropy_weight.goal is None) == (steps < FIRST)
        for one in (own, other):
            for entropy in (0.5, 0.25) * FIRST:
                one.entropy_weight.follow(entropy)
        assert other.entropy_weight.state_dict() == own.entropy_weight.state_dict()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"target": -1.0}, "target"), ({"rate": 0.0}, "rate=0"), ({"weight": 20.0}, "in this order"),
     ({"least": 0.0}, "in this order")],
)  # fmt: skip
def test_what_cannot_be_held(wrong, message):
    with pytest.raises(ValueError, match=message):
        held(**wrong)
