"""What a discriminator knows of images that it has not seen, beside the best that there can be."""

from __future__ import annotations

import math

import pytest
import torch

from gan_caption.data.captions import BOS, EOS
from gan_caption.data.scenes import language
from gan_caption.decoding.decoders import Sampling
from gan_caption.discriminators.base import Discriminator
from gan_caption.experiment import set_up
from gan_caption.modes import evaluating
from gan_caption.training.setup import Data, check_configuration


@pytest.fixture
def run(configured, tmp_path):
    settings = check_configuration(configured())
    made, _, _ = set_up(settings, tmp_path, Data(settings, report=lambda line: None))
    return made


def samples_of(run):
    return run.evaluator.sample(run.captioner, Sampling(temperature=1.0, top_k=0, top_p=1.0))


class Counting(Discriminator):
    """Takes captions of an even number of words for people's."""

    def __init__(self) -> None:
        super().__init__(vocabulary_size=1000, embedding=1, instance_noise=0.0)

    def score(self, features, words, captions):
        ended = captions.tokens.gather(1, captions.lengths[:, None] - 1)[:, 0] == EOS
        return torch.where((captions.lengths - ended.long()) % 2 == 0, 1.0, -1.0)


def test_people_are_asked_by_captions_of_every_place(run):
    """Where a file sorts them the first ones begin alike, and a discriminator would be asked about these alone."""
    for row, own in enumerate(run.evaluator.written):
        run.evaluator.written[row] = sorted(own)
    kept = run.evaluator.people(2)
    sayable = run.evaluator.people(99)
    assert all(own == [text for text in said if text in own] for own, said in zip(kept, sayable, strict=True))
    assert [len(own) for own in kept] == [min(2, len(said)) for said in sayable]
    places = [said.index(text) for own, said in zip(kept, sayable, strict=True) for text in own if len(said) == 5]
    assert set(places) == {0, 1, 2, 3, 4}


def test_knowledge_is_of_peoples_captions_and_samples_of_the_same_images(run):
    samples = samples_of(run)
    found = run.evaluator.knowledge(Counting(), samples)
    known = [[text for text in own if set(text.split()) <= set(run.tokenizer.tokens)] for own in run.evaluator.written]
    drawn = [own[: len(told)] for own, told in zip(samples, known, strict=True)]  # D could count them otherwise
    lengths = [
        [min(len(text.split()), run.max_length) for own in captions for text in own] for captions in (known, drawn)
    ]
    real, generated = (sum(length % 2 == 0 for length in own) / len(own) for own in lengths)
    assert found["discriminator_accuracy"] == pytest.approx((real + 1 - generated) / 2)
    assert found["discriminator_auc"] == pytest.approx((real + 1 - generated) / 2)  # of two values, the same
    right, wrong = math.log1p(math.exp(-1)), math.log1p(math.exp(1))
    losses = [real * right + (1 - real) * wrong, generated * wrong + (1 - generated) * right]
    assert found["discriminator_log_loss"] == pytest.approx(sum(losses) / 2)


def log_probability(run, row, caption):
    """Of the policy, word by word."""
    generator, tokenizer = run.generator, run.tokenizer
    features = run.evaluator.source.features([row], grid=generator.uses_grid, device=run.device)
    total = 0.0
    with evaluating(run.captioner), torch.no_grad():
        state, before = generator.start(features, run.max_length), BOS
        for token in tokenizer.encode(caption, max_length=run.max_length):
            logits, state = generator.step(torch.tensor([before]), state)
            total += logits.log_softmax(1)[0, token - generator.first_word].item()
            before = token
    return total


def test_the_best_possible_discriminator_is_the_exact_ratio(run):
    samples = [own[:2] for own in samples_of(run)]
    found = run.evaluator.possible(run.captioner, samples, run.evaluator.sampler())
    split = run.evaluator.source.split
    told = {"people": [], "samples": []}
    for row, scene in enumerate(split.scenes):
        phrase = language.captions_of(scene)
        for kind, captions in (("people", run.evaluator.written[row][:2]), ("samples", samples[row])):
            told[kind] += [
                language.log_probability(phrase, text) - log_probability(run, row, text) for text in captions
            ]
    pairs = [(one > other) + (one == other) / 2 for one in told["people"] for other in told["samples"]]
    assert found["best_auc"] == pytest.approx(sum(pairs) / len(pairs), abs=1e-6)
    shares = [sum(value > 0 for value in own) / len(own) for own in (told["people"], told["samples"])]
    assert found["best_accuracy"] == pytest.approx((shares[0] + 1 - shares[1]) / 2, abs=1e-6)


def test_random_draws_are_those_of_before(run):
    """Measuring D leaves the stream of training alone."""
    before = torch.get_rng_state()
    state = run.rng.get_state()
    run.evaluator.knowledge(run.discriminator, samples_of(run))
    assert torch.equal(run.rng.get_state(), state)
    assert torch.equal(torch.get_rng_state(), before)
