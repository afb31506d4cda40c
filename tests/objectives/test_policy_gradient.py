from __future__ import annotations

import functools
import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gan_caption.configuration.building import build
from gan_caption.configuration.launching import conf_dir
from gan_caption.data.captions import EOS, captions_from_ids
from gan_caption.decoding.sampling import Samples, attach_noise
from gan_caption.discriminators.calibrated import Calibrated
from gan_caption.discriminators.lstm import LSTMDiscriminator
from gan_caption.discriminators.retokenized import RetokenizedDiscriminator
from gan_caption.discriminators.set import SetDiscriminator
from gan_caption.generators.lstm import LSTMGenerator
from gan_caption.objectives.base import GeneratorObjective
from gan_caption.objectives.baselines import BatchMean, Fixed, LeaveOneOut, MovingAverage, NoBaseline, SelfCritical
from gan_caption.objectives.credit import Discounted, MonteCarlo, WholeSequence
from gan_caption.objectives.critic import LearnedCritic
from gan_caption.objectives.policy_gradient import Experience, PolicyGradient, policy_gradient_loss, token_entropy
from gan_caption.objectives.proximal import ProximalPolicy, clipped_surrogate_loss
from gan_caption.objectives.rank_rescaled import RankRescaled
from gan_caption.rewards.base import Parts
from gan_caption.rewards.controls import ConstantReward, OtherImageReward
from gan_caption.rewards.discriminator import DiscriminatorReward
from gan_caption.rewards.mixture import Mixture
from gan_caption.rewards.transforms import Odds, Probability
from gan_caption.text.words import WordTokenizer
from tests import tiny
from tests.objectives import tabular
from tests.objectives.estimates import MANY, assert_close, assert_unbiased, deviation
from tests.objectives.tabular import TabularGenerator
from tests.slow import mostly_slow
from tests.tiny_runs import composed

reward = tiny.CaptionReward()


def critic():
    torch.manual_seed(0)
    return LearnedCritic(
        vocabulary_size=tiny.VOCABULARY,
        pooled_size=5,
        device=torch.device("cpu"),
        hidden=8,
        embedding=8,
        learning_rate=1e-3,
        clip=5.0,
    )


def policy_gradient(**changes):
    plain = {"samples_per_image": 1, "entropy_weight": 0.0, "kl_weight": 0.0, "advantage_clip": None}
    return PolicyGradient(**(plain | changes))


def proximal(**changes):
    plain = {"samples_per_image": 1, "entropy_weight": 0.0, "kl_weight": 0.0, "advantage_clip": None}
    return ProximalPolicy(**({"updates": 4, "ratio_clip": 0.2} | plain | changes))


def two_rollouts():
    return MonteCarlo(rollouts=2, update_rate=1.0)


def moving_average():
    return MovingAverage(decay=0.9)


def fixed():
    return Fixed(value=0.7)


OF_NO_BATCH = [NoBaseline, moving_average, LeaveOneOut, SelfCritical, critic, fixed]
"""What the other images' samples of a batch cannot change; the critic learns from them once it has answered."""
BASELINES = [
    NoBaseline,
    BatchMean,
    moving_average,
    LeaveOneOut,
    SelfCritical,
    critic,
    fixed,
]


@pytest.mark.parametrize("credit", [WholeSequence, two_rollouts], ids=["whole", "rollouts"])
@pytest.mark.parametrize("baseline", mostly_slow(BASELINES, fast=BASELINES[:1]))
def test_the_estimate_is_the_gradient_of_the_expected_reward(credit, baseline):
    # With few samples a batch, a baseline that holds the row's own return would show: by a quarter of the gradient.
    objective = policy_gradient(reward=reward, credit=credit(), baseline=baseline(), samples_per_image=2)
    generator, sizes = tiny.generators()[0], MANY if baseline in OF_NO_BATCH else {}
    assert_unbiased(objective, generator, tiny.exact_gradient(generator, reward), **sizes)


@pytest.mark.slow
@pytest.mark.parametrize("index", tiny.EVERY[1:])
def test_the_estimate_is_right_for_every_other_generator_as_well(index):
    objective = policy_gradient(reward=reward, credit=two_rollouts(), baseline=BatchMean(), samples_per_image=2)
    generator = tiny.generators()[index]
    assert_unbiased(objective, generator, tiny.exact_gradient(generator, reward), **MANY)


@pytest.mark.slow
def test_the_estimate_of_a_policy_with_noise_is_the_gradient_given_the_noise(monkeypatch):
    """Each sample has noise of its own: its completions keep it, and it is paid for its own caption."""
    torch.manual_seed(0)
    generator = tiny.lstm(noise_size=2, noise_law="uniform").eval()
    for parameter in generator.parameters():
        parameter.data *= 2
    images, per_row = attach_noise(generator, tiny.features(), samples=2, rng=torch.Generator().manual_seed(0))
    assert (len(images), per_row) == (4, 1)
    images = replace(images, noise=20 * images.noise)
    monkeypatch.setattr("gan_caption.decoding.sampling.draw_noise", lambda *_, **__: images.noise)
    told = [(captions, generator.score(images, captions).sum(1)) for captions in map(tiny.captions_of, range(4))]
    ways = torch.stack([log_probs for _, log_probs in told]).exp()
    assert (ways[0] - ways[1]).abs().sum() > 0.1  # of the same image
    sum((log_probs.exp() * reward(images, captions)).sum() for captions, log_probs in told).div(4).backward()
    truth = tiny.gradient(generator).clone()
    objective = policy_gradient(reward=reward, credit=two_rollouts(), baseline=LeaveOneOut(), samples_per_image=2)
    assert_unbiased(objective, generator, truth)


@pytest.mark.slow
def test_the_first_proximal_update_is_the_gradient_of_the_expected_reward():
    objective = proximal(reward=reward, credit=WholeSequence(), baseline=LeaveOneOut(), samples_per_image=2)
    generator = tiny.generators()[0]
    assert_unbiased(objective, generator, tiny.exact_gradient(generator, reward), **MANY)


@pytest.mark.parametrize("baseline", mostly_slow([b for b in BASELINES if b is not SelfCritical], fast=BASELINES[:1]))
def test_token_rewards_give_the_gradient_of_their_expected_sum(baseline):
    objective = policy_gradient(
        reward=tiny.TokenReward(), credit=Discounted(discount=1.0), baseline=baseline(), samples_per_image=2
    )
    generator, sizes = tiny.generators()[0], MANY if baseline in OF_NO_BATCH else {}
    assert_unbiased(objective, generator, tiny.exact_gradient(generator, tiny.TokenReward()), **sizes)


def test_advantages_are_clipped_and_nothing_else_is():
    def collected(clip):
        objective = policy_gradient(
            reward=reward, credit=WholeSequence(), baseline=LeaveOneOut(), samples_per_image=4, advantage_clip=clip
        )
        rng = torch.Generator().manual_seed(0)
        return objective.collect(tiny.generators()[0], tiny.features(), max_length=3, rng=rng)

    whole, clipped = collected(None), collected(0.1)
    assert whole.advantages.min() < -0.1 < 0.1 < whole.advantages.max()
    assert torch.equal(clipped.advantages, whole.advantages.clamp(-0.1, 0.1))
    assert torch.equal(clipped.returns, whole.returns)
    with pytest.raises(ValueError, match="advantage_clip=0: above 0, or null"):
        collected(0)


def estimator_of(page):
    """The settings of a page's estimator: its credit, baseline and samples, with the rewards of the tiny world."""
    phases = composed(f"+experiment={page}")["phases"]
    objective = (phases.get("adversarial") or phases.get("policy_gradient") or {"objective": {}})["objective"]
    if "credit" not in objective:
        return None  # a page without a policy gradient
    if "manager_credit" in objective:
        return None  # its worker is not paid by the reward: test_leakgan.py enumerates what it is paid by
    dense = objective["credit"]["_target_"].endswith("Discounted")
    objective |= {"reward": {"_target_": f"experiments.estimators.world.{'TokenReward' if dense else 'CaptionReward'}"}}
    objective |= {"entropy_weight": 0.0, "kl_weight": 0.0}  # terms of their own, tested by themselves
    objective["samples_per_image"] = min(objective["samples_per_image"], 2)
    if dense:
        objective["credit"]["discount"] = 1.0  # a smaller one is a bias that is asked for
    if "gae_lambda" in objective["baseline"]:
        objective["baseline"]["gae_lambda"] = 1.0  # and so it is here
    if "hidden" in objective["baseline"]:
        objective["baseline"] |= {"hidden": 8, "embedding": 8}
    return json.dumps(objective)


def objective_of(estimator):
    torch.manual_seed(0)
    return build(
        json.loads(estimator), GeneratorObjective, path="objective", allowed=("gan_caption.", "experiments."),
        vocabulary_size=tiny.VOCABULARY, pooled_size=5, device=torch.device("cpu"),
    )  # fmt: skip


@functools.cache
def deviation_of_the(estimator):
    """Several pages have the same."""
    objective, generator = objective_of(estimator), tiny.generators()[0]
    sizes = {} if isinstance(objective.baseline, BatchMean) else MANY
    return deviation(objective, generator, tiny.exact_gradient(generator, objective.reward), **sizes)


NO_POLICY_GRADIENT = {
    "control_generative", "control_logits", "control_more_mle", "control_powers", "control_temperature", "ddo",
    "distilled", "gold",
    "leakgan", "mle", "precision_recall", "relgan", "residual_ebm", "shetty", "tailr", "unlikelihood",
}  # fmt: skip
PAGES = sorted({path.stem for path in Path(conf_dir(), "experiment").glob("*.yaml")} - NO_POLICY_GRADIENT)


@pytest.mark.parametrize("page", mostly_slow(PAGES, fast=["scst"]))
def test_the_estimator_of_every_page_is_the_gradient_of_the_expected_reward(page):
    assert_close(deviation_of_the(estimator_of(page)))


@pytest.mark.parametrize("page", sorted(NO_POLICY_GRADIENT))
def test_the_other_pages_have_no_policy_gradient(page):
    assert estimator_of(page) is None


def test_scratchgans_baseline_keeps_as_little_of_the_past_as_the_authors_does():
    """Their `decay * average + (1 - decay) * mean` has a decay of .08 (deepmind-research, scratchgan)."""
    baseline = objective_of(estimator_of("scratchgan")).baseline
    samples = samples_of([[4, 5, EOS], [4, EOS]], [0, 1])
    for mean in (3.0, 1.0):
        baseline(torch.full((2, 3), mean), samples, generator=None, reward=None)
    told = baseline(torch.zeros(2, 3), samples, generator=None, reward=None)
    # Two batches cannot yet weigh 1 together: the rest is .08 squared.
    assert told.item() == pytest.approx((0.92 * 0.08 * 3 + 0.92 * 1) / (1 - 0.08**2))


def test_the_reward_of_the_greedy_caption_is_no_baseline_for_single_tokens():
    objective = policy_gradient(reward=tiny.TokenReward(), credit=Discounted(discount=0.5), baseline=SelfCritical())
    with pytest.raises(ValueError, match="one reward a caption"):
        objective.collect(tiny.generators()[0], tiny.features(), max_length=3, rng=torch.Generator())


@pytest.mark.slow
def test_the_penalty_has_the_gradient_of_the_divergence():
    """Of E[reward] - weight KL(policy || reference), both enumerated."""
    generator, images = tiny.generators()[0], tiny.features()
    reference = tiny.generators(seed=5)[0]
    expected = 0
    for image in range(2):
        captions = tiny.captions_of(image)
        log_p = generator.score(images, captions).sum(1)
        log_q = reference.score(images, captions).sum(1).detach()
        expected = expected + (log_p.exp() * (tiny.reward_of(captions) - 1.5 * (log_p - log_q))).sum() / 2
    generator.zero_grad()
    expected.backward()
    objective = policy_gradient(
        reward=reward, credit=WholeSequence(), baseline=LeaveOneOut(), samples_per_image=2, kl_weight=1.5
    )
    assert_unbiased(objective, generator, tiny.gradient(generator).clone(), reference=reference, **MANY)
    with pytest.raises(ValueError, match=r"kl_weight=1\.5: there is no pretrained policy"):
        objective.collect(generator, images, max_length=3, rng=torch.Generator())


class Counted(LSTMGenerator):
    """Counts how often it has scored captions."""

    scored = 0

    def logits(self, features, captions):
        self.scored += 1
        return super().logits(features, captions)


@pytest.mark.parametrize("kl_weight", [0.0, 1.5])
@pytest.mark.parametrize("updates", [1, 4])
def test_the_reference_scores_the_samples_once(updates, kl_weight):
    reference = tiny.lstm(Counted).eval()
    parts = {"reward": reward, "credit": WholeSequence(), "baseline": BatchMean(), "kl_weight": kl_weight}
    objective = policy_gradient(**parts) if updates == 1 else proximal(**parts, updates=updates)
    losses = objective.losses(
        tiny.generators()[0], tiny.features(), real=tiny.captions_of(0), max_length=3,
        rng=torch.Generator().manual_seed(0), reference=reference, progress=0.0,
    )  # fmt: skip
    told = [policy.metrics["policy/kl"] for policy in losses]
    assert reference.scored == 1
    assert told == told[:1] * updates


def test_discounted_returns_by_hand():
    samples = samples_of([[4, 5, EOS], [4, EOS]], [0, 1])
    rewards = torch.tensor([[1.0, 2.0, 4.0], [8.0, 2.0, 0.0]])
    found = Discounted(discount=0.5)(None, samples, rewards, reward=None, rng=None)
    assert found.tolist() == [[3.0, 4.0, 4.0], [9.0, 2.0, 0.0]]


@pytest.mark.parametrize(
    ("credit", "shape"),
    [(WholeSequence(), (2, 3)), (two_rollouts(), (2, 3)), (Discounted(discount=0.5), (2,))],
)
def test_rewards_of_the_wrong_form_are_refused(credit, shape):
    samples = samples_of([[4, 5, EOS], [4, EOS]], [0, 1])
    with pytest.raises(ValueError, match=r"one reward a caption|reward for every token"):
        credit(tiny.generators()[0], samples, torch.zeros(shape), reward=reward, rng=torch.Generator())


def test_the_rollout_policy_follows_at_its_own_rate_and_is_resumed():
    generator = tiny.generators()[0]
    samples = samples_of([[4, 5, EOS], [4, EOS]], [0, 1])

    def use(credit):
        rng = torch.Generator().manual_seed(0)
        return credit(generator, samples, torch.zeros(2), reward=reward, rng=rng)

    credit = MonteCarlo(rollouts=4, update_rate=0.25)
    use(credit)
    first = generator.output.bias.detach().clone()
    with torch.no_grad():
        generator.output.bias += 1
    resumed = MonteCarlo(rollouts=4, update_rate=0.25)
    saved = {name: value.clone() for name, value in credit.state_dict().items()}
    resumed.load_state_dict(saved)
    assert resumed.state_dict().keys() == saved.keys() != set(), "a checkpoint before its first use keeps them"
    once, again = use(credit), use(resumed)
    torch.testing.assert_close(credit.policy.output.bias, first + 0.25)
    assert torch.equal(resumed.policy.output.bias, credit.policy.output.bias)
    assert torch.equal(once, again)
    assert torch.equal(generator.output.bias, first + 1)


@pytest.mark.slow
def test_the_critic_learns_the_expected_return():
    """Trained long enough it finds the enumerated value of every state that is often visited."""
    generator, images = tiny.generators()[0], tiny.features()
    objective = policy_gradient(reward=reward, credit=WholeSequence(), baseline=critic(), samples_per_image=16)
    objective.baseline.optimizer.param_groups[0]["lr"] = 0.02
    rng = torch.Generator().manual_seed(0)
    for _ in range(600):
        objective.collect(generator, images, max_length=3, rng=rng)
    for image in range(2):
        captions = tiny.captions_of(image)
        weights = generator.score(images, captions).sum(1).exp().detach()
        values = objective.baseline.critic(images, captions).detach()
        spread = (weights * (tiny.reward_of(captions) - (weights * tiny.reward_of(captions)).sum()) ** 2).sum().sqrt()
        assert abs(values[0, 0] - (weights * tiny.reward_of(captions)).sum()) < 0.3 * spread
        for word in (4, 5):
            begins = captions.tokens[:, 0] == word
            own = weights * begins
            value = (own * tiny.reward_of(captions)).sum() / own.sum()
            longer = begins & (captions.lengths > 1)
            assert abs(values[longer][0, 1] - value) < 0.4 * spread


def test_clipped_surrogate_by_hand():
    ratio = torch.tensor([[1.5, 0.5], [1.5, 0.5], [1.1, 1.0]], requires_grad=True)
    advantages = torch.tensor([[2.0, 2.0], [-2.0, -2.0], [1.0, 0.0]])
    loss = clipped_surrogate_loss(ratio, advantages, ratio_clip=0.2)
    # 1.2 x 2 + .5 x 2, then -(1.5 x 2 + .8 x 2), then 1.1
    assert loss.item() == pytest.approx(-(3.4 - 4.6 + 1.1) / 3, abs=1e-6)
    loss.backward()
    torch.testing.assert_close(ratio.grad, torch.tensor([[0.0, -2.0], [2.0, 0.0], [-1.0, 0.0]]) / 3)


def test_loss_by_hand():
    log_probs = torch.tensor([[-1.0, -2.0], [-3.0, 0.0]], requires_grad=True)
    advantages = torch.tensor([[1.0, 0.5], [-2.0, 0.0]], requires_grad=True)
    loss = policy_gradient_loss(log_probs, advantages)
    assert loss.item() == pytest.approx(-((-1.0 - 1.0) + 6.0) / 2)
    loss.backward()
    assert advantages.grad is None  # whatever made the advantages is left alone
    torch.testing.assert_close(log_probs.grad, torch.tensor([[-0.5, -0.25], [1.0, 0.0]]))


def test_entropy_by_hand():
    logits = torch.tensor([[0.0, 0.0, 0.0, 0.0], [50.0, 0.0, 0.0, 0.0]])
    torch.testing.assert_close(token_entropy(logits.log_softmax(1)), torch.tensor([torch.tensor(4.0).log(), 0.0]))


def samples_of(texts, images):
    captions = captions_from_ids(texts, images)
    unread = torch.zeros(captions.tokens.shape)
    return Samples(tiny.features(max(images) + 1), captions, max_length=3, samples_per_image=1, log_probs=unread)


def subtract(baseline, returns, samples, generator=None):
    return baseline(returns, samples, generator=generator or tiny.generators()[0], reward=reward)


def test_batch_mean_leaves_the_row_out_and_counts_only_who_is_there():
    samples = samples_of([[4, EOS], [4, 5, 4], [5, 5, EOS]], [0, 0, 1])
    returns = torch.tensor([[1.0, 2.0, 99.0], [4.0, 6.0, 8.0], [7.0, 1.0, 3.0]])
    expected = torch.tensor([[5.5, 3.5, 5.5], [4.0, 1.5, 3.0], [2.5, 4.0, 8.0]])
    found = subtract(BatchMean(), returns, samples)
    torch.testing.assert_close(found[samples.captions.mask], expected[samples.captions.mask])
    alone = samples_of([[4, EOS]], [0])
    assert (subtract(BatchMean(), torch.tensor([[3.0, 4.0]]), alone) == 0).all()


def test_leave_one_out_by_hand():
    samples = replace(samples_of([[4, EOS], [4, 5, 4], [5, 5, EOS], [EOS]], [0, 0, 1, 1]), samples_per_image=2)
    returns = torch.tensor([[1.0, 2.0, 2.0], [4.0, 6.0, 8.0], [7.0, 1.0, 3.0], [5.0, 5.0, 5.0]])
    expected = torch.tensor([[4.0, 6.0, 8.0], [1.0, 2.0, 2.0], [5.0, 5.0, 5.0], [7.0, 1.0, 3.0]])
    torch.testing.assert_close(subtract(LeaveOneOut(), returns, samples), expected)
    three = replace(samples_of([[4], [4], [5]], [0, 0, 0]), samples_per_image=3)
    found = subtract(LeaveOneOut(), torch.tensor([[1.0], [2.0], [6.0]]), three)
    assert found.flatten().tolist() == [4.0, 3.5, 1.5]


def test_leave_one_out_needs_two_samples():
    with pytest.raises(ValueError, match="samples_per_image=1: the baseline LeaveOneOut needs at least 2"):
        policy_gradient(reward=reward, credit=WholeSequence(), baseline=LeaveOneOut())


def test_greedy_rewards_the_most_probable_caption_of_the_same_image():
    generator, images = tiny.generators(dropout=0.5)[2].train(), tiny.features()
    samples = samples_of([[4, EOS], [5, 5, 4], [EOS]], [0, 0, 1])
    found = subtract(SelfCritical(), torch.zeros(3, 3), replace(samples, features=images), generator=generator)
    assert generator.training
    for row, image in enumerate([0, 0, 1]):
        state = generator.eval().start(images.select(torch.tensor([image])), 3)
        token, text = 1, []
        while len(text) < 3 and token != EOS:
            logits, state = generator.step(torch.tensor([token]), state)
            token = int(logits.argmax()) + EOS
            text.append(token)
        one = captions_from_ids([text], [image])
        assert found[row].item() == pytest.approx(tiny.reward_of(one).item())


def test_moving_average_by_hand_and_resumed():
    samples = samples_of([[4, EOS]], [0])
    baseline = MovingAverage(decay=0.5)
    assert subtract(baseline, torch.tensor([[2.0, 4.0]]), samples).item() == 0
    assert subtract(baseline, torch.tensor([[7.0, 7.0]]), samples).item() == pytest.approx(3)
    resumed = MovingAverage(decay=0.5)
    resumed.load_state_dict(baseline.state_dict())
    # (0.25 * 3 + 0.5 * 7) / 0.75
    assert subtract(resumed, torch.tensor([[0.0, 0.0]]), samples).item() == pytest.approx(17 / 3)


@pytest.mark.parametrize("credit", [WholeSequence, two_rollouts])
@pytest.mark.parametrize("baseline", [BatchMean, SelfCritical])
def test_each_part_of_a_reward_is_logged_as_it_was_before_its_weight(credit, baseline):
    """And credits and baselines, which ask for rewards themselves, take the sum."""
    mixture = Mixture(parts={"own": reward, "one": ConstantReward(value=1.0)}, weights={"own": 0.25, "one": 2.0})
    objective = policy_gradient(reward=mixture, credit=credit(), baseline=baseline(), samples_per_image=8)
    generator = tiny.generators()[0]
    rng = torch.Generator().manual_seed(0)
    experience = objective.collect(generator, tiny.features(), max_length=3, rng=rng)
    logged = objective.loss(generator, experience).metrics
    own = tiny.reward_of(experience.samples.captions)
    assert logged["reward/own"] == pytest.approx(own.mean().item())
    assert logged["reward/one"] == 1
    assert logged["reward/mean"] == pytest.approx(0.25 * own.mean().item() + 2)
    torch.testing.assert_close(experience.rewards, 0.25 * own + 2)


class TokenParts:
    """A reward of every token in two parts, with rubbish on the padding."""

    def __call__(self, _, captions):
        tokens = tiny.token_rewards_of(captions)
        return Parts(3 * tokens, {"plain": tokens, "twice": 2 * tokens})


def test_parts_of_token_rewards_are_summed_over_tokens_alone():
    objective = policy_gradient(reward=TokenParts(), credit=Discounted(discount=1.0), baseline=NoBaseline())
    generator = tiny.generators()[0]
    experience = objective.collect(generator, tiny.features(), max_length=3, rng=torch.Generator().manual_seed(0))
    captions = experience.samples.captions
    own = (tiny.token_rewards_of(captions) * captions.mask).sum(1).mean().item()
    logged = objective.loss(generator, experience).metrics
    assert (logged["reward/plain"], logged["reward/twice"]) == (pytest.approx(own), pytest.approx(2 * own))
    assert logged["reward/mean"] == pytest.approx(3 * own)


def test_a_part_cannot_take_the_name_or_the_form_of_another_number():
    with pytest.raises(ValueError, match="cannot be called mean"):
        Parts(torch.zeros(2), {"mean": torch.zeros(2)})
    with pytest.raises(ValueError, match=r"reward a is \(3,\), and the whole \(2,\)"):
        Parts(torch.zeros(2), {"a": torch.zeros(3)})


def rewarding(discriminator, *, chunk_rows=2048):
    return DiscriminatorReward(discriminator=discriminator, transform=Probability(), chunk_rows=chunk_rows)


class TestDiscriminatorReward:
    @pytest.fixture
    def discriminator(self):
        torch.manual_seed(0)
        return tiny.discriminator(LSTMDiscriminator, hidden=8, dropout=0.9)

    def test_no_dropout_noise_in_the_reward_and_the_mode_is_given_back(self, discriminator):
        reward = rewarding(discriminator.train())
        captions = tiny.captions_of(0)
        first = reward(tiny.features(), captions)
        torch.testing.assert_close(reward(tiny.features(), captions), first, rtol=0, atol=0)
        assert discriminator.training
        torch.testing.assert_close(first, discriminator.eval()(tiny.features(), captions).sigmoid())

    def test_the_generators_gradient_never_reaches_the_discriminator(self, discriminator):
        generator = tiny.generators()[0]
        objective = policy_gradient(
            reward=rewarding(discriminator),
            credit=MonteCarlo(rollouts=1, update_rate=1.0),
            baseline=BatchMean(),
        )
        rng = torch.Generator().manual_seed(0)
        experience = objective.collect(generator, tiny.features(), max_length=3, rng=rng)
        objective.loss(generator, experience).loss.backward()
        assert all(parameter.grad is None for parameter in discriminator.parameters())
        assert tiny.gradient(generator).abs().sum() > 0

    def test_chunks_have_the_same_rewards(self, discriminator):
        captions = tiny.captions_of(1)
        whole = rewarding(discriminator)(tiny.features(), captions)
        parts = rewarding(discriminator, chunk_rows=4)(tiny.features(), captions)
        torch.testing.assert_close(whole, parts)


def test_what_is_scored_is_what_was_sampled():
    """With dropout in the generator, collecting is in eval mode and the scored tokens are the sampled ones'."""
    generator = tiny.generators(dropout=0.5)[0].train()
    objective = policy_gradient(reward=reward, credit=WholeSequence(), baseline=NoBaseline(), samples_per_image=4)
    rng = torch.Generator().manual_seed(0)
    experience = objective.collect(generator, tiny.features(), max_length=3, rng=rng)
    assert generator.training
    captions = experience.samples.captions
    generator.eval()
    torch.testing.assert_close(generator.score(tiny.features(), captions), experience.samples.log_probs)
    rows = zip(captions.tokens, captions.lengths, captions.images, strict=True)
    for row, (tokens, length, image) in enumerate(rows):
        slow = tiny.stepwise_log_probs(generator, tiny.features(), tokens[:length].tolist(), int(image))
        torch.testing.assert_close(experience.samples.log_probs[row, :length], slow.detach())


def test_metrics_are_what_their_names_say():
    generator, images = tiny.generators()[0], tiny.features()
    captions = captions_from_ids([[4, EOS], [5, 5, 4]], [0, 1])
    objective = policy_gradient(reward=reward, credit=WholeSequence(), baseline=NoBaseline())
    returns = torch.tensor([[1.0, 1.0, 1.0], [3.0, 3.0, 3.0]])
    advantages = (returns - 1).masked_fill(~captions.mask, 0)
    experience = Experience(Samples(images, captions, 3, 1, torch.zeros(2, 3)), returns[:, 0], {}, returns, advantages)
    metrics = objective.loss(generator, experience).metrics
    assert metrics["reward/mean"] == pytest.approx(2)
    assert metrics["reward/std"] == pytest.approx(1)
    assert metrics["advantage/mean"] == pytest.approx(6 / 5)
    assert metrics["policy/length"] == pytest.approx(2.5)
    slow = [-(p * p.log()).sum() for p in generator.logits(images, captions).softmax(1)]
    assert len(slow) == 5
    assert metrics["policy/entropy"] == pytest.approx(torch.stack(slow).mean().item(), rel=1e-4)


def test_odds_are_refused_where_completions_are_rewarded():
    odds = DiscriminatorReward(discriminator=tiny.discriminator(LSTMDiscriminator), transform=Odds(), chunk_rows=8)
    policy_gradient(reward=odds, credit=WholeSequence(), baseline=NoBaseline())
    with pytest.raises(ValueError, match="credit: MonteCarlo rewards completions"):
        policy_gradient(reward=odds, credit=two_rollouts(), baseline=NoBaseline())


@pytest.mark.parametrize("inside", ["mixture", "another image", "ranks"])
def test_odds_are_refused_wherever_they_stand(inside):
    odds = DiscriminatorReward(discriminator=tiny.discriminator(LSTMDiscriminator), transform=Odds(), chunk_rows=8)
    credit = RankRescaled(credit=two_rollouts(), delta=2.0) if inside == "ranks" else two_rollouts()
    paid = {"mixture": Mixture(parts={"d": odds}, weights={"d": 1.0}), "another image": OtherImageReward(reward=odds)}
    with pytest.raises(ValueError, match="credit: MonteCarlo rewards completions"):
        policy_gradient(reward=paid.get(inside, odds), credit=credit, baseline=NoBaseline())


def test_sets_are_refused_where_completions_are_rewarded():
    """An image has dozens of completions in a batch, and each would be paid for all of them."""
    sets = DiscriminatorReward(
        discriminator=tiny.discriminator(SetDiscriminator), transform=Probability(), chunk_rows=8
    )
    with pytest.raises(ValueError, match="credit: MonteCarlo rewards completions, and a set"):
        policy_gradient(reward=Mixture(parts={"d": sets}, weights={"d": 1.0}), credit=two_rollouts(),
                        baseline=NoBaseline())  # fmt: skip


def rewards_of_sets(*, inside: bool = False) -> DiscriminatorReward:
    kind = tiny.discriminator(SetDiscriminator)
    if inside:
        words = WordTokenizer.of(["a", "b"])
        kind = Calibrated(
            discriminator=RetokenizedDiscriminator(discriminator=kind, tokenizer=words, policy_tokenizer=words)
        )
    return DiscriminatorReward(discriminator=kind, transform=Probability(), chunk_rows=8)


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("baseline", [LeaveOneOut, BatchMean])
def test_baselines_of_sisters_are_refused_where_all_captions_of_an_image_have_one_reward(baseline, inside):
    reward = rewards_of_sets(inside=inside)
    policy_gradient(reward=reward, credit=WholeSequence(), baseline=NoBaseline())
    with pytest.raises(ValueError, match=rf"baseline: {baseline.__name__} .* nothing would be left"):
        policy_gradient(reward=reward, credit=WholeSequence(), baseline=baseline(), samples_per_image=3)


def test_sets_are_refused_of_a_policy_with_noise_whose_samples_each_have_features_of_their_own():
    objective = policy_gradient(
        reward=rewards_of_sets(), credit=WholeSequence(), baseline=NoBaseline(), samples_per_image=3
    )
    for size in (0, 2):
        generator = tiny.lstm(noise_size=size)
        with pytest.raises(ValueError, match="noise_size=2") if size else nullcontext():
            objective.collect(generator, tiny.features(), max_length=3, rng=torch.Generator())


def test_the_critic_learns_from_each_of_its_steps_under_autocast():
    """Autocast keeps copies of weights, from which every further step would start anew."""
    torch.manual_seed(0)
    critic = LearnedCritic(
        vocabulary_size=tiny.VOCABULARY, pooled_size=tiny.features().pooled.shape[1], device=torch.device("cpu"),
        hidden=8, embedding=8, learning_rate=0.05, clip=10.0,
    )  # fmt: skip
    captions = captions_from_ids([[4, EOS], [5, 5, 4]], [0, 1])
    samples = Samples(tiny.features(), captions, 3, 1, torch.zeros(2, 3))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        values = [critic.fit(torch.ones(2, 3), samples) for _ in range(20)]
    errors = [((1 - own)[captions.mask] ** 2).mean().item() for own in values]
    assert errors[-1] < 0.5 * errors[1] < 0.5 * errors[0]


def test_the_divergence_that_is_logged_is_that_from_the_reference():
    generator, reference = TabularGenerator(seed=3), TabularGenerator(seed=2)
    objective = policy_gradient(reward=reward, credit=WholeSequence(), baseline=NoBaseline(), samples_per_image=4000)
    (policy,) = objective.losses(
        generator, tabular.features(), real=None, max_length=3, rng=torch.Generator().manual_seed(0),
        reference=reference, progress=0.0,
    )  # fmt: skip
    p, q = (tabular.probabilities(one).detach() for one in (generator, reference))
    exact = (p * (p / q).log()).sum(1).mean().item()
    assert exact > 0.3
    assert policy.metrics["policy/kl"] == pytest.approx(exact, rel=0.06)
