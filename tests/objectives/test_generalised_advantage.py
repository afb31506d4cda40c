"""Generalised advantages by hand, as the paper's sum, and against the enumerated gradient."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from gan_caption.data.captions import EOS, captions_from_ids
from gan_caption.decoding.sampling import Samples
from gan_caption.objectives.baselines import NoBaseline
from gan_caption.objectives.credit import Discounted, WholeSequence
from gan_caption.objectives.critic import LearnedCritic
from gan_caption.objectives.generalised_advantage import GeneralisedAdvantage, generalised_advantages, rewards_of
from gan_caption.objectives.policy_gradient import PolicyGradient, policy_gradient_loss
from gan_caption.objectives.proximal import ProximalPolicy
from tests import tiny
from tests.objectives.estimates import MANY, assert_unbiased, deviation
from tests.slow import mostly_slow

reward = tiny.CaptionReward()
SIZES = {
    "vocabulary_size": tiny.VOCABULARY, "pooled_size": 5, "device": torch.device("cpu"), "hidden": 8, "embedding": 8,
    "learning_rate": 1e-2, "clip": 5.0,
}  # fmt: skip
PLAIN = {"samples_per_image": 2, "entropy_weight": 0.0, "kl_weight": 0.0, "advantage_clip": None}


def generalised(**changes) -> GeneralisedAdvantage:
    torch.manual_seed(0)
    return GeneralisedAdvantage(**({**SIZES, "discount": 1.0, "gae_lambda": 0.95, "updates": 1} | changes))


def policy_gradient(baseline, **changes) -> PolicyGradient:
    return PolicyGradient(**({"reward": reward, "credit": WholeSequence(), "baseline": baseline} | PLAIN | changes))


def proximal(baseline, **changes) -> ProximalPolicy:
    steps = {"updates": 4, "ratio_clip": 0.2}
    return ProximalPolicy(
        **({"reward": reward, "credit": WholeSequence(), "baseline": baseline} | PLAIN | steps | changes)
    )


def collected(objective, generator, **more):
    rng = torch.Generator().manual_seed(0)
    return objective.collect(generator, tiny.features(), max_length=3, rng=rng, **more)


def direct_sum(rewards: list[float], values: list[float], discount: float, gae_lambda: float) -> list[float]:
    """Eq. 16 term by term, of one caption without padding."""
    values = [*values, 0.0]
    errors = [r + discount * values[t + 1] - values[t] for t, r in enumerate(rewards)]
    return [
        sum((discount * gae_lambda) ** (k - t) * errors[k] for k in range(t, len(rewards)))
        for t in range(len(rewards))
    ]  # fmt: skip


def test_advantages_by_hand():
    """Two rewards that come at the end, of a whole caption and of one that is shorter."""
    rewards = torch.tensor([[0.0, 0.0, 8.0], [0.0, 2.0, 0.0]])
    values = torch.tensor([[1.0, 3.0, 4.0], [5.0, 1.0, 0.0]])
    # errors: 3 - 1, 4 - 3, 8 - 4 and 1 - 5, 2 - 1
    found = generalised_advantages(rewards, values, discount=1.0, gae_lambda=0.5)
    assert found.tolist() == [[2 + 0.5 * 1 + 0.25 * 4, 1 + 0.5 * 4, 4], [-4 + 0.5 * 1, 1, 0]]
    # errors at gamma 1/2: .5, -1, 4 and -4.5, 1; gamma lambda is 1/4
    found = generalised_advantages(rewards, values, discount=0.5, gae_lambda=0.5)
    assert found.tolist() == [[0.5 - 0.25 + 4 / 16, -1 + 1, 4], [-4.5 + 0.25, 1, 0]]


@pytest.mark.parametrize("discount", [1.0, 0.7, 0.0])
@pytest.mark.parametrize("gae_lambda", [1.0, 0.95, 0.3, 0.0])
def test_advantages_are_the_papers_sum(discount, gae_lambda):
    """For random rewards, values and lengths; padding is nothing's future, and has no advantage."""
    rng = torch.Generator().manual_seed(0)
    lengths = torch.randint(1, 9, (50,), generator=rng)
    mask = torch.arange(8) < lengths[:, None]
    rewards, values = (torch.randn(50, 8, generator=rng) * mask for _ in range(2))
    found = generalised_advantages(rewards, values, discount=discount, gae_lambda=gae_lambda)
    for row, length in enumerate(lengths.tolist()):
        own = direct_sum(rewards[row, :length].tolist(), values[row, :length].tolist(), discount, gae_lambda)
        assert found[row, :length].tolist() == pytest.approx(own, abs=1e-5)
    assert (found[~mask] == 0).all()


def test_at_the_ends_lambda_gives_return_minus_value_and_the_error_of_one_step():
    rng = torch.Generator().manual_seed(0)
    rewards, values = torch.randn(5, 4, generator=rng), torch.randn(5, 4, generator=rng)
    returns = torch.stack([rewards[:, t:].sum(1) for t in range(4)], dim=1)
    torch.testing.assert_close(generalised_advantages(rewards, values, discount=1.0, gae_lambda=1.0), returns - values)
    after = torch.cat([values[:, 1:], torch.zeros(5, 1)], dim=1)
    found = generalised_advantages(rewards, values, discount=0.7, gae_lambda=0.0)
    torch.testing.assert_close(found, rewards + 0.7 * after - values)


def test_rewards_are_found_in_the_returns_of_either_credit():
    """A caption's reward comes at its last token; the rewards of tokens are those that were discounted."""
    captions = captions_from_ids([[4, 5, EOS], [4, EOS]], [0, 1])
    samples = Samples(tiny.features(), captions, 3, 1, torch.zeros(2, 3))
    whole = WholeSequence()(None, samples, torch.tensor([7.0, 3.0]), reward=None, rng=None)
    assert rewards_of(whole * captions.mask, discount=1.0).tolist() == [[0, 0, 7], [0, 3, 0]]
    tokens = torch.tensor([[1.0, 2.0, 4.0], [8.0, 2.0, 0.0]])
    discounted = Discounted(discount=0.5)(None, samples, tokens, reward=None, rng=None)
    assert rewards_of(discounted, discount=0.5).tolist() == tokens.tolist()


@pytest.mark.parametrize("form", ["captions", "tokens"])
def test_advantages_of_samples_are_those_of_their_rewards_less_the_penalty_on_each_token(form):
    baseline = generalised(discount=0.9 if form == "tokens" else 1.0)
    credit = {"reward": tiny.TokenReward(), "credit": Discounted(discount=0.9)} if form == "tokens" else {}
    generator, reference = tiny.generators()[0], tiny.generators(seed=5)[0]
    kl_weight = 0.0 if form == "tokens" else 1.5
    critic = copy.deepcopy(baseline.critic)
    objective = policy_gradient(baseline, kl_weight=kl_weight, samples_per_image=8, **credit)
    experience = collected(objective, generator, reference=reference)
    captions = experience.samples.captions
    assert len(set(captions.lengths.tolist())) > 1
    values = critic(tiny.features(), captions)
    rewards = tiny.token_rewards_of(captions) if form == "tokens" else tiny.reward_of(captions)
    for row, length in enumerate(captions.lengths.tolist()):
        own = [-kl_weight * ratio for ratio in experience.log_ratio[row, :length].tolist()]
        if form == "tokens":
            own = [penalty + one for penalty, one in zip(own, rewards[row, :length].tolist(), strict=True)]
        else:
            own[-1] += rewards[row].item()
        expected = direct_sum(own, values[row, :length].tolist(), baseline.discount, 0.95)
        assert experience.advantages[row, :length].tolist() == pytest.approx(expected, abs=1e-4)
        assert (experience.advantages[row, length:] == 0).all()


class Values(nn.Module):
    """The expected reward of every prefix, enumerated, plus `wrong` times a random number of the prefix's own."""

    def __init__(self, generator, *, wrong=0.0):
        super().__init__()
        self.nothing = nn.Parameter(torch.zeros(()))  # that could learn
        self.known = []
        rng = torch.Generator().manual_seed(0)
        for image in range(2):
            captions = tiny.captions_of(image)
            weights = generator.score(tiny.features(), captions).sum(1).exp().tolist()
            rewards = tiny.reward_of(captions).tolist()
            texts = tiny.all_captions()
            values = {}
            for prefix in sorted({tuple(text[:size]) for text in texts for size in range(len(text))}):
                rows = [row for row, text in enumerate(texts) if tuple(text[: len(prefix)]) == prefix]
                total = sum(weights[row] for row in rows)
                exact = sum(weights[row] * rewards[row] for row in rows) / total
                values[prefix] = exact + wrong * torch.randn((), generator=rng).item()
            self.known.append(values)

    def forward(self, _, captions):
        found = torch.zeros(captions.tokens.shape)
        for row, (text, length, image) in enumerate(
            zip(captions.tokens.tolist(), captions.lengths.tolist(), captions.images.tolist(), strict=True)
        ):
            found[row, :length] = torch.tensor(
                [self.known[image % len(self.known)][tuple(text[:t])] for t in range(length)]
            )
        return found


def knowing(generator, *, gae_lambda, wrong=0.0) -> GeneralisedAdvantage:
    """A baseline whose critic is a table, which has nothing to learn."""
    baseline = generalised(gae_lambda=gae_lambda)
    baseline.critic = Values(generator, wrong=wrong)
    return baseline


@pytest.mark.slow
@pytest.mark.parametrize("critic", mostly_slow(["learning", "wrong"], fast=["wrong"]))
def test_with_lambda_1_the_estimate_is_the_gradient_of_the_expected_reward_for_any_critic(critic):
    generator = tiny.generators()[0]
    baseline = generalised(gae_lambda=1.0, updates=2)
    if critic == "wrong":
        baseline = knowing(generator, gae_lambda=1.0, wrong=1.0)
    truth = tiny.exact_gradient(generator, reward)
    assert_unbiased(policy_gradient(baseline), generator, truth, errors=3, **MANY)


@pytest.mark.slow
@pytest.mark.parametrize("gae_lambda", mostly_slow([0.95, 0.0], fast=[0.95]))
def test_with_the_exact_value_the_estimate_is_right_for_a_smaller_lambda(gae_lambda):
    generator = tiny.generators()[0]
    truth = tiny.exact_gradient(generator, reward)
    assert_unbiased(policy_gradient(knowing(generator, gae_lambda=gae_lambda)), generator, truth, errors=3, **MANY)


@pytest.mark.slow
def test_with_a_wrong_value_and_a_smaller_lambda_the_bias_is_seen():
    generator = tiny.generators()[0]
    truth = tiny.exact_gradient(generator, reward)
    baseline = knowing(generator, gae_lambda=0.0, wrong=1.0)
    assert deviation(policy_gradient(baseline), generator, truth, **MANY).deviations.max() > 6


@pytest.mark.parametrize(
    ("gae_lambda", "wrong", "right"), [(1.0, 2.0, True), (0.95, 0.0, True), (0.0, 0.0, True), (0.95, 2.0, False)]
)
def test_the_mean_over_all_captions_is_the_gradient_exactly_where_it_should_be(gae_lambda, wrong, right):
    """Every caption weighted by its probability in place of samples: at the page's lambda a bias is small, and seen."""
    generator = tiny.generators()[0]
    truth = tiny.exact_gradient(generator, reward)
    baseline = knowing(generator, gae_lambda=gae_lambda, wrong=wrong)
    mean = torch.zeros(())
    for image in range(2):
        captions = tiny.captions_of(image)
        log_probs = generator.score(tiny.features(), captions)
        samples = Samples(tiny.features(), captions, 3, 1, log_probs.detach())
        returns = tiny.reward_of(captions)[:, None].expand(log_probs.shape)
        advantages = returns - baseline(returns, samples, generator=generator, reward=reward)
        weights = log_probs.detach().sum(1).exp()
        mean = mean + (weights * (advantages * captions.mask * log_probs).sum(1)).sum() / 2
    generator.zero_grad()
    mean.backward()
    off = ((tiny.gradient(generator) - truth).norm() / truth.norm()).item()
    assert off < 1e-5 if right else off > 1e-2


@pytest.mark.slow
def test_the_exact_value_and_lambda_below_1_leave_less_variance():
    """What it is for."""
    generator = tiny.generators()[0]

    def variance(baseline) -> float:
        objective, rng, estimates = policy_gradient(baseline), torch.Generator().manual_seed(0), []
        for _ in range(200):
            experience = objective.collect(generator, tiny.features(), max_length=3, rng=rng)
            generator.zero_grad()
            objective.loss(generator, experience).loss.backward()
            estimates.append(tiny.gradient(generator).clone())
        return torch.stack(estimates).var(0).sum().item()

    none, full, half = (
        variance(one) for one in (NoBaseline(), knowing(generator, gae_lambda=1.0), knowing(generator, gae_lambda=0.0))
    )
    assert half < 0.9 * full < 0.9 * none


@pytest.mark.parametrize(("updates", "clip"), [(1, 5.0), (3, 5.0), (3, 0.05)])
def test_the_critic_learns_the_lambda_returns_of_before_it_learned(updates, clip):
    baseline, generator = generalised(gae_lambda=0.6, updates=updates, clip=clip), tiny.generators()[0]
    slow = copy.deepcopy(baseline.critic)
    experience = collected(policy_gradient(baseline, samples_per_image=4), generator)
    captions = experience.samples.captions
    rewards = torch.zeros(captions.tokens.shape)
    rewards[torch.arange(len(captions)), captions.lengths - 1] = tiny.reward_of(captions)
    before = slow(tiny.features(), captions).detach()
    returns = torch.zeros(rewards.shape)
    for row, length in enumerate(captions.lengths.tolist()):
        own = direct_sum(rewards[row, :length].tolist(), before[row, :length].tolist(), 1.0, 0.6)
        returns[row, :length] = torch.tensor(own) + before[row, :length]
    adam = torch.optim.Adam(slow.parameters(), lr=1e-2)
    for _ in range(updates):
        adam.zero_grad()
        (slow(tiny.features(), captions) - returns)[captions.mask].square().mean().backward()
        nn.utils.clip_grad_norm_(slow.parameters(), clip)
        adam.step()
    for (name, own), expected in zip(baseline.critic.named_parameters(), slow.parameters(), strict=True):
        torch.testing.assert_close(own, expected, rtol=1e-4, atol=1e-5, msg=name)


def test_the_critic_comes_to_know_the_values_though_it_learns_from_itself():
    generator, exact = tiny.generators()[0], Values(tiny.generators()[0])
    baseline = generalised(learning_rate=0.02)
    objective, rng = policy_gradient(baseline, samples_per_image=16), torch.Generator().manual_seed(0)

    def error() -> float:
        return sum(
            (generator.score(tiny.features(), captions).sum(1).exp()[:, None]
             * (baseline.critic(tiny.features(), captions) - exact(None, captions)).square()).sum().item()
            for captions in map(tiny.captions_of, range(2))
        )  # fmt: skip

    untrained = error()
    for _ in range(200):
        objective.collect(generator, tiny.features(), max_length=3, rng=rng)
    assert error() < 0.1 * untrained


def test_the_first_of_several_updates_has_ratio_1_and_the_plain_policy_gradient():
    """And the next one, on the same samples and advantages, has another ratio."""
    generator = tiny.generators()[0]
    plain = collected(policy_gradient(generalised()), generator)
    policy_gradient_loss(generator.score(tiny.features(), plain.samples.captions), plain.advantages).backward()
    expected = tiny.gradient(generator).clone()
    generator.zero_grad()

    asked = []

    class Counted(tiny.CaptionReward):
        def __call__(self, features, captions):
            asked.append(captions)
            return super().__call__(features, captions)

    descent = torch.optim.SGD(generator.parameters(), lr=0.5)
    losses = proximal(generalised(updates=4), reward=Counted()).losses(
        generator, tiny.features(), real=tiny.captions_of(0), max_length=3, rng=torch.Generator().manual_seed(0),
        reference=None, progress=0.0,
    )  # fmt: skip
    found, gradients, far = [], [], []
    for policy in losses:
        with torch.no_grad():
            ratios = (generator.score(tiny.features(), asked[0]) - plain.samples.log_probs).exp()
        far.append(((ratios - 1).abs() > 0.2)[asked[0].mask].float().mean().item())
        descent.zero_grad()
        policy.loss.backward()
        gradients.append(tiny.gradient(generator).clone())
        found.append(policy)
        descent.step()
    assert len(found) == 4
    assert len(asked) == 1
    torch.testing.assert_close(gradients[0], expected)
    torch.testing.assert_close(found[0].loss, -plain.advantages.sum(1).mean())  # every ratio is 1
    assert far[0] == 0 < far[-1]
    assert [policy.metrics["policy/clipped"] for policy in found] == pytest.approx(far)
    later = generator.score(tiny.features(), asked[0]) - plain.samples.log_probs
    assert torch.equal(asked[0].tokens, plain.samples.captions.tokens)
    assert later.abs().max() > 0.01
    assert not torch.allclose(gradients[1], expected)
    assert found[0].metrics["advantage/mean"] == found[3].metrics["advantage/mean"]


def test_a_resumed_critic_goes_on_as_if_it_had_not_stopped():
    generator = tiny.generators()[0]
    one, two = policy_gradient(generalised(updates=2)), policy_gradient(generalised(updates=2))
    collected(one, generator)
    two.load_state_dict(copy.deepcopy(one.state_dict()))
    again = [collected(objective, generator).advantages for objective in (one, two) for _ in range(2)]
    assert torch.equal(again[0], again[2])
    assert torch.equal(again[1], again[3])
    assert not torch.equal(again[0], again[1])  # it has learned in between


@pytest.mark.parametrize(
    ("change", "said"),
    [({"discount": 1.5}, r"discount=1\.5: at least 0, at most 1"),
     ({"gae_lambda": -0.1}, r"gae_lambda=-0\.1: at least 0, at most 1"), ({"updates": 0}, "updates=0: at least 1")],
)  # fmt: skip
def test_what_cannot_be_is_refused(change, said):
    with pytest.raises(ValueError, match=said):
        generalised(**change)


def test_actor_critics_values_stay_as_they_were():
    """It takes one step towards the returns themselves, and answers with the values of before."""
    torch.manual_seed(0)
    baseline = LearnedCritic(**SIZES)
    before = copy.deepcopy(baseline.critic)
    experience = collected(policy_gradient(baseline), tiny.generators()[0])
    values = before(tiny.features(), experience.samples.captions)
    torch.testing.assert_close(
        experience.advantages, (experience.returns - values.detach()) * experience.samples.captions.mask
    )
