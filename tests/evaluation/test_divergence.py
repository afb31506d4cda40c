"""The divergence between a policy and a grammar, both small enough to be enumerated."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace

import pytest
import torch

from gan_caption.data.captions import EOS, captions_from_ids
from gan_caption.data.corpus import CaptionedImage, Split
from gan_caption.data.scenes.grammar import choice, log_probability
from gan_caption.decoding.decoders import Greedy, Sampling
from gan_caption.decoding.resampling import Resampling
from gan_caption.evaluation.evaluator import Evaluator
from gan_caption.rewards.densities import LogDensity
from gan_caption.text.words import WordTokenizer
from gan_caption.training.networks import EncoderDecoder
from tests import tiny

GRAMMAR = choice((0.5, "red ball"), (0.3, "ball"), (0.2, "red"))
WRITTEN = ["red ball"] * 5 + ["ball"] * 3 + ["red"] * 2
"""In exact proportion to the grammar."""
SAMPLES = 6000


class Told(Split):
    """Two images that the grammar speaks of alike."""

    def log_density(self, index: int, caption: str) -> float:
        return log_probability(GRAMMAR, caption.split())


@dataclass
class Source:
    """Their features."""

    split: Split

    def features(self, rows, *, grid, device):
        return tiny.features().select(torch.tensor(list(rows)))


@pytest.fixture
def evaluator():
    split = Told("val", [CaptionedImage(str(row), tuple(WRITTEN)) for row in range(2)])
    tokenizer = WordTokenizer(min_count=1).learn(WRITTEN)
    assert len(tokenizer) == tiny.VOCABULARY
    return Evaluator(
        Source(split), tokenizer, decoder=Greedy(), training_captions=set(), max_length=3, samples_per_image=SAMPLES,
        device=torch.device("cpu"),
    )  # fmt: skip


def divergence(evaluator, generator, *, law) -> float:
    """By the definition, over every string; `law` shapes a step's probabilities."""
    total, texts = 0.0, tiny.all_captions()
    for image in range(2):
        for text in texts:
            state = generator.start(tiny.features().select(torch.tensor([image])), 3)
            previous, q = 1, 1.0
            for token in text:
                logits, state = generator.step(torch.tensor([previous]), state)
                q *= law(logits[0])[token - generator.first_word].item()
                previous = token
            told = evaluator.tokenizer.decode(text)
            p = math.exp(log_probability(GRAMMAR, told.split())) if text[-1] == EOS else 0.0
            total += sum(one * math.log(2 * one / (p + q)) for one in (p, q) if one) / 2
    return total / 2


def nucleus(logits: torch.Tensor) -> torch.Tensor:
    """Of mass .8 at temperature 1.3: by its definition, the fewest words that reach it."""
    p = (logits / 1.3).softmax(0)
    fewest = min(
        (own for size in (1, 2, 3) for own in itertools.combinations(range(3), size) if p[list(own)].sum() >= 0.8),
        key=lambda own: (len(own), -p[list(own)].sum()),
    )
    kept = torch.zeros(3)
    kept[list(fewest)] = p[list(fewest)]
    return kept / kept.sum()


LAWS = {
    "the policy": (Sampling(temperature=1.0, top_k=0, top_p=1.0), lambda logits: logits.softmax(0)),
    "warmer": (Sampling(temperature=2.0, top_k=0, top_p=1.0), lambda logits: (logits / 2).softmax(0)),
    "a nucleus": (Sampling(temperature=1.3, top_k=0, top_p=0.8), nucleus),
}


@pytest.mark.parametrize("kind", LAWS)
def test_it_is_the_enumerated_one(evaluator, kind):
    sampler, law = LAWS[kind]
    generator = tiny.generators()[0]
    captioner = EncoderDecoder(generator, None)
    samples = evaluator.sample(captioner, sampler)
    found = evaluator.possible(captioner, samples, sampler)
    truth = divergence(evaluator, generator, law=law)
    assert 0.05 < truth < 0.69
    assert found["jsd"] == pytest.approx(truth, abs=4 * 0.5 / (2 * SAMPLES) ** 0.5)
    if math.isfinite(found["best_log_loss"]):
        assert found["jsd"] == pytest.approx(math.log(2) - found["best_log_loss"], abs=1e-6)


def test_what_people_say_at_greater_length_the_policy_says_never(evaluator):
    """With a word at most: half of what people say has two. What is cut after its last word is the whole caption."""
    evaluator.max_length = 1
    captioner, sampler = EncoderDecoder(tiny.generators()[0], None), LAWS["the policy"][0]
    found = evaluator.possible(captioner, evaluator.sample(captioner, sampler), sampler)["jsd"]
    logits, _ = captioner.generator.step(torch.ones(2, dtype=torch.long), captioner.generator.start(tiny.features(), 1))
    truth = 0.0
    for q in logits.softmax(1).tolist():
        told = {evaluator.tokenizer.decode([EOS + place]): own for place, own in enumerate(q)}
        people = {"red ball": 0.5, "ball": 0.3, "red": 0.2}
        for text in {*told, *people}:
            p, own = people.get(text, 0.0), told.get(text, 0.0)
            truth += sum(one * math.log(2 * one / (p + own)) for one in (p, own) if one) / 4
    assert found == pytest.approx(truth, abs=4 * 0.5 / (2 * SAMPLES) ** 0.5)


def test_what_people_say_in_words_that_the_policy_lacks_it_says_never(evaluator):
    """With "cat" in place of "red": of what people say, .7 has a word that it does not know."""
    evaluator.tokenizer = WordTokenizer(min_count=1).learn(["cat ball", "ball"])
    captioner, (sampler, law) = EncoderDecoder(tiny.generators()[0], None), LAWS["the policy"]
    evaluator.written = [WRITTEN * (SAMPLES // len(WRITTEN))] * 2  # as many as there are samples
    found = evaluator.possible(captioner, evaluator.sample(captioner, sampler), sampler)["jsd"]
    truth = divergence(evaluator, captioner.generator, law=law) + 0.7 * math.log(2) / 2
    assert found == pytest.approx(truth, abs=4 * 0.5 / (2 * SAMPLES) ** 0.5)


def test_of_a_policy_with_noise_there_is_no_exact_density(evaluator):
    captioner = EncoderDecoder(tiny.lstm(noise_size=3), None)
    assert evaluator.possible(captioner, [["red"]] * len(evaluator.source.split), LAWS["the policy"][0]) == {}


def test_the_exact_ratio_as_a_judge_brings_it_to_nothing(evaluator):
    """log p_data as judge, and log p taken away: many candidates are the grammar's own captions."""
    captioner = EncoderDecoder(tiny.generators()[0], None)
    judge = LogDensity(split=evaluator.source.split, tokenizer=evaluator.tokenizer, floor=-40.0)
    evaluator.samples_per_image = 300
    sampler = Resampling(
        judge=judge, alpha=1.0, own_weight=-1.0, candidates=200, temperature=1.0, top_k=0, top_p=1.0, density_sets=4
    )
    found = evaluator.possible(captioner, evaluator.sample(captioner, sampler), sampler)
    assert found["jsd"] < 0.01


def test_the_log_density_is_the_grammars_and_floored():
    split = Told("train", [CaptionedImage("0", tuple(WRITTEN)), CaptionedImage("1", tuple(WRITTEN))])
    tokenizer = WordTokenizer(min_count=1).learn(WRITTEN)
    red, ball = (tokenizer.encode(word, max_length=3)[0] for word in ("red", "ball"))
    captions = captions_from_ids([[red, ball, EOS], [ball, EOS], [ball, red, EOS], [red, ball]], [0, 1, 0, 0])
    judge = LogDensity(split=split, tokenizer=tokenizer, floor=-7.0)
    features = tiny.features()
    with pytest.raises(ValueError, match="whose features"):
        judge(features, captions)
    told = judge(replace(features, rows=torch.tensor([0, 1])), captions)
    assert told.tolist() == pytest.approx([math.log(0.5), math.log(0.3), -7.0, -7.0])
