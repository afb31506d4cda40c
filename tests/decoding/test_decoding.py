from __future__ import annotations

import pytest
import torch

from gan_caption.data.captions import EOS, captions_from_ids, captions_from_tokens
from gan_caption.data.features import ImageFeatures
from gan_caption.decoding import sampling
from gan_caption.decoding.beam import DEAD, _forbid_trigrams, beam_search
from gan_caption.decoding.decoders import Sampling
from gan_caption.decoding.fusion import shallow_fusion
from gan_caption.decoding.greedy import greedy
from gan_caption.decoding.sampling import (
    _draw_sharing,
    _draw_side_by_side,
    attach_noise,
    draw_noise,
    sample,
    shape_distribution,
)
from gan_caption.errors import UserError
from gan_caption.generators.recurrent_state import RecurrentState
from gan_caption.kernels.picking import pick
from tests import tiny
from tests.tiny_runs import part


def rows_of(captions):
    return [row[:length].tolist() for row, length in zip(captions.tokens, captions.lengths, strict=True)]


def test_real_and_sampled_captions_have_one_form():
    texts = tiny.all_captions()
    real = captions_from_ids(texts, [0] * len(texts))
    raw = torch.tensor([[*text, 5, 4, 5, 4][:5] for text in texts])  # what a sampler might leave after <eos>
    cut = torch.tensor([len(text) for text in texts])
    ended = captions_from_tokens(raw[cut < 3], torch.zeros(int((cut < 3).sum()), dtype=torch.long))
    assert rows_of(ended) == [text for text in texts if len(text) < 3]
    assert torch.equal(real.lengths, cut)


def test_the_word_that_would_end_a_trigram_again_is_forbidden_and_no_other():
    """0 1 was followed by 2; 0 2 never was."""
    tokens = torch.tensor([[[0, 1, 2, 0, 1]], [[0, 1, 2, 0, 2]]])
    left = _forbid_trigrams(torch.zeros(2, 1, 4), tokens)
    assert (left == DEAD).tolist() == [[[False, False, True, False]], [[False] * 4]]


class TestShapeDistribution:
    logits = torch.tensor([[0.5, 0.25, 0.15, 0.1]]).log()

    def test_what_a_nucleus_keeps_is_made_whole(self):
        torch.testing.assert_close(shape_distribution(self.logits, top_p=0.7), torch.tensor([[2 / 3, 1 / 3, 0.0, 0.0]]))

    def test_temperature(self):
        half = shape_distribution(self.logits, temperature=0.5)
        squares = torch.tensor([[0.25, 0.0625, 0.0225, 0.01]])
        torch.testing.assert_close(half, squares / squares.sum())

    def test_top_k(self):
        torch.testing.assert_close(shape_distribution(self.logits, top_k=2), torch.tensor([[2 / 3, 1 / 3, 0.0, 0.0]]))

    @pytest.mark.parametrize(("top_p", "kept"), [(0.4, 1), (0.6, 2), (0.8, 3), (0.99, 4)])
    def test_nucleus_is_the_smallest_set_that_reaches_p(self, top_p, kept):
        assert int((shape_distribution(self.logits, top_p=top_p) > 0).sum()) == kept


def test_a_low_temperature_leaves_rare_words_their_probability():
    """Of .001 a word's may be e^-200 or less, which float32 does not hold: told in double precision."""
    generator, images = tiny.generators()[0].eval(), tiny.features()
    captions = captions_from_ids([[4, EOS], [5, EOS], [EOS]], [0, 0, 0])
    scaled = generator.logits(images, captions).detach().double() / 0.001
    words = (captions.packed(captions.tokens) - generator.first_word)[:, None]
    expected = captions.unpacked(scaled.log_softmax(1).gather(1, words)[:, 0]).sum(1)
    assert expected.min() < -200
    sampler = Sampling(temperature=0.001, top_k=0, top_p=1.0)
    told = sampler.log_probs(generator, images, captions, max_length=2, rng=torch.Generator())
    torch.testing.assert_close(told.double(), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("index", tiny.EVERY)
class TestSample:
    def test_frequencies_are_the_exact_probabilities(self, index):
        generator, images = tiny.generators()[index], tiny.features()
        draws = 20000
        captions = sample(generator, images, samples=draws, max_length=3, rng=torch.Generator().manual_seed(1)).captions
        for image in (0, 1):
            exact = generator.score(images, tiny.captions_of(image)).sum(1).exp().detach()
            shares = tiny.written(captions.select(captions.images == image)) / draws
            assert shares.sum() == pytest.approx(1)
            errors = (exact * (1 - exact) / draws).sqrt()
            assert ((shares - exact).abs() < 4 * errors + 1e-6).all()

    def test_a_caption_depends_on_its_own_numbers_alone(self, index):
        """Finished rows leave the batch; those that stay must not take over their random numbers."""
        generator, images = tiny.generators()[index], tiny.features()
        together = sample(generator, images, samples=4, max_length=3, rng=torch.Generator().manual_seed(3)).captions
        uniforms = torch.rand(8, 3, generator=torch.Generator().manual_seed(3))
        for row in range(8):
            state = generator.start(images.select(together.images[row : row + 1]), 3)
            previous, text = torch.tensor([1]), []
            for step in range(3):
                logits, state = generator.step(previous, state)
                previous = pick(logits.softmax(1), uniforms[row : row + 1, step]) + EOS
                text.append(previous.item())
                if text[-1] == EOS:
                    break
            assert rows_of(together)[row] == text

    def test_the_log_probabilities_are_the_policys(self, index):
        generator, images = tiny.generators()[index], tiny.features()
        drawn = sample(generator, images, samples=6, max_length=3, rng=torch.Generator().manual_seed(2))
        torch.testing.assert_close(drawn.log_probs, generator.score(images, drawn.captions).detach())

    def test_fixed_shapes_draw_what_shared_states_draw(self, index):
        """Other devices than a CPU keep every row to the end."""
        generator, images = tiny.generators()[index], tiny.features(3)
        logits, state = generator.step(torch.ones(3, dtype=torch.long), generator.start(images, 4))
        begins = torch.arange(3).repeat_interleave(7)
        uniforms = torch.rand(21, 4, generator=torch.Generator().manual_seed(5))
        limits = torch.randint(1, 5, (21,), generator=torch.Generator().manual_seed(6))
        with torch.no_grad():
            found, wanted = (
                draw(generator, logits, state, begins, uniforms, limits, shape_distribution)
                for draw in (_draw_side_by_side, _draw_sharing)
            )
        assert torch.equal(found[0], wanted[0])
        torch.testing.assert_close(found[1], wanted[1])

    def test_words_looked_at_beforehand_change_no_step(self, index):
        """With gradients every word is looked at anew; without, all words at once as soon as enough were read."""
        generator, images = tiny.generators()[index], tiny.features(6)
        state = generator.start(images, 5)
        ready = generator.start(images, 5)
        tokens = torch.tensor([4, 5, 4, 5, 5, 4])
        for _ in range(2):
            logits, state = generator.step(tokens, state)
            with torch.no_grad():
                found, ready = generator.step(tokens, ready)
            torch.testing.assert_close(found, logits.detach())
        if isinstance(ready, RecurrentState):
            assert ready.known._table.shape == (6, 16)
            assert state.known._table is None

    @pytest.mark.parametrize("rows", [6, 2])
    def test_parts_of_the_images_draw_what_all_together_draw(self, index, monkeypatch, rows):
        """Several images at once, or a part of one image's samples."""
        generator, images = tiny.generators()[index], tiny.features(5)
        together = sample(generator, images, samples=3, max_length=5, rng=torch.Generator().manual_seed(3))
        monkeypatch.setattr(sampling, "rows_at_once", lambda *_, **__: rows)
        parts = sample(generator, images, samples=3, max_length=5, rng=torch.Generator().manual_seed(3))
        assert torch.equal(parts.captions.tokens, together.captions.tokens)
        assert torch.equal(parts.captions.images, together.captions.images)
        torch.testing.assert_close(parts.log_probs, together.log_probs)

    def test_samples_of_an_image_are_neighbours(self, index):
        captions = sample(
            tiny.generators()[index], tiny.features(), samples=3, max_length=3, rng=torch.Generator().manual_seed(0)
        ).captions
        assert captions.images.tolist() == [0, 0, 0, 1, 1, 1]


def test_every_sample_has_its_own_noise():
    generator = tiny.lstm(noise_size=2)
    images, per_row = attach_noise(generator, tiny.features(), samples=3, rng=torch.Generator().manual_seed(0))
    assert (len(images), per_row) == (6, 1)
    assert images.noise is not None
    assert len(images.noise.unique(dim=0)) == 6
    torch.testing.assert_close(images.pooled, tiny.features().pooled.repeat_interleave(3, 0))


def test_the_laws_of_noise():
    """Both have mean 0; a quarter of a uniform number's draws lie in each quarter, a normal one has no bounds."""
    normal, uniform = (
        draw_noise(20_000, 3, law=law, rng=torch.Generator().manual_seed(0)) for law in ("normal", "uniform")
    )
    assert normal.shape == uniform.shape == (20_000, 3)
    for drawn, spread in ((normal, 1.0), (uniform, 1 / 3**0.5)):
        assert drawn.mean().abs() < 0.02
        assert drawn.std().item() == pytest.approx(spread, rel=0.02)
        assert torch.corrcoef(drawn.T).fill_diagonal_(0).abs().max() < 0.03
    assert normal.abs().max() > 3
    assert uniform.abs().max() <= 1
    shares = torch.histc(uniform, bins=4, min=-1, max=1) / uniform.numel()
    torch.testing.assert_close(shares, torch.full((4,), 0.25), rtol=0.03, atol=0)


def test_a_generators_noise_follows_its_law_and_changes_its_captions():
    torch.manual_seed(0)
    generator = tiny.lstm(noise_size=50, noise_law="uniform").eval()
    images, _ = attach_noise(generator, tiny.features(1), samples=20, rng=torch.Generator().manual_seed(0))
    assert images.noise is not None
    assert 0.9 < images.noise.abs().max() <= 1
    assert len(generator.score(images, captions_from_ids([[4, 5, EOS]] * 20, list(range(20)))).unique(dim=0)) == 20
    other = attach_noise(tiny.lstm(noise_size=50), tiny.features(1), samples=20, rng=torch.Generator().manual_seed(0))
    assert other[0].noise is not None
    assert other[0].noise.abs().max() > 2
    assert shallow_fusion(generator, tiny.lstm(), weight=0.5).noise_law == "uniform"


def exact_best(generator, images, image, penalty):
    texts = tiny.all_captions()
    log_probs = generator.score(images, tiny.captions_of(image)).sum(1)
    lengths = torch.tensor([len(text) for text in texts])
    return texts[int((log_probs / lengths**penalty).argmax())]


@pytest.mark.parametrize("index", tiny.EVERY)
@pytest.mark.parametrize("seed", range(4))
class TestBeam:
    def test_one_beam_is_greedy(self, index, seed):
        generator, images = tiny.generators(seed=seed)[index], tiny.features(5, seed=seed)
        for length in (2, 3, 6):
            assert rows_of(beam_search(generator, images, beam_size=1, max_length=length)) == rows_of(
                greedy(generator, images, max_length=length)
            )

    @pytest.mark.parametrize("penalty", [0.0, 1.0])
    def test_a_beam_that_holds_everything_finds_the_best_caption(self, index, seed, penalty):
        generator, images = tiny.generators(seed=seed)[index], tiny.features(seed=seed)
        found = beam_search(generator, images, beam_size=16, max_length=3, length_penalty=penalty)
        assert rows_of(found) == [exact_best(generator, images, image, penalty) for image in (0, 1)]

    def test_the_batch_never_changes_a_row(self, index, seed):
        generator, images = tiny.generators(seed=seed)[index], tiny.features(450, seed=seed)  # more than go at once
        together = rows_of(beam_search(generator, images, beam_size=2, max_length=5, no_repeated_trigram=True))
        for row in [*range(6), 191, 192, 193, 383, 384, 199, 200, 201, 399, 400, 449]:
            alone = beam_search(
                generator, images.select(torch.tensor([row])), beam_size=2, max_length=5, no_repeated_trigram=True
            )
            assert rows_of(alone) == [together[row]]

    def test_no_trigram_comes_twice(self, index, seed):
        generator, images = tiny.generators(seed=seed)[index], tiny.features(4, seed=seed)
        with torch.no_grad():
            generator.output.bias[0] -= 99  # never <eos>: captions long enough to repeat themselves
        for row in rows_of(beam_search(generator, images, beam_size=2, max_length=10, no_repeated_trigram=True)):
            trigrams = [tuple(row[i : i + 3]) for i in range(len(row) - 2)]
            assert len(trigrams) == len(set(trigrams)) >= 3


def test_greedy_takes_the_most_probable_word():
    generator, images = tiny.generators()[0], tiny.features()
    for image, text in enumerate(rows_of(greedy(generator, images, max_length=3))):
        state, previous = generator.start(images.select(torch.tensor([image])), 3), 1
        for token in text:
            logits, state = generator.step(torch.tensor([previous]), state)
            assert token == logits.argmax() + EOS
            previous = token


@pytest.mark.parametrize(
    ("page", "settings", "message"),
    [
        ("beam", {"beam_size": 0}, "beam_size=0"),
        ("sampling", {"temperature": 0.0}, "greedy"),
        ("sampling", {"top_p": 0.0}, "top_p"),
        ("sampling", {"top_k": -1}, "top_k"),
    ],
)
def test_settings_that_make_no_sense_are_refused(page, settings, message):
    with pytest.raises(UserError, match=message):
        part(f"decoding/{page}", **settings)


def test_features_select_keeps_what_is_missing():
    chosen = ImageFeatures(torch.arange(6.0).reshape(3, 2)).select(torch.tensor([2, 0]))
    assert chosen.pooled.tolist() == [[4, 5], [0, 1]]
    assert chosen.grid is None


@pytest.mark.parametrize("index", tiny.EVERY)
def test_samples_that_share_a_beginning_are_drawn_as_if_each_were_alone(index):
    """With 40 samples an image and two words to choose from nearly all beginnings are shared."""
    generator, images = tiny.generators()[index], tiny.features(3)
    drawn = sample(generator, images, samples=40, max_length=5, rng=torch.Generator().manual_seed(3)).captions
    numbers = torch.rand(120, 5, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        for row in range(120):
            state = generator.start(images.select(torch.tensor([row // 40])), 5)
            tokens = torch.tensor([1])
            text = []
            for step in range(5):
                logits, state = generator.step(tokens, state)
                tokens = pick(logits.softmax(1), numbers[row, step : step + 1]) + EOS
                text.append(int(tokens))
                if text[-1] == EOS:
                    break
            assert drawn.tokens[row, : drawn.lengths[row]].tolist() == text
