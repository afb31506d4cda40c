"""The judge that tells samples from people's captions, on captioners whose distance is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from gan_caption.errors import UserError
from gan_caption.evaluation.judge_network import JudgeSettings
from gan_caption.evaluation.telling import Lessons, told_apart
from gan_caption.metrics.bootstrap import image_interval, image_weights

THINGS = ("cat", "dog", "bird", "ship", "tree", "cup")
COLOURS = ("red", "blue", "green", "black")
IMAGES = 120
QUICK = JudgeSettings(folds=3, epochs=8, hidden=32, embedding=16, dropout=0.2, learning_rate=8e-3, batch_captions=60)


def interval(score) -> tuple[float, float]:
    return image_interval(score, image_weights(IMAGES))


def said(rng: np.random.Generator, colour: str, thing: str) -> str:
    """What somebody says of a thing."""
    ways = (f"a {colour} {thing} on grass", f"there is a {colour} {thing}", f"{colour} {thing} outside", f"a {thing}")
    return ways[rng.integers(len(ways))]


@pytest.fixture(scope="module")
def world():
    """Images, features that show what is on them, and three people's captions of each."""
    rng = np.random.default_rng(0)
    kinds = [(COLOURS[rng.integers(4)], THINGS[rng.integers(6)]) for _ in range(IMAGES)]
    codes = {kind: rng.normal(size=16) for kind in sorted(set(kinds))}
    pooled = torch.tensor(np.array([codes[kind] for kind in kinds]) + 0.1 * rng.normal(size=(IMAGES, 16))).float()
    return pooled, [[said(rng, *kind) for _ in range(3)] for kind in kinds], kinds


def test_another_annotators_captions_cannot_be_told(world):
    pooled, people, kinds = world
    rng = np.random.default_rng(1)
    found = told_apart(pooled, people, [[said(rng, *kind) for _ in range(3)] for kind in kinds], settings=QUICK)
    low, high = interval(found)
    assert low < 0.5 < high
    assert high - low < 0.12, "an interval that holds everything says nothing"


def test_a_judge_that_learned_from_other_images_too_overlooks_less(world):
    """Captions with a word too many, some of them; lessons are those of the other images."""
    pooled, people, kinds = world
    rng = np.random.default_rng(1)
    few = IMAGES // 4
    samples = [
        [f"{said(rng, *kind)} there" if rng.random() < 0.3 else said(rng, *kind) for _ in range(3)] for kind in kinds
    ]
    lessons = Lessons(pooled[few:], people[few:], samples[few:])
    short = replace(QUICK, epochs=2)
    alone = told_apart(pooled[:few], people[:few], samples[:few], settings=short)
    taught = told_apart(pooled[:few], people[:few], samples[:few], settings=short, lessons=lessons)
    assert len(taught.per_image) == few
    assert taught.corpus > alone.corpus + 0.03
    like_people = [[said(rng, *kind) for _ in range(3)] for kind in kinds]
    lessons = Lessons(pooled[few:], people[few:], like_people[few:])
    even = told_apart(pooled[:few], people[:few], like_people[:few], settings=QUICK, lessons=lessons).per_image
    assert abs(even.mean() - 0.5) < 2.5 * even.std() / few**0.5


def test_who_always_says_one_thing_is_told(world):
    pooled, people, _ = world
    found = told_apart(pooled, people, [["a dog and a cat"] * 3] * IMAGES, settings=QUICK)
    assert found.corpus > 0.97


def test_who_says_only_what_is_most_probable_is_told(world):
    """A typical caption is not a person's: who is always typical is told, where a judge of typicality takes it."""
    pooled, people, kinds = world
    found = told_apart(pooled, people, [[f"a {thing}"] * 3 for _, thing in kinds], settings=QUICK)
    assert found.corpus > 0.8


def test_who_describes_another_image_is_told_by_its_image_alone(world):
    pooled, people, kinds = world
    rng = np.random.default_rng(3)
    drawn = [(COLOURS[rng.integers(4)], THINGS[rng.integers(6)]) for _ in kinds]
    others = [[said(rng, *kind) for _ in range(3)] for kind in drawn]
    assert interval(told_apart(pooled, people, others, settings=QUICK))[0] > 0.65
    low, high = interval(told_apart(torch.zeros_like(pooled), people, others, settings=QUICK))
    assert low < 0.5 < high


def test_what_only_who_saw_the_image_could_know_is_not_known():
    """People call an image by one name of its own and the captioner by another: no other image tells who does which."""
    pooled = torch.randn(IMAGES, 16, generator=torch.Generator().manual_seed(2))
    people = [[f"a number{row}", f"the number{row}", f"number{row}"] for row in range(IMAGES)]
    samples = [[f"a name{row}", f"the name{row}", f"name{row}"] for row in range(IMAGES)]
    low, high = interval(told_apart(pooled, people, samples, settings=QUICK))
    assert low < 0.5 < high


def test_a_judgement_depends_on_what_is_given_alone(world):
    pooled, people, kinds = world
    quick = JudgeSettings(folds=2, epochs=1, hidden=8, embedding=8)
    samples = [[f"a {thing}"] for _, thing in kinds]
    before = torch.get_rng_state()
    first = told_apart(pooled, people, samples, settings=quick)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(5)
    assert np.array_equal(first.per_image, told_apart(pooled, people, samples, settings=quick).per_image)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"settings": JudgeSettings(folds=61)}, "judge.folds=61: 120 images are too few"),
        ({"samples": [["a"]] * 119}, "of 119 by a captioner"),
        ({"samples": [["a"]] * 119 + [[]]}, "image 119 lacks captions"),
    ],
)
def test_what_cannot_be_judged(world, change, message):
    given = {"people": world[1], "samples": [["a"]] * IMAGES, "settings": QUICK, **change}
    with pytest.raises(UserError, match=message):
        told_apart(world[0], given["people"], given["samples"], settings=given["settings"])
