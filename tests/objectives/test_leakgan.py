"""LeakGAN's manager and worker against hand-worked cases and exact enumeration."""

from __future__ import annotations

import copy

import pytest
import torch

from gan_caption.data.captions import EOS, captions_from_ids
from gan_caption.decoding.sampling import Samples
from gan_caption.discriminators.cnn import CNNDiscriminator
from gan_caption.errors import UserError
from gan_caption.objectives.baselines import BatchMean, NoBaseline
from gan_caption.objectives.credit import MonteCarlo, WholeSequence
from gan_caption.objectives.leakgan import (
    IntrinsicReward,
    LeakGAN,
    LeakGANLikelihood,
    goal_cosines,
    intrinsic_rewards,
)
from gan_caption.objectives.maximum_likelihood import cross_entropy
from gan_caption.objectives.rank_rescaled import RankRescaled, rescaled_ranks
from tests import tiny
from tests.objectives.estimates import MANY, assert_unbiased


def leakgan(**changes):
    plain = {
        "reward": tiny.CaptionReward(), "credit": IntrinsicReward(), "manager_credit": WholeSequence(),
        "baseline": NoBaseline(), "samples_per_image": 2, "entropy_weight": 0.0, "kl_weight": 0.0,
        "advantage_clip": None,
    }  # fmt: skip
    return LeakGAN(**(plain | changes))


def generator():
    """With features and weights large enough that goals and probabilities differ."""
    torch.manual_seed(3)
    made = tiny.leakgan()
    for parameter in made.parameters():
        parameter.data *= 2
    return made.eval()


def cosine(first, second):
    return (first @ second) / (first.norm() * second.norm())


def slow_intrinsic(goals, leaked, *, horizon):
    """Of one caption, from its definition: (T,)."""
    paid = []
    for written in range(1, len(goals) + 1):
        since = range(max(written - horizon, 0), written)
        paid.append(torch.stack([cosine(leaked[written] - leaked[at], goals[at]) for at in since]).mean())
    return torch.stack(paid)


def slow_cosines(goals, leaked, length, *, horizon):
    """Of one caption, from its definition: (T,)."""
    return torch.stack([cosine(leaked[min(at + horizon, length)] - leaked[at], goals[at]) for at in range(length)])


def exact_gradient(policy):
    """Of E[sum of intrinsic reward x log p of the worker + sum of reward x the goals' cosines], every caption once."""
    expected, images = 0, tiny.features()
    for image in range(2):
        captions = tiny.captions_of(image)
        goals, leaked = policy.goals(images, captions)
        probabilities = policy.score(images, captions).sum(1).exp().detach()
        packed = policy.work(images, captions, goals.detach()).log_softmax(1)
        rewards, first = tiny.reward_of(captions), 0
        for row, length in enumerate(captions.lengths.tolist()):
            words = captions.tokens[row, :length] - policy.first_word
            log_probs = packed[first : first + length].gather(1, words[:, None])[:, 0]
            first += length
            own = goals[row, :length], leaked[row, : length + 1]
            paid = slow_intrinsic(*own, horizon=policy.horizon).detach()
            wanted = slow_cosines(*own, length, horizon=policy.horizon)
            expected = expected + probabilities[row] * ((paid * log_probs).sum() + rewards[row] * wanted.sum()) / 2
    policy.zero_grad()
    expected.backward()
    return tiny.gradient(policy).clone()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("manager_credit", "baseline"),
    [
        (WholeSequence(), NoBaseline()),
        (WholeSequence(), BatchMean()),
        (MonteCarlo(rollouts=2, update_rate=1.0), BatchMean()),
    ],
)
def test_the_estimate_is_the_enumerated_gradient_of_worker_and_manager(manager_credit, baseline):
    policy = generator()
    objective = leakgan(manager_credit=manager_credit, baseline=baseline)
    # Few images show what a row's own return does to a batch's mean; once is enough, for all cases have the same one.
    few = isinstance(baseline, BatchMean) and isinstance(manager_credit, WholeSequence)
    assert_unbiased(objective, policy, exact_gradient(policy), **({} if few else MANY))


def test_the_intrinsic_reward_that_is_told_is_no_return():
    """A penalty of the divergence lowers what the worker learns from, not what the manager thinks of its words."""
    policy, torn = generator(), generator()
    torn.output.weight.data += 1.5 * torch.randn_like(torn.output.weight)
    told = []
    for kl_weight in (0.0, 50.0):
        objective = leakgan(kl_weight=kl_weight)
        experience = objective.collect(
            policy, tiny.features(), max_length=3, rng=torch.Generator().manual_seed(0), reference=torn
        )
        told.append(objective.loss(policy, experience).metrics["policy/intrinsic_reward"])
    assert experience.returns.abs().max() > 1
    captions = experience.samples.captions
    goals, leaked = policy.goals(tiny.features().select(captions.images.unique()), captions)
    slow = [slow_intrinsic(goals[row, :length], leaked[row, : length + 1], horizon=policy.horizon)
            for row, length in enumerate(captions.lengths.tolist())]  # fmt: skip
    assert told == [pytest.approx(torch.cat(slow).mean().item(), abs=1e-5)] * 2


def test_the_workers_loss_stops_at_the_goals():
    policy = generator()
    objective = leakgan(reward=lambda _, captions: torch.zeros(len(captions)))  # nothing for the manager
    experience = objective.collect(policy, tiny.features(), max_length=3, rng=torch.Generator().manual_seed(0))
    objective.loss(policy, experience).loss.backward()
    learned = {name.split(".")[0] for name, own in policy.named_parameters() if own.grad is not None and own.grad.any()}
    assert learned == {"worker_image", "words", "worker", "embed", "output"}


def test_pretraining_is_cross_entropy_for_the_worker_and_the_real_captions_cosine_for_the_manager():
    policy, images, captions = generator(), tiny.features(), captions_from_ids([[4, 5, EOS], [5, EOS]], [0, 1])
    objective = LeakGANLikelihood(label_smoothing=0.0, scheduled_sampling=0.0)
    objective.loss(policy, images, captions, torch.Generator()).backward()
    found = {name: own.grad.clone() for name, own in policy.named_parameters()}
    policy.zero_grad()
    cross_entropy(policy.logits(images, captions), captions, first_word=3, label_smoothing=0.0).backward()
    for name, own in policy.named_parameters():
        if name.split(".")[0] in ("worker_image", "words", "worker", "embed", "output"):
            torch.testing.assert_close(found[name], own.grad)
    policy.zero_grad()
    goals, leaked = policy.goals(images, captions)
    slow = [slow_cosines(goals[row], leaked[row], length, horizon=2) for row, length in enumerate((3, 2))]
    (-torch.cat(slow).mean()).backward()
    for name, own in policy.named_parameters():
        if name.split(".")[0] in ("manager_image", "manager", "goal"):
            torch.testing.assert_close(found[name], own.grad)


def test_goal_cosines_by_hand():
    """Horizon 2, in the plane: right, up, right, and the features walk right, up, up, then left past the end."""
    goals = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0]]])
    leaked = torch.tensor([[[0.0, 0.0], [2.0, 0.0], [2.0, 2.0], [2.0, 4.0], [-9.0, 0.0]]])
    captions = captions_from_ids([[4, 5, EOS, 4]], [0])
    captions = type(captions)(captions.tokens, torch.tensor([3]), captions.images)
    found = goal_cosines(goals, leaked, captions, horizon=2)[0, :3]
    # (2, 2) against right; (0, 4) against up; to the end, one step: (0, 2) against right
    torch.testing.assert_close(found, torch.tensor([0.5**0.5, 1.0, 0.0]))


def test_intrinsic_rewards_by_hand():
    """Four goals up, up, right, up over features that walk up, up, right, up, up: horizon 4 at the fifth token."""
    up, right = [0.0, 1.0], [1.0, 0.0]
    goals = torch.tensor([[up, up, right, up, up]])
    leaked = torch.tensor([[[0.0, 0.0], [0.0, 1.0], [0.0, 2.0], [1.0, 2.0], [1.0, 3.0], [1.0, 4.0]]])
    found = intrinsic_rewards(goals, leaked, horizon=4)[0]
    root = torch.tensor([2.0, 5.0, 10.0]).sqrt()
    expected = [
        torch.tensor(1.0),  # one goal: up
        torch.tensor(1.0),
        (1 + 1 / root[0] + 2 / root[1]) / 3,  # right since 2; (1, 1) since 1; (1, 2) since 0
        (1 + 1 / root[0] + 2 / root[1] + 3 / root[2]) / 4,  # up; (1, 1) for right; (1, 2) and (1, 3) for up
        (1 + 1 + 1 / root[1] + 3 / root[2]) / 4,  # (0, 1), (0, 2) for up; (1, 2) for right; (1, 3) for up
    ]
    torch.testing.assert_close(found, torch.stack(expected))
    short = intrinsic_rewards(goals, leaked, horizon=1)[0]
    torch.testing.assert_close(short, torch.ones(5))


def test_ranks_are_rescaled_by_hand_and_equal_ones_alike():
    values = torch.tensor([[0.9, 0.2], [0.1, 0.2], [0.5, 0.7], [0.1, 0.0]])
    there = torch.tensor([[True, True], [True, True], [True, False], [True, True]])
    found = rescaled_ranks(values, values, there, delta=4.0)[there]
    # First step: ranks 0, 2.5, 1, 2.5 of four; second: .5, .5, 2 of three, without the caption that has ended.
    shares = torch.tensor([0.0, 0.5 / 3, 2.5 / 4, 0.5 / 3, 1 / 4, 2.5 / 4, 2 / 3])
    expected = torch.sigmoid(4 * (0.5 - shares))
    torch.testing.assert_close(found, expected)
    order = torch.tensor([3, 1, 0, 2])
    turned = rescaled_ranks(values[order], values[order], there[order], delta=4.0)
    assert torch.equal(turned[there[order]], rescaled_ranks(values, values, there, delta=4.0)[order][there[order]])


def test_the_wrapper_ranks_what_its_credit_returns_and_keeps_its_state():
    captions = captions_from_ids([[4, 5, EOS], [4, EOS], [5, 4, 4]], [0, 0, 1])
    samples = Samples(tiny.features(), captions, 3, 1, torch.zeros(3, 3))
    rewards = torch.tensor([3.0, 8.0, 5.0])
    credit = RankRescaled(credit=WholeSequence(), delta=16.0)
    found = credit(None, samples, rewards, reward=None, rng=None)
    ranks = torch.tensor([[2.0, 2.0, 1.0], [0.0, 0.0, 0.0], [1.0, 1.0, 0.0]])
    expected = torch.sigmoid(16 * (0.5 - ranks / torch.tensor([3.0, 3.0, 2.0])))
    torch.testing.assert_close(found[captions.mask], expected[captions.mask])


def test_the_managers_rollout_policy_is_resumed():
    policy = generator()

    def objective():
        return leakgan(manager_credit=RankRescaled(credit=MonteCarlo(rollouts=2, update_rate=0.5), delta=16.0))

    def values(of):
        rng = torch.Generator().manual_seed(0)
        return of.collect(policy, tiny.features(), max_length=3, rng=rng).values

    whole, stopped = objective(), objective()
    values(whole)
    stopped.load_state_dict(copy.deepcopy(whole.state_dict()))
    with torch.no_grad():
        policy.output.weight += 1
    assert torch.equal(values(whole), values(stopped))
    assert torch.equal(
        whole.manager_credit.credit.policy.output.weight, stopped.manager_credit.credit.policy.output.weight
    )


def test_rollout_policies_blend_what_is_learned_and_copy_what_was_leaked():
    torch.manual_seed(1)
    policy, discriminator = generator(), tiny.discriminator(CNNDiscriminator)
    captions = captions_from_ids([[4, 5, EOS], [4, EOS]], [0, 1])
    samples = Samples(tiny.features(), captions, 3, 1, torch.zeros(2, 3))
    credit = MonteCarlo(rollouts=2, update_rate=0.25)
    credit(policy, samples, torch.zeros(2), reward=tiny.CaptionReward(), rng=torch.Generator())
    before = policy.embed.weight.detach().clone()
    with torch.no_grad():
        policy.embed.weight += 1
    policy.follow(discriminator)
    credit(policy, samples, torch.zeros(2), reward=tiny.CaptionReward(), rng=torch.Generator())
    torch.testing.assert_close(credit.policy.embed.weight, before + 0.25)
    assert torch.equal(credit.policy.leak.words, discriminator.words.weight)
    assert all(torch.equal(own, theirs) for own, theirs in zip(credit.policy.buffers(), policy.buffers(), strict=True))


def test_a_generator_without_a_manager_is_refused():
    plain = tiny.generators()[0]
    with pytest.raises(UserError, match="LSTMGenerator has none: give generator=leakgan"):
        leakgan().collect(plain, tiny.features(), max_length=3, rng=torch.Generator())
    objective = LeakGANLikelihood(label_smoothing=0.0, scheduled_sampling=0.0)
    with pytest.raises(UserError, match="LSTMGenerator has none: give generator=leakgan"):
        objective.loss(plain, tiny.features(), tiny.captions_of(0), torch.Generator())
    with pytest.raises(ValueError, match=r"scheduled_sampling=0\.5"):
        LeakGANLikelihood(label_smoothing=0.0, scheduled_sampling=0.5)
