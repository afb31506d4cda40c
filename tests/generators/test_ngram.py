from __future__ import annotations

from collections import Counter
from fractions import Fraction

import pytest
import torch
from nltk.lm import Vocabulary as NltkVocabulary
from nltk.lm import WittenBellInterpolated
from nltk.util import everygrams
from safetensors import safe_open
from safetensors.torch import save_file

from gan_caption.data.captions import BOS, EOS, UNK, captions_from_ids
from gan_caption.data.features import ImageFeatures
from gan_caption.decoding.beam import beam_candidates
from gan_caption.decoding.greedy import greedy
from gan_caption.decoding.rollouts import complete_prefixes
from gan_caption.decoding.sampling import sample
from gan_caption.errors import UserError
from gan_caption.generators.base import over_vocabulary
from gan_caption.generators.ngram import NgramGenerator
from tests import tiny

WORDS = 8
CORPUS = [[4, 5, 6, EOS], [4, 5, 5, EOS], [6, 4, 5, 7, EOS], [4, EOS], [5, 4, 5, 6, 4, 5], [EOS]]  # one was cut
CONTEXTS = [[], [4], [4, 5], [4, 5, 6], [7, 7], [5, 4, 5], [6, 7, 4], [7], [5, 5]]


def images(count: int = 1) -> ImageFeatures:
    return ImageFeatures(torch.zeros(count, 1))


def after(model: NgramGenerator, words: list[int]) -> torch.Tensor:
    """p of every token after these words, one step at a time."""
    state = model.start(images(), len(words))
    for token in (BOS, *words):
        logits, state = model.step(torch.tensor([token]), state)
    return over_vocabulary(logits[0], first_word=model.first_word).exp()


def witten_bell(corpus: list[list[int]], context: list[int], word: int, *, first_word: int) -> Fraction:
    """The recursion of the module's docstring, counted anew for every context, in exact arithmetic."""
    size = len(context)
    following = Counter()
    for caption in corpus:
        padded = [BOS] * size + caption
        for place in range(size, len(padded)):
            if padded[place - size : place] == context and padded[place] >= first_word:
                following[padded[place]] += 1
    if not size:
        return Fraction(following[word] + 1, sum(following.values()) + WORDS - first_word)
    shorter = witten_bell(corpus, context[1:], word, first_word=first_word)
    if not following:
        return shorter
    kinds = len(following)
    return (following[word] + kinds * shorter) / (sum(following.values()) + kinds)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("unknown", [False, True])
def test_the_probabilities_are_witten_and_bells(order, unknown):
    corpus = [*CORPUS, [4, UNK, 5, EOS], [UNK, EOS], [4, UNK, UNK, 6, EOS]]
    model = NgramGenerator.learn(corpus, vocabulary_size=WORDS, order=order, generate_unknown=unknown)
    first_word = UNK if unknown else EOS
    for context in [*CONTEXTS, [UNK], [4, UNK], [UNK, UNK]]:
        history = ([BOS] * order + context)[len(context) + 1 :]
        exact = [witten_bell(corpus, history, word, first_word=first_word) for word in range(first_word, WORDS)]
        assert sum(exact) == 1
        torch.testing.assert_close(after(model, context)[first_word:], torch.tensor([float(p) for p in exact]))
        assert after(model, context)[:first_word].tolist() == [0] * first_word


@pytest.mark.parametrize("order", [1, 2, 3])
def test_the_probabilities_are_nltks(order):
    known = [str(word) for word in range(EOS, WORDS)]
    reference = WittenBellInterpolated(order, vocabulary=NltkVocabulary([*known, str(BOS)], unk_cutoff=1))
    reference.fit([[(word,)] for word in known])
    for caption in CORPUS:
        padded = [str(word) for word in [BOS] * (order - 1) + caption]
        reference.fit([[gram for gram in everygrams(padded, max_len=order) if gram[-1] != str(BOS)]])
    model = NgramGenerator.learn(CORPUS, vocabulary_size=WORDS, order=order)
    for context in CONTEXTS:
        history = tuple(map(str, ([BOS] * order + context)[len(context) + 1 :]))
        exact = torch.tensor([reference.score(word, history) for word in known])
        torch.testing.assert_close(after(model, context)[EOS:], exact)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_one_pass_scores_what_the_steps_predict(order):
    model = NgramGenerator.learn(CORPUS, vocabulary_size=WORDS, order=order)
    captions = captions_from_ids([[4, 5, 6, EOS], [7], [5, 4, EOS], [4, 5, 5, 5, 6]], [0, 0, 1, 1])
    scored = model.score(images(2), captions)
    for row, text in enumerate([[4, 5, 6, EOS], [7], [5, 4, EOS], [4, 5, 5, 5, 6]]):
        torch.testing.assert_close(scored[row, : len(text)], tiny.stepwise_log_probs(model, images(2), text, 0))
        assert scored[row, len(text) :].tolist() == [0] * (5 - len(text))
    assert model.logits(images(2), captions).shape == (int(captions.lengths.sum()), WORDS - EOS)


def test_rows_of_a_step_do_not_meet():
    model = NgramGenerator.learn(CORPUS, vocabulary_size=WORDS, order=3)
    rows = [[4, 5], [7, 7], [5, 4], [4, 5], [6, 4]]
    state = model.start(images(5), 3)
    for tokens in ([BOS] * 5, [row[0] for row in rows], [row[1] for row in rows]):
        logits, state = model.step(torch.tensor(tokens), state)
    for row, context in enumerate(rows):
        torch.testing.assert_close(logits[row].exp(), after(model, context)[EOS:])
    following, _ = model.step(torch.tensor([6, 4]), state.select(torch.tensor([0, 4])))
    torch.testing.assert_close(following[0].exp(), after(model, [4, 5, 6])[EOS:])


def test_every_decoder_works_over_it():
    model = NgramGenerator.learn(CORPUS, vocabulary_size=WORDS, order=3)
    text: list[int] = []
    while len(text) < 6 and EOS not in text:
        history = [BOS, BOS, *text][-2:]
        text.append(max(range(EOS, WORDS), key=lambda word: witten_bell(CORPUS, history, word, first_word=EOS)))
    assert greedy(model, images(), max_length=6).tokens.tolist() == [text]
    found = beam_candidates(model, images(2), beam_size=4, max_length=6)
    exact = model.score(images(2), found.captions).sum(1)
    torch.testing.assert_close(found.log_probs, exact)
    rng = torch.Generator().manual_seed(0)
    drawn = sample(model, images(2), samples=3, max_length=6, rng=rng)
    torch.testing.assert_close(drawn.log_probs, model.score(images(2), drawn.captions))
    assert len(complete_prefixes(model, images(2), drawn.captions, rollouts=2, max_length=6, rng=rng).captions)


@pytest.mark.parametrize("order", [1, 3])
def test_what_is_saved_comes_back(tmp_path, order):
    model = NgramGenerator.learn(CORPUS, vocabulary_size=WORDS, order=order, generate_unknown=True)
    model.save(tmp_path / "ngram.safetensors", vocabulary="abc")
    again = NgramGenerator.load(tmp_path / "ngram.safetensors", vocabulary="abc")
    assert again.order == order
    for context in CONTEXTS:
        assert torch.equal(after(again, context), after(model, context))
    with pytest.raises(UserError, match="another vocabulary"):
        NgramGenerator.load(tmp_path / "ngram.safetensors", vocabulary="xyz")


def test_files_that_are_no_model_are_refused(tmp_path):
    with pytest.raises(UserError, match="cannot be read as an n-gram model"):
        NgramGenerator.load(tmp_path / "missing.safetensors", vocabulary="abc")
    (tmp_path / "text").write_text("no tensors")
    with pytest.raises(UserError, match="cannot be read as an n-gram model"):
        NgramGenerator.load(tmp_path / "text", vocabulary="abc")


def test_counts_whose_differences_go_around_are_refused(tmp_path):
    """`begins` that rise by 2**63 - 1, 11 and 2**63 - 1 in 64 bits, and yet fall."""
    NgramGenerator.learn(CORPUS, vocabulary_size=WORDS, order=2).save(tmp_path / "lm.safetensors", vocabulary="abc")
    with safe_open(tmp_path / "lm.safetensors", framework="pt") as file:
        tensors, told = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118
    words = tensors["contexts.0.words"][:1].repeat(9)
    tensors |= {
        "contexts.0.keys": torch.tensor([3, 4, 5]), "contexts.0.words": words,
        "contexts.0.counts": torch.ones(9, dtype=torch.long),
        "contexts.0.begins": torch.tensor([0, 2**63 - 1, -(2**63) + 10, 9]),
    }  # fmt: skip
    save_file(tensors, tmp_path / "lm.safetensors", metadata=told)
    with pytest.raises(UserError, match="contexts of 1 words do not fit what follows them"):
        NgramGenerator.load(tmp_path / "lm.safetensors", vocabulary="abc")


def test_what_cannot_be_learned_is_refused():
    with pytest.raises(UserError, match="no captions"):
        NgramGenerator.learn([], vocabulary_size=WORDS, order=3)
    with pytest.raises(UserError, match="no word that may be written"):
        NgramGenerator.learn([[2, 2]], vocabulary_size=WORDS, order=2)
    with pytest.raises(ValueError, match="order=0"):
        NgramGenerator.learn(CORPUS, vocabulary_size=WORDS, order=0)
    with pytest.raises(ValueError, match="order=6"):
        NgramGenerator.learn(CORPUS, vocabulary_size=10000, order=6)
