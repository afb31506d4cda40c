"""A policy that writes subwords is rewarded for the words that people read."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from gan_caption.data.captions import captions_from_ids
from gan_caption.data.features import ImageFeatures
from gan_caption.rewards.bleu import BleuReward
from gan_caption.rewards.cider import CiderDReward
from gan_caption.rewards.densities import LogDensity
from gan_caption.rewards.references import References
from gan_caption.text.pretrained import PretrainedTokenizer
from gan_caption.text.words import WordTokenizer
from tests import tiny_lm
from tests.test_score import REFERENCES, RESULTS, coco_references, coco_results, scores_of

SAID = {1: "A dog runs on grass.", 2: "Two girls, in a pool", 3: "a man on a bike !"}


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def tokenizer(request, tmp_path_factory):
    folder = tiny_lm.write_model(tmp_path_factory.mktemp("lm") / request.param, request.param)
    return PretrainedTokenizer(model=str(folder))


def rewards(reward, tokenizer, texts):
    written = [tokenizer.normalize(own) for own in REFERENCES.values()]
    ids = [tokenizer.encode(text, max_length=99) for text in tokenizer.normalize(texts)]
    features = ImageFeatures(torch.zeros(len(written), 2), rows=torch.arange(len(written)))
    references = References(written, tokenizer, max_length=99)
    return reward(references=references)(features, captions_from_ids(ids, range(len(ids)))).tolist()


def test_cider_d_is_that_of_score(tokenizer, tmp_path):
    """A reward counts `<eos>` as a word; in files another word stands for it, at the end of every text."""
    closed = {image: [f"{text.strip('.!')} theend" for text in own] for image, own in REFERENCES.items()}
    results = {image: f"{text} theend" for image, text in RESULTS.items()}
    scores = scores_of(tmp_path, coco_references(tmp_path, closed), coco_results(tmp_path, results))
    found = rewards(CiderDReward, tokenizer, list(SAID.values()))
    wanted = [scores["per_image"][str(image)]["cider_d"] for image in RESULTS]
    assert found == pytest.approx(wanted, rel=1e-5)
    assert min(found) > 0.1


def test_people_write_a_text_in_one_division_of_its_letters(tokenizer):
    """All others have the same text, and a density of 0: the policy must not be led to rare divisions."""
    (text,) = tokenizer.normalize(["A small red circle is above a blue square."])
    usual = tokenizer.encode(text, max_length=99)
    apart = [one for letter in text for one in tokenizer.encode(letter, max_length=99)[:-1]] + usual[-1:]
    assert len(apart) > len(usual)
    assert tokenizer.decode(apart) == tokenizer.decode(usual)
    split = SimpleNamespace(log_density=lambda row, told: -3.0 if told == text else 0.0)
    density = LogDensity(split=split, tokenizer=tokenizer, floor=-30.0)
    features = ImageFeatures(torch.zeros(1, 2), rows=torch.tensor([0]))
    assert density(features, captions_from_ids([usual, apart], [0, 0])).tolist() == [-3.0, -30.0]


@pytest.mark.parametrize("reward", [CiderDReward, BleuReward])
def test_a_reward_is_that_of_a_policy_that_writes_the_same_words(tokenizer, reward):
    words = WordTokenizer(min_count=1).learn(["a dog runs on grass two girls in pool man bike"])
    assert rewards(reward, tokenizer, list(SAID.values())) == pytest.approx(rewards(reward, words, RESULTS.values()))
