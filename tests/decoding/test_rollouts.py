from __future__ import annotations

import pytest
import torch

from gan_caption.data.captions import EOS, captions_from_ids
from gan_caption.decoding.rollouts import complete_prefixes
from gan_caption.decoding.sampling import Samples
from gan_caption.objectives.credit import MonteCarlo
from tests import tiny


def always_five(index):
    generator = tiny.generators()[index]
    with torch.no_grad():
        generator.output.weight.zero_()
        generator.output.bias.copy_(torch.tensor([-50.0, -50.0, 50.0]))
    return generator


@pytest.mark.parametrize("index", tiny.EVERY)
def test_a_reward_comes_back_to_its_own_image_and_step(index):
    """The reward of image i is 100 i + t after t words: nothing may be mixed up, summed or lost on the way."""
    captions = captions_from_ids([[4, 4, 4, 4], [4, 4, EOS], [4, 4, 4, EOS], [4, 4, 4, 4]], [0, 0, 1, 2])
    images = tiny.features(3)

    def reward(_, completed):
        return 100.0 * completed.images + (completed.tokens == 4).sum(1)

    samples = Samples(images, captions, 4, 1, torch.zeros(captions.tokens.shape))
    rng = torch.Generator().manual_seed(0)
    returns = MonteCarlo(rollouts=3, update_rate=1.0)(
        always_five(index), samples, reward(images, captions), reward=reward, rng=rng
    )
    expected = torch.tensor([[1.0, 2, 3, 4], [1, 2, 2, 2], [101, 102, 103, 103], [201, 202, 203, 204]])
    torch.testing.assert_close(returns, expected)


@pytest.mark.parametrize("index", tiny.EVERY)
def test_completions_keep_their_prefix_and_their_order(index):
    captions = captions_from_ids([[4, 5, 4, 4, 5], [5, 4, EOS], [EOS]], [0, 1, 1])
    done = complete_prefixes(
        tiny.generators()[index], tiny.features(), captions,
        rollouts=2, max_length=5, rng=torch.Generator().manual_seed(0),
    )  # fmt: skip
    assert done.rows.tolist() == [0] * 8 + [1] * 4  # four unfinished prefixes of the first, two of the second, no third
    assert done.steps.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 0, 0, 1, 1]
    assert done.captions.images.tolist() == [0] * 8 + [1] * 4
    for row in range(12):
        prefix = captions.tokens[done.rows[row], : done.steps[row] + 1]
        assert torch.equal(done.captions.tokens[row, : len(prefix)], prefix)
        assert len(prefix) < done.captions.lengths[row] <= 5
        ends = (done.captions.tokens[row] == EOS).nonzero()[:, 0].tolist()
        assert ends == [int(done.captions.lengths[row]) - 1] or (not ends and done.captions.lengths[row] == 5)


@pytest.mark.parametrize("index", tiny.EVERY)
def test_chunks_do_not_change_the_result(index):
    captions = captions_from_ids([[4, 5, 4, 4], [5, 4, EOS]], [0, 1])
    state = tiny.generators()[index].start(tiny.features(), 4)
    row_bytes = 4 * (tiny.VOCABULARY - EOS) + state.row_bytes
    whole, parts = (
        complete_prefixes(
            tiny.generators()[index], tiny.features(), captions,
            rollouts=4, max_length=4, rng=torch.Generator().manual_seed(0), memory=rows * row_bytes,
        )
        for rows in (10**6, 3)
    )  # fmt: skip
    assert torch.equal(whole.captions.tokens, parts.captions.tokens)


@pytest.mark.parametrize("index", tiny.EVERY)
def test_returns_are_the_exact_state_action_values(index):
    """Q(prefix, word) by enumeration of every completion, against the mean of many rollouts."""
    generator, images = tiny.generators()[index], tiny.features()
    texts = [[4, 5, EOS], [5, 5, 4], [4, EOS]]
    captions = captions_from_ids(texts, [0, 1, 1])
    rollouts = 4000

    def reward(_, completed):
        return tiny.reward_of(completed)

    samples = Samples(images, captions, 3, 1, torch.zeros(captions.tokens.shape))
    rng = torch.Generator().manual_seed(0)
    returns = MonteCarlo(rollouts=rollouts, update_rate=1.0)(
        generator, samples, reward(images, captions), reward=reward, rng=rng
    )
    for row, (text, image) in enumerate(zip(texts, (0, 1, 1), strict=True)):
        everything = tiny.captions_of(image)
        log_probs = generator.score(images, everything).detach()
        rewards = tiny.reward_of(everything)
        for step in range(len(text)):
            matches = torch.tensor([other[: step + 1] == text[: step + 1] for other in tiny.all_captions()])
            weights = log_probs.sum(1).exp() * matches
            weights = weights / weights.sum()
            value = (weights * rewards).sum()
            error = ((weights * (rewards - value) ** 2).sum() / rollouts).sqrt()
            assert abs(returns[row, step] - value) < 4 * error + 1e-4


def test_forked_rollouts_follow_the_law_of_rerun_prefixes():
    """Completions of a prefix have the probabilities that running the prefix again would give."""
    generator, images = tiny.generators()[2], tiny.features()
    captions = captions_from_ids([[5, 4, 4]], [0])
    draws = 8000
    done = complete_prefixes(
        generator, images, captions, rollouts=draws, max_length=3, rng=torch.Generator().manual_seed(0)
    )
    tails = done.captions.tokens[done.steps == 1, 2]
    exact = torch.nn.functional.pad(generator.logits(images, captions)[2].softmax(0), (EOS, 0))  # of the third word
    shares = tails.bincount(minlength=6) / draws
    assert ((shares - exact).abs() < 4 * (exact * (1 - exact) / draws).sqrt() + 1e-6).all()


def test_captions_that_have_all_ended_at_once_have_nothing_to_complete():
    captions = captions_from_ids([[EOS], [EOS]], [0, 1])
    samples = Samples(tiny.features(), captions, 3, 1, torch.zeros(captions.tokens.shape))
    credit, generator = MonteCarlo(rollouts=2, update_rate=1.0), tiny.generators()[0]
    rewards = torch.tensor([7.0, 8.0])
    returns = credit(generator, samples, rewards, reward=lambda _, c: 0.0 * c.images, rng=torch.Generator())
    assert returns.tolist() == [[7.0], [8.0]]
