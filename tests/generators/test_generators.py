from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from gan_caption.data.captions import BOS, EOS, PAD, UNK, Captions, captions_from_ids
from gan_caption.data.features import ImageFeatures
from gan_caption.discriminators.lstm import LSTMDiscriminator
from gan_caption.discriminators.warm_start import take_from_generator
from gan_caption.generators.base import over_vocabulary
from gan_caption.layers import ByImage
from tests import tiny


@pytest.mark.parametrize("index", tiny.EVERY)
class TestEveryGenerator:
    def test_probabilities_of_all_captions_sum_to_one(self, index):
        generator = tiny.generators()[index]
        for image in (0, 1):
            captions = tiny.captions_of(image)
            log_probs = generator.score(tiny.features(), captions).sum(1)
            assert log_probs.exp().sum().item() == pytest.approx(1, abs=1e-5)

    def test_score_equals_step_by_step(self, index):
        generator, images = tiny.generators()[index], tiny.features()
        texts = tiny.all_captions()
        scores = generator.score(images, tiny.captions_of(1))
        for row, text in enumerate(texts):
            slow = tiny.stepwise_log_probs(generator, images, text, 1)
            torch.testing.assert_close(scores[row, : len(text)], slow)
            assert (scores[row, len(text) :] == 0).all()

    def test_padding_and_batch_never_change_a_row(self, index):
        generator, images = tiny.generators()[index], tiny.features(4)
        both = Captions(
            torch.tensor([[4, 3, 0], [5, 4, 5], [4, 4, 3]]), torch.tensor([2, 3, 3]), torch.tensor([1, 1, 3])
        )
        alone = Captions(torch.tensor([[4, 3]]), torch.tensor([2]), torch.tensor([0]))
        wide = Captions(torch.tensor([[4, 3, 0, 0, 0]]), torch.tensor([2]), torch.tensor([0]))
        expected = generator.score(images, both)[0, :2]
        one = images.select(torch.tensor([1]))
        torch.testing.assert_close(generator.score(one, alone)[0], expected)
        torch.testing.assert_close(generator.score(one, wide)[0, :2], expected)

    def test_special_tokens_are_never_written(self, index):
        generator = tiny.generators()[index]
        assert generator.first_word == UNK + 1
        logits, _ = generator.step(torch.tensor([1, 1]), generator.start(tiny.features(), 3))
        assert logits.shape == (2, tiny.VOCABULARY - UNK - 1)
        assert torch.isfinite(logits).all()
        never = captions_from_ids([[UNK, EOS], [PAD, 4]], [0, 1])
        assert generator.score(tiny.features(), never)[:, 0].tolist() == [float("-inf")] * 2
        everything = over_vocabulary(logits, first_word=generator.first_word).softmax(1)
        assert everything.shape == (2, tiny.VOCABULARY)
        assert (everything[:, : UNK + 1] == 0).all()

    def test_the_image_is_looked_at(self, index):
        generator = tiny.generators()[index]
        first, second = (
            generator.score(tiny.features(), tiny.captions_of(0)),
            generator.score(tiny.features(), tiny.captions_of(1)),
        )
        assert (first - second).abs().max() > 0.05

    def test_state_of_repeated_and_chosen_rows(self, index):
        generator = tiny.generators()[index]
        state = generator.start(tiny.features(3), 3)
        logits, _ = generator.step(torch.full((3,), 1), state)
        forked, _ = generator.step(torch.full((6,), 1), state.repeat(2))
        torch.testing.assert_close(forked, logits.repeat_interleave(2, 0))
        chosen, _ = generator.step(torch.full((3,), 1), state.select(torch.tensor([0, 2, 2])))
        torch.testing.assert_close(chosen, logits[[0, 2, 2]])

    @pytest.mark.parametrize("rows", [[0, 2], [0, 0, 0, 1, 2, 2]])
    def test_a_step_from_rows_is_a_step_of_the_state_of_these_rows(self, index, rows):
        generator = tiny.generators()[index]
        state = generator.start(tiny.features(3), 3)
        rows = torch.tensor(rows)
        tokens = torch.tensor([4, 5, 4, 5, 5, 4])[: len(rows)]
        found, after = generator.step(tokens, state, rows)
        wanted, truth = generator.step(tokens, state.select(rows))
        torch.testing.assert_close(found, wanted)
        torch.testing.assert_close((*after.own, after.images), (*truth.own, truth.images))


@pytest.mark.parametrize("index", tiny.EVERY)
def test_logits_are_of_the_captions_own_tokens_and_of_words_that_may_be_written(index):
    generator, images = tiny.generators()[index], tiny.features()
    captions = captions_from_ids([[4, 5, EOS], [EOS], [5, EOS]], [0, 1, 1])
    packed = generator.logits(images, captions)
    assert packed.shape == (6, tiny.VOCABULARY - EOS)
    scores = packed.log_softmax(1).gather(1, (captions.tokens[captions.mask] - EOS)[:, None])[:, 0]
    slow = [tiny.stepwise_log_probs(generator, images, text, row) for text, row in
            (([4, 5, EOS], 0), ([EOS], 1), ([5, EOS], 1))]  # fmt: skip
    torch.testing.assert_close(scores, torch.cat(slow))


@pytest.mark.parametrize("index", tiny.EVERY)
def test_after_each_prefix_is_where_reading_it_again_ends(index):
    generator, images = tiny.generators()[index], tiny.features()
    texts = [[4, 5, 4], [5, 5, EOS]]
    captions = captions_from_ids(texts, [0, 1])
    logits, state = generator.after_each_prefix(captions, generator.start(images, 5))
    following, _ = generator.step(torch.full((6,), 5), state)
    assert state.images.tolist() == [0, 0, 0, 1, 1, 1]
    for row, text in enumerate(texts):
        for step in range(3):
            alone = generator.start(images.select(torch.tensor([row])), 5)
            for token in [BOS, *text[: step + 1]]:
                wanted, alone = generator.step(torch.tensor([token]), alone)
            torch.testing.assert_close(logits[3 * row + step], wanted[0])
            after, _ = generator.step(torch.tensor([5]), alone)
            torch.testing.assert_close(following[3 * row + step], after[0])


def test_unknown_is_written_only_when_asked_for():
    asked = tiny.lstm(generate_unknown=True)
    logits, _ = asked.step(torch.tensor([1]), asked.start(tiny.features(1), 3))
    assert logits.shape == (1, 6 - UNK)
    assert torch.isfinite(logits).all()
    assert torch.isfinite(asked.score(tiny.features(1), captions_from_ids([[UNK, EOS]], [0]))).all()


def test_noise_changes_the_policy_and_its_absence_means_zero():
    torch.manual_seed(0)
    generator = tiny.lstm(noise_size=3).eval()
    plain = tiny.features(1)
    zero = ImageFeatures(plain.pooled, noise=torch.zeros(1, 3))
    other = ImageFeatures(plain.pooled, noise=torch.ones(1, 3))
    captions = tiny.captions_of(0)
    torch.testing.assert_close(generator.score(plain, captions), generator.score(zero, captions))
    assert (generator.score(other, captions) - generator.score(zero, captions)).abs().max() > 1e-3


@pytest.mark.parametrize("index", [index for index in tiny.EVERY if tiny.generators()[index].uses_grid])
def test_regions_that_are_not_there_are_not_attended(index):
    generator = tiny.generators()[index]
    images = tiny.features(1)
    assert images.grid is not None
    garbage = images.grid.clone()
    garbage[:, 2:] = 100
    count = torch.tensor([2])
    captions = tiny.captions_of(0)
    torch.testing.assert_close(
        generator.score(ImageFeatures(images.pooled, images.grid, count), captions),
        generator.score(ImageFeatures(images.pooled, garbage, count), captions),
    )


def test_attention_weights_average_the_values():
    """The map that people see is the one that the contexts are made with."""
    torch.manual_seed(0)
    attention = tiny.attention_lstm(heads=1).attention
    images = torch.tensor([0, 1, 1])
    memory = attention.memory(tiny.features(2))
    queries = torch.randn(3, 2, 4)
    weights = attention.weights(queries, memory, images)
    torch.testing.assert_close(weights.sum(2), torch.ones(3, 2))
    expected = weights @ memory[1][images][:, 0]
    torch.testing.assert_close(attention(queries, memory, ByImage.of(images)), expected)


@pytest.mark.parametrize("index", tiny.EVERY)
def test_a_discriminator_can_begin_with_the_word_vectors(index):
    generator, discriminator = tiny.generators()[index], tiny.discriminator(LSTMDiscriminator, embedding=4)
    take_from_generator(discriminator, generator)
    assert torch.equal(discriminator.words.weight, generator.words.weight)


def test_a_vocabulary_without_words_is_refused():
    with pytest.raises(ValueError, match="special tokens"):
        tiny.lstm(vocabulary_size=3)


def test_weights_without_noise_fit_a_generator_with_noise_and_mean_the_same_where_it_is_zero():
    plain = tiny.lstm()
    noisy = tiny.lstm(noise_size=3)
    noisy.load_state_dict(plain.state_dict())
    plain.eval(), noisy.eval()
    silent, heard = (replace(tiny.features(), noise=noise) for noise in (torch.zeros(2, 3), torch.ones(2, 3)))
    before, alike, other = (
        generator.score(images, tiny.captions_of(1))
        for generator, images in ((plain, tiny.features()), (noisy, silent), (noisy, heard))
    )
    torch.testing.assert_close(alike, before)
    assert not torch.allclose(other, before, atol=1e-3)
    noisy.load_state_dict(noisy.state_dict())
    with pytest.raises(RuntimeError, match="size mismatch"):
        tiny.lstm(pooled_size=6, noise_size=3).load_state_dict(plain.state_dict())
