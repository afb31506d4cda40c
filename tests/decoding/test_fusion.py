from __future__ import annotations

import pytest
import torch

from gan_caption.data.captions import BOS, EOS, UNK
from gan_caption.decoding.beam import beam_candidates, beam_search
from gan_caption.decoding.diverse_beam import diverse_beam_search
from gan_caption.decoding.fusion import shallow_fusion, word_scores
from gan_caption.decoding.greedy import greedy
from gan_caption.decoding.rerank import LanguageModelLogLikelihood, rerank
from gan_caption.decoding.rollouts import complete_prefixes
from gan_caption.decoding.sampling import sample
from gan_caption.encoders.none import no_image
from gan_caption.generators.ngram import NgramGenerator
from tests import tiny
from tests.decoding.test_candidates import told


def language_models():
    """An LSTM without images and a trigram model."""
    torch.manual_seed(9)
    lstm = tiny.lstm(pooled_size=1, hidden=5, embedding=3)
    for parameter in lstm.parameters():
        parameter.data *= 3
    corpus = [[5, 5, EOS], [5, 4, 5], [5, EOS], [4, 5, 5]]
    return [lstm.eval(), NgramGenerator.learn(corpus, vocabulary_size=tiny.VOCABULARY, order=3)]


PAIRS = pytest.mark.parametrize(("index", "kind"), [(index, kind) for index in tiny.EVERY for kind in range(2)])


def sums(generator, language, images, image, weight):
    """log p + weight * log p_LM of every caption, one step of one row at a time."""
    nothing = no_image(len(images), torch.device("cpu"))
    return [
        (
            tiny.stepwise_log_probs(generator, images, text, image).sum()
            + weight * tiny.stepwise_log_probs(language, nothing, text, image).sum()
        ).item()
        for text in tiny.all_captions()
    ]


@PAIRS
@pytest.mark.parametrize("weight", [0.7, -0.3])
def test_a_search_finds_the_greatest_weighted_sum(index, kind, weight):
    generator, language, images = tiny.generators(seed=1)[index], language_models()[kind], tiny.features()
    fused = shallow_fusion(generator, language, weight=weight)
    for image in (0, 1):
        exact = sums(generator, language, images, image, weight)
        wanted = sorted(zip(exact, tiny.all_captions(), strict=True), key=lambda one: -one[0])
        listed = told(beam_candidates(fused, images, beam_size=16, max_length=3), image)
        assert [text for text, _, _ in listed] == [text for _, text in wanted]
        assert [own for _, _, own in listed] == pytest.approx([own for own, _ in wanted], abs=1e-5)


@PAIRS
def test_reranking_everything_is_fusing(index, kind):
    generator, language, images = tiny.generators(seed=2)[index], language_models()[kind], tiny.features()
    everything = beam_candidates(generator, images, beam_size=16, max_length=3)
    chosen = rerank(everything, images, [(LanguageModelLogLikelihood(language), 0.6)], own_weight=1.0)
    fused = beam_candidates(shallow_fusion(generator, language, weight=0.6), images, beam_size=16, max_length=3)
    assert torch.equal(chosen.captions.tokens, fused.captions.tokens)
    torch.testing.assert_close(chosen.scores, fused.scores)


def test_the_language_model_changes_what_is_said():
    changed = 0
    for seed in range(4):
        generator, images = tiny.generators(seed=seed)[0], tiny.features(seed=seed)
        for language in language_models():
            fused = shallow_fusion(generator, language, weight=1.0)
            alone, advised = (beam_search(own, images, beam_size=3, max_length=3) for own in (generator, fused))
            changed += alone.tokens.tolist() != advised.tokens.tolist()
    assert changed


@PAIRS
def test_a_step_weighs_each_word(index, kind):
    generator, language, images = tiny.generators()[index], language_models()[kind], tiny.features(3)
    fused = shallow_fusion(generator, language, weight=0.4)
    own, nothing = generator.start(images, 5), language.start(no_image(3, torch.device("cpu")), 5)
    state = fused.start(images, 5)
    for tokens in ([BOS] * 3, [4, 5, 4], [5, 5, 4]):
        logits, state = fused.step(torch.tensor(tokens), state)
        own_logits, own = generator.step(torch.tensor(tokens), own)
        language_logits, nothing = language.step(torch.tensor(tokens), nothing)
        wanted = own_logits.softmax(1) * language_logits.softmax(1) ** 0.4
        torch.testing.assert_close(logits.exp(), wanted)
        assert torch.equal(word_scores(fused, logits), logits)
        torch.testing.assert_close(word_scores(generator, own_logits).exp(), own_logits.softmax(1))
    rows = torch.tensor([0, 0, 2])
    tokens = torch.tensor([4, 5, 4])
    own_logits, _ = generator.step(tokens, own.select(rows))
    language_logits, _ = language.step(tokens, nothing.select(rows))
    for logits, _ in (fused.step(tokens, state.select(rows)), fused.step(tokens, state, rows)):
        torch.testing.assert_close(logits.exp(), own_logits.softmax(1) * language_logits.softmax(1) ** 0.4)


@PAIRS
def test_what_is_sampled_is_what_is_scored(index, kind):
    generator, language, images = tiny.generators()[index], language_models()[kind], tiny.features()
    fused = shallow_fusion(generator, language, weight=0.8)
    rng = torch.Generator().manual_seed(0)
    drawn = sample(fused, images, samples=5, max_length=3, rng=rng)
    torch.testing.assert_close(drawn.log_probs, fused.score(images, drawn.captions).detach())
    for image in (0, 1):
        total = fused.score(images, tiny.captions_of(image)).sum(1).exp().sum()
        assert total.item() == pytest.approx(1, abs=1e-5)
    captions = drawn.captions
    assert fused.logits(images, captions).shape == (int(captions.lengths.sum()), tiny.VOCABULARY - EOS)


@PAIRS
def test_every_decoder_works_over_it(index, kind):
    generator, language, images = tiny.generators()[index], language_models()[kind], tiny.features(3)
    fused = shallow_fusion(generator, language, weight=0.8)
    one_beam = beam_search(fused, images, beam_size=1, max_length=5)
    assert torch.equal(greedy(fused, images, max_length=5).tokens, one_beam.tokens)
    found = diverse_beam_search(fused, images, groups=2, beam_size=2, diversity=0.5, max_length=3)
    for image in range(3):
        exact = dict(zip(map(tuple, tiny.all_captions()), sums(generator, language, images, image, 0.8), strict=True))
        for text, _, log_prob in told(found, image):
            assert log_prob == pytest.approx(exact[tuple(text)], abs=1e-5)
    done = complete_prefixes(fused, images, one_beam, rollouts=2, max_length=5, rng=torch.Generator().manual_seed(0))
    for row in range(len(done.captions)):
        step = int(done.steps[row]) + 1
        assert torch.equal(done.captions.tokens[row, :step], one_beam.tokens[done.rows[row], :step])


@PAIRS
def test_a_weight_of_nothing_changes_nothing(index, kind):
    generator, images = tiny.generators()[index], tiny.features()
    fused = shallow_fusion(generator, language_models()[kind], weight=0.0)
    start, tokens = fused.start(images, 3), torch.tensor([BOS, BOS])
    assert torch.equal(fused.step(tokens, start)[0], generator.step(tokens, generator.start(images, 3))[0])
    captions = tiny.captions_of(1)
    assert torch.equal(fused.score(images, captions), generator.score(images, captions))


def test_unknown_words_are_written_where_both_write_them():
    images = tiny.features()
    generator = tiny.lstm(generate_unknown=True).eval()
    corpus = [[4, UNK, EOS], [5, EOS]]
    for unknown in (False, True):
        language = NgramGenerator.learn(corpus, vocabulary_size=6, order=3, generate_unknown=unknown)
        fused = shallow_fusion(generator, language, weight=0.5)
        logits, _ = fused.step(torch.tensor([BOS, BOS]), fused.start(images, 3))
        assert fused.first_word == (UNK if unknown else EOS)
        assert logits.shape == (2, 6 - fused.first_word)
        assert logits.isfinite().all()
        captions = tiny.captions_of(0)
        packed = fused.logits(images, captions)
        assert packed.shape == (int(captions.lengths.sum()), 6 - fused.first_word)
        torch.testing.assert_close(packed[0], logits[0])


def test_another_vocabulary_is_refused():
    language = NgramGenerator.learn([[4, EOS]], vocabulary_size=7, order=3)
    with pytest.raises(ValueError, match="7 words and the generator 6"):
        shallow_fusion(tiny.generators()[0], language, weight=0.5)
