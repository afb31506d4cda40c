from __future__ import annotations

import pytest
import torch

from gan_caption.data.captions import EOS, captions_from_ids
from gan_caption.discriminators.lstm import LSTMDiscriminator
from gan_caption.objectives.baselines import BatchMean, MovingAverage, NoBaseline
from gan_caption.objectives.credit import MonteCarlo, WholeSequence
from gan_caption.objectives.policy_gradient import PolicyGradient, policy_gradient_loss, token_entropy
from gan_caption.objectives.rollout import Rollout
from gan_caption.rewards.discriminator import DiscriminatorReward
from tests import tiny


def pay(_, captions):
    return tiny.pay_of(captions)


def gradient(generator):
    return torch.cat([p.grad.flatten() for p in generator.parameters() if p.grad is not None])


def exact_gradient(generator, images):
    """Of the expected pay, mean over images: a sum over every caption there is."""
    generator.zero_grad()
    expected = 0
    for image in range(len(images)):
        captions = tiny.captions_of(image)
        expected = expected + (generator.score(images, captions).sum(1).exp() * tiny.pay_of(captions)).sum()
    (expected / len(images)).backward()
    return gradient(generator)


@pytest.mark.parametrize("credit", [WholeSequence(), MonteCarlo(rollouts=2)], ids=["whole", "rollouts"])
@pytest.mark.parametrize("baseline", [NoBaseline, BatchMean, MovingAverage], ids=["none", "batch", "moving"])
@pytest.mark.parametrize("index", [0, 2], ids=["lstm", "attention"])
def test_the_estimate_is_the_gradient_of_the_expected_pay(credit, baseline, index):
    """Mean over many batches within 4 standard errors of the enumerated truth, in every direction tested."""
    generator, images = tiny.generators()[index], tiny.features()
    truth = exact_gradient(generator, images)
    # With few samples a batch, a baseline that holds the row's own return would show: by a quarter of the gradient.
    objective = PolicyGradient(reward=pay, credit=credit, baseline=baseline(), samples_per_image=2)
    rng = torch.Generator().manual_seed(0)
    batches = []
    for _ in range(800):
        rollout, returns, advantages = objective.collect(generator, images, max_length=3, rng=rng)
        generator.zero_grad()
        objective.loss(generator, rollout, returns, advantages).loss.backward()
        batches.append(-gradient(generator))
    estimates = torch.stack(batches)
    # Few fixed directions instead of hundreds of coordinates: 4 standard errors then mean what they say.
    directions = torch.randn(len(truth), 6, generator=torch.Generator().manual_seed(1))
    directions = torch.cat([directions, truth[:, None]], dim=1)
    along, true_along = estimates @ directions, truth @ directions
    error = along.std(0) / len(estimates) ** 0.5
    assert ((along.mean(0) - true_along).abs() < 4 * error).all()
    assert true_along[-1] > 8 * error[-1]  # and the gradient is large enough for the test to see a wrong one


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
    torch.testing.assert_close(token_entropy(logits), torch.tensor([torch.tensor(4.0).log(), 0.0]))


def rollout_of(texts, images):
    return Rollout(tiny.features(max(images) + 1), captions_from_ids(texts, images), max_length=3)


def test_batch_mean_leaves_the_row_out_and_counts_only_who_is_there():
    rollout = rollout_of([[4, EOS], [4, 5, 4], [5, 5, EOS]], [0, 0, 1])
    returns = torch.tensor([[1.0, 2.0, 99.0], [4.0, 6.0, 8.0], [7.0, 1.0, 3.0]])
    expected = torch.tensor([[5.5, 3.5, 5.5], [4.0, 1.5, 3.0], [2.5, 4.0, 8.0]])
    found = BatchMean()(returns, rollout)
    torch.testing.assert_close(found[rollout.captions.mask], expected[rollout.captions.mask])
    alone = rollout_of([[4, EOS]], [0])
    assert (BatchMean()(torch.tensor([[3.0, 4.0]]), alone) == 0).all()


def test_moving_average_by_hand_and_resumed():
    rollout = rollout_of([[4, EOS]], [0])
    baseline = MovingAverage(decay=0.5)
    assert baseline(torch.tensor([[2.0, 4.0]]), rollout).item() == 0
    assert baseline(torch.tensor([[7.0, 7.0]]), rollout).item() == pytest.approx(3)
    resumed = MovingAverage(decay=0.5)
    resumed.load_state_dict(baseline.state_dict())
    # (0.25 * 3 + 0.5 * 7) / 0.75
    assert resumed(torch.tensor([[0.0, 0.0]]), rollout).item() == pytest.approx(17 / 3)


class TestDiscriminatorReward:
    @pytest.fixture
    def discriminator(self):
        torch.manual_seed(0)
        return LSTMDiscriminator(vocabulary_size=6, pooled_size=5, hidden=8, embedding=8, dropout=0.9)

    def test_no_dropout_noise_in_the_pay_and_the_mode_is_given_back(self, discriminator):
        reward = DiscriminatorReward(discriminator=discriminator.train())
        captions = tiny.captions_of(0)
        first = reward(tiny.features(), captions)
        torch.testing.assert_close(reward(tiny.features(), captions), first, rtol=0, atol=0)
        assert discriminator.training
        torch.testing.assert_close(first, discriminator.eval()(tiny.features(), captions).sigmoid())

    def test_the_generators_gradient_never_reaches_the_discriminator(self, discriminator):
        generator = tiny.generators()[0]
        objective = PolicyGradient(
            reward=DiscriminatorReward(discriminator=discriminator), credit=MonteCarlo(rollouts=1), baseline=BatchMean()
        )
        rng = torch.Generator().manual_seed(0)
        rollout, returns, advantages = objective.collect(generator, tiny.features(), max_length=3, rng=rng)
        objective.loss(generator, rollout, returns, advantages).loss.backward()
        assert all(parameter.grad is None for parameter in discriminator.parameters())
        assert gradient(generator).abs().sum() > 0

    def test_chunks_pay_the_same(self, discriminator):
        captions = tiny.captions_of(1)
        whole = DiscriminatorReward(discriminator=discriminator)(tiny.features(), captions)
        parts = DiscriminatorReward(discriminator=discriminator, chunk_rows=4)(tiny.features(), captions)
        torch.testing.assert_close(whole, parts)


def test_what_is_scored_is_what_was_sampled():
    """With dropout in the generator, collecting is in eval mode and the scored tokens are the rollout's own."""
    generator = tiny.generators(dropout=0.5)[0].train()
    objective = PolicyGradient(reward=pay, credit=WholeSequence(), baseline=NoBaseline(), samples_per_image=4)
    rng = torch.Generator().manual_seed(0)
    rollout, returns, advantages = objective.collect(generator, tiny.features(), max_length=3, rng=rng)
    assert generator.training
    loss = objective.loss(generator.eval(), rollout, returns, advantages)
    rows = zip(rollout.captions.tokens, rollout.captions.lengths, rollout.captions.images, strict=True)
    for row, (tokens, length, image) in enumerate(rows):
        slow = tiny.stepwise_log_probs(generator, tiny.features(), tokens[:length].tolist(), int(image))
        torch.testing.assert_close(loss.log_probs[row, :length], slow.detach())


def test_metrics_are_what_their_names_say():
    generator, images = tiny.generators()[0], tiny.features()
    captions = captions_from_ids([[4, EOS], [5, 5, 4]], [0, 1])
    objective = PolicyGradient(reward=pay, credit=WholeSequence(), baseline=NoBaseline())
    returns = torch.tensor([[1.0, 1.0, 1.0], [3.0, 3.0, 3.0]])
    advantages = (returns - 1).masked_fill(~captions.mask, 0)
    metrics = objective.loss(generator, Rollout(images, captions, 3), returns, advantages).metrics
    assert metrics["reward/mean"] == pytest.approx(2)
    assert metrics["reward/std"] == pytest.approx(1)
    assert metrics["advantage/mean"] == pytest.approx(6 / 5)
    assert metrics["policy/length"] == pytest.approx(2.5)
    logits = generator.logits(images, captions).softmax(2)
    slow = [-(p[p > 0] * p[p > 0].log()).sum() for row, n in ((0, 2), (1, 3)) for p in logits[row, :n]]
    assert metrics["policy/entropy"] == pytest.approx(torch.stack(slow).mean().item(), rel=1e-4)
