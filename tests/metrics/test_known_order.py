"""Toy systems whose order is known: people, maximum likelihood, captions of other images, random words, "a man"."""

from __future__ import annotations

import itertools
import random
import shutil
from collections import defaultdict

import numpy as np
import pytest

from gan_caption.evaluation.java import meteor
from gan_caption.metrics import DocumentFrequencies, bleu, cider_d, rouge_l
from gan_caption.metrics.cider import cider
from gan_caption.metrics.language_model import NgramModel
from gan_caption.metrics.metric import Predictions, corpus_value, measure
from gan_caption.metrics.standard import DIVERSITY, QUALITY, VARIETY

IMAGES = 200
SAMPLES = 5
LOOKS = ("red", "blue", "tall", "small", "old")
WHO = (("dog", "puppy"), ("man", "guy"), ("girl", "child"), ("horse", "pony"), ("boat", "ship"), ("car", "van"))
DOES = (("runs", "is running"), ("sits", "is sitting"), ("waits", "is waiting"), ("turns", "is turning"))
PLACES = (("road", "street"), ("grass", "lawn"), ("beach", "sand"), ("hill", "slope"))


class World:
    """Images of (look, who, does, place), people who describe them, and systems that try to."""

    def __init__(self) -> None:
        self.draw = random.Random(0)
        self.training = [self.image() for _ in range(1000)]
        self.images = [self.image() for _ in range(IMAGES)]
        self.references = [[self.person(image) for _ in range(SAMPLES)] for image in self.images]
        self.told = [(image, self.person(image)) for image in self.training for _ in range(3)]
        self.next: dict[tuple[str, str], list[str]] = defaultdict(list)
        for image, caption in self.told:
            words = ["<s>", *caption.split(), "</s>"]
            for word, after in itertools.pairwise(words):
                self.next[image[1][0], word].append(after)
        self.words = sorted({word for _, caption in self.told for word in caption.split()})

    def image(self):
        return tuple(self.draw.choice(kind) for kind in (LOOKS, WHO, DOES, PLACES))

    def person(self, image):
        look, who, does, place = image
        who, does, place = (self.draw.choice(names) for names in (who, does, place))
        return self.draw.choice((
            f"a {look} {who} {does} on the {place}", f"the {who} {does} on the {place}", f"a {look} {who} {does}",
            f"on the {place} a {who} {does}",
        ))  # fmt: skip

    def maximum_likelihood(self, image):
        """Sample the bigrams of the training captions of who is seen: their counts are the maximum likelihood."""
        words = ["<s>"]
        while words[-1] != "</s>":
            words.append(self.draw.choice(self.next[image[1][0], words[-1]]))
        return " ".join(words[1:-1])

    def random_words(self, _):
        return " ".join(self.draw.choices(self.words, k=7))


@pytest.fixture(scope="module")
def world():
    return World()


@pytest.fixture(scope="module")
def systems(world):
    """From best to worst, of each image a caption and samples."""

    def told_by(say):
        return [say(image) for image in world.images], [[say(image) for _ in range(SAMPLES)] for image in world.images]

    people = told_by(world.person)
    shuffled = tuple([*said[IMAGES // 2 :], *said[: IMAGES // 2]] for said in people)
    return {
        "people": people,
        "maximum likelihood": told_by(world.maximum_likelihood),
        "captions of other images": shuffled,
        "random words": told_by(world.random_words),
    }


ONE_VALUE = {
    **{f"bleu_{n}": lambda captions, own, n=n: bleu(captions, own).corpus[n - 1] for n in (1, 2, 3, 4)},
    "rouge_l": lambda captions, own: rouge_l(captions, own).corpus,
    "cider_d": lambda captions, own: cider_d(captions, own).corpus,
    "cider": lambda captions, own: cider(captions, own).corpus,
}


@pytest.mark.parametrize("metric", ONE_VALUE)
def test_quality_puts_systems_in_their_order(world, systems, metric):
    values = [ONE_VALUE[metric](captions, world.references) for captions, _ in systems.values()]
    assert values == sorted(values, reverse=True)
    assert len(set(values)) == len(values)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("java") is None, reason="no Java is installed: METEOR cannot run")
def test_meteor_puts_systems_in_their_order(world, systems):
    captions = [text for own, _ in systems.values() for text in own]
    told = meteor(captions, world.references * len(systems))  # the program takes long to start
    values = list(told.resampled(np.repeat(np.eye(len(systems)), IMAGES, axis=1)))
    assert values == sorted(values, reverse=True)
    assert len(set(values)) == len(values)


def test_the_language_model_tells_people_from_those_who_do_not_speak(world, systems):
    model = NgramModel([caption for _, caption in world.told], words=world.words)
    people, likelihood, other_images, noise = (
        model.nll_per_token([text for own in samples for text in own]) for _, samples in systems.values()
    )
    assert people < likelihood < noise
    assert other_images == pytest.approx(people), "it never sees an image"


def test_the_same_sentence_for_every_image_is_caught_by_every_diversity_metric(world, systems):
    """On each metric "a man" is as poor as can be, and everybody else is better."""
    worst = {
        "div_1": 2 / 10, "div_2": 1 / 10, "self_cider": 0.0, "distinct_samples": 1 / 5, "mbleu_4": 1.0,
        "vocabulary": 2.0, "unique": 1 / IMAGES, "distinct_1": 2 / (2 * IMAGES), "distinct_2": 1 / (2 * IMAGES),
        "self_bleu_4": 1.0,
    }  # fmt: skip
    frequencies = DocumentFrequencies.of(world.references)

    def measured(captions, samples):
        told = measure([*DIVERSITY, *VARIETY], Predictions(captions, samples, world.references, frequencies))
        return {name: corpus_value(value) for name, value in told.items()}

    same = measured(["a man"] * IMAGES, [["a man"] * SAMPLES] * IMAGES)
    for name, value in worst.items():
        assert same[name] == pytest.approx(value, abs=1e-6), name
    for captions, samples in systems.values():
        told = measured(captions, samples)
        for name, value in worst.items():
            higher_is_worse = name in ("mbleu_4", "self_bleu_4")
            assert (told[name] < value) if higher_is_worse else (told[name] > value), name
        assert told["length_distance"] < same["length_distance"]


def test_the_same_sentence_for_every_image_scores_below_everyone_who_looks(world, systems):
    frequencies = DocumentFrequencies.of(world.references)
    same, looking = (
        measure(QUALITY, Predictions(captions, (), world.references, frequencies))
        for captions in (["a man"] * IMAGES, systems["maximum likelihood"][0])
    )
    assert all(looking[name].corpus > same[name].corpus for name in same)
