"""A pretrained language model as a judge of text: against the library's own loss, and by hand."""

from __future__ import annotations

import math

import pytest
import torch

from gan_caption.data.captions import captions_from_ids
from gan_caption.errors import UserError
from gan_caption.metrics.tokenizer import ptb_tokenize
from gan_caption.rewards.language_model import LanguageModelReward
from gan_caption.rewards.text_judge import TextJudge, as_sentence, judge_captions
from gan_caption.testing.rewards import check_reward
from gan_caption.text.pretrained_models import find_model, load_causal_lm, load_tokenizer
from gan_caption.text.words import WordTokenizer
from tests import tiny, tiny_lm

CPU = torch.device("cpu")
TEXTS = ["A dog runs.", "", "The red square is above a blue one, and it isn't small.", "A dog runs.", "red", "A dog."]


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def model(request, tmp_path_factory) -> str:
    return str(tiny_lm.write_model(tmp_path_factory.mktemp(request.param), request.param))


def alone(model: str, text: str) -> float:
    """What transformers itself says of one text: its loss is the mean over all tokens but the first."""
    source = find_model(model)
    network, tokenizer = load_causal_lm(source), load_tokenizer(source)
    ids = tokenizer(f"{tokenizer.bos_token}{text}{tokenizer.eos_token}", add_special_tokens=False)["input_ids"]
    tokens = torch.tensor([ids])
    with torch.no_grad():
        loss = network(input_ids=tokens, labels=tokens).loss
    return -loss.item() * (len(ids) - 1)


@pytest.mark.parametrize("chunk_tokens", [1, 30, 1024])
def test_a_text_is_as_probable_as_the_library_finds_it_alone(model, chunk_tokens):
    told = TextJudge(model, device=CPU, chunk_tokens=chunk_tokens)(TEXTS)
    expected = [alone(model, text) for text in TEXTS]
    assert told.tolist() == pytest.approx(expected, rel=1e-5)


def test_the_models_own_end_in_a_text_is_text(model):
    tokenizer = load_tokenizer(find_model(model))
    (read,) = TextJudge(model, device=CPU)._encoded([f"a dog {tokenizer.eos_token} runs"])
    assert read.count(tokenizer.eos_token_id) == 1 + (read[0] == tokenizer.eos_token_id), "the end alone"
    assert tokenizer.decode(read[1:-1]) == f"a dog {tokenizer.eos_token} runs"


def test_order_and_company_change_nothing(model):
    judge = TextJudge(model, device=CPU)
    told = dict(zip(TEXTS, judge(TEXTS).tolist(), strict=True))
    assert judge(TEXTS[::-1]).tolist() == [told[text] for text in TEXTS[::-1]]  # to the last bit
    for text in TEXTS:
        assert judge([text]).item() == pytest.approx(told[text], rel=1e-5)
    assert judge([]).shape == (0,)


def test_a_model_that_knows_nothing_gives_every_token_the_same(tmp_path):
    """Without weights all V tokens are equally probable: -log V for each, the end included."""
    judge = TextJudge(str(tiny_lm.write_model(tmp_path, "gpt2")), device=CPU)
    for weight in judge._network.parameters():
        weight.data.zero_()
    told = judge(TEXTS)
    tokenizer = load_tokenizer(judge.source)
    counts = [len(tokenizer.tokenize(text)) + 1 for text in TEXTS]
    assert told.tolist() == pytest.approx([-count * math.log(304) for count in counts])


def test_what_is_said_twice_is_read_once_and_memory_is_bounded(model, monkeypatch):
    judge = TextJudge(model, device=CPU, chunk_tokens=40)
    shapes = []
    own = judge._log_probs
    monkeypatch.setattr(judge, "_log_probs", lambda ids: shapes.append([len(one) for one in ids]) or own(ids))
    judge(TEXTS * 3)
    assert sum(map(len, shapes)) == len(set(TEXTS))
    assert all(len(chunk) * max(chunk) <= 40 or len(chunk) == 1 for chunk in shapes)


def test_a_text_that_the_model_cannot_read_is_refused(tmp_path):
    judge = TextJudge(str(tiny_lm.write_model(tmp_path, "gpt2", positions=16)), device=CPU)
    with pytest.raises(UserError, match=r"reads 16 tokens, and a text has \d+"):
        judge(["A dog runs on the grass and a man rides a red bike."])


def test_a_tokenizer_of_a_larger_model_is_refused(tmp_path):
    folder = tiny_lm.write_model(tmp_path, "llama", words=200)
    with pytest.raises(UserError, match=r"has 200 word vectors, and its tokenizer ids up to 2\d\d: they do not belong"):
        TextJudge(str(folder), device=CPU)(["the red square"])


def test_captions_are_judged_as_sentences():
    (told,) = ptb_tokenize(["The dog's ball isn't red , but it rolls ."])
    assert told == "the dog 's ball is n't red but it rolls"
    assert as_sentence(told) == "The dog's ball isn't red but it rolls."
    (bracketed,) = ptb_tokenize(["A dog (brown) runs [far]."])
    assert as_sentence(bracketed) == "A dog (brown) runs [far]."


def test_what_it_says_does_not_depend_on_the_precision_of_a_phase(model):
    judge = TextJudge(model, device=CPU)
    plain = judge(TEXTS)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(judge(TEXTS), plain)


VOCABULARY = WordTokenizer.of(["a", "dog", "runs", "man", "rides", "bike", "the", "small"])
SAID = ["a dog runs", "a small dog", "the man rides a bike", "a dog runs", ""]


def captions(max_length: int = 20):
    return captions_from_ids([VOCABULARY.encode(text, max_length=max_length) for text in SAID], [0, 0, 1, 1, 1])


@pytest.mark.parametrize("length_penalty", [0.0, 0.5, 1.0])
def test_the_reward_is_log_p_of_the_sentence(model, length_penalty):
    reward = LanguageModelReward(
        language_model=TextJudge(model, device=CPU), tokenizer=VOCABULARY, length_penalty=length_penalty
    )
    found = reward(tiny.features(2), captions())
    for value, text in zip(found.tolist(), SAID, strict=True):
        words = len(text.split()) + 1
        assert value == pytest.approx(alone(model, as_sentence(text)) / words**length_penalty, rel=1e-4)
    check_reward(reward, tiny.features(2), captions())


def test_policies_of_other_tokens_are_rewarded_alike(model):
    """The same words by ids of another order have the same reward, and so has text with capitals and a full stop."""
    judge = TextJudge(model, device=CPU)
    other = WordTokenizer.of(VOCABULARY.tokens[:3:-1])
    rewards = []
    for tokenizer in (VOCABULARY, other):
        ids = captions_from_ids([tokenizer.encode(text, max_length=20) for text in SAID], [0, 0, 1, 1, 1])
        reward = LanguageModelReward(language_model=judge, tokenizer=tokenizer, length_penalty=0.0)
        rewards.append(reward(tiny.features(2), ids).tolist())
    assert rewards[0] == rewards[1]
    written = ptb_tokenize([as_sentence(text) for text in SAID])
    assert judge_captions(judge, written)[0].tolist() == judge_captions(judge, SAID)[0].tolist()
