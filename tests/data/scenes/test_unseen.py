"""Combinations that are held out: who shows them, and that the grammar stays exact, by enumeration."""

from __future__ import annotations

import math
from collections import Counter

import pytest

from gan_caption.data.scenes import language
from gan_caption.errors import UserError
from tests.data.scenes.test_scenes import derivations
from tests.tiny_runs import part

UNSEEN = {("red", "circle"), ("green", "square"), ("blue", "triangle"), ("yellow", "star"), ("purple", "cross"),
          ("orange", "circle")}  # fmt: skip


def corpus(**changes):
    return part("data/scenes_unseen", **{"train": 300, "val": 60, "test": 300, **changes})


def shown(split):
    return [sum((thing.colour, thing.shape) in UNSEEN for thing in scene.things) for scene in split.scenes]


def test_train_and_val_never_show_them_and_test_as_it_is_told():
    home, away = corpus(), corpus(test_shows="unseen")
    for name in ("train", "val"):
        assert not any(shown(home.split(name)))
        assert home.split(name).items == away.split(name).items, "whatever test shows"
    assert not any(shown(home.split("test")))
    assert all(shown(away.split("test")))


@pytest.mark.parametrize("shows", ["seen", "unseen"])
def test_images_have_one_two_and_three_objects_equally_often(shows):
    counts = Counter(len(scene.things) for scene in corpus(test_shows=shows).split("test").scenes)
    assert all(abs(count - 100) < 4 * (300 * 1 / 3 * 2 / 3) ** 0.5 for count in counts.values())
    assert len(counts) == 3


def test_every_word_of_the_new_images_was_learned():
    def words(split):
        return {word for item in split.items for caption in item.captions for word in caption.split()}

    assert words(corpus(test_shows="unseen").split("test")) <= words(corpus(train=1000).split("train"))


def test_no_training_image_can_be_said_to_show_one():
    """Not only were such captions not drawn: their probability is 0 of every training image."""
    split = corpus(train=40).split("train")
    said = [f"{article} {colour} {shape}" for colour, shape in UNSEEN for article in ("a", "an", "one")]
    assert all(split.log_density(row, caption) == -math.inf for row in range(40) for caption in said)


def test_the_probabilities_of_a_new_image_are_enumerated_and_sum_to_one():
    split = corpus(test=30, test_shows="unseen").split("test")
    row = next(row for row, scene in enumerate(split.scenes) if len(scene.things) == 1)
    (thing,) = split.scenes[row].things
    enumerated = Counter()
    for words, probability in derivations(language.captions_of(split.scenes[row])):
        enumerated[" ".join(words)] += probability
    assert sum(enumerated.values()) == pytest.approx(1)
    named = {caption: p for caption, p in enumerated.items() if f"{thing.colour} {thing.shape}" in caption}
    assert named
    for caption, probability in named.items():
        said = " ".join("an" if word == "a" and after[0] in "aeiou" else word
                        for word, after in zip(caption.split(), [*caption.split()[1:], "x"], strict=True))  # fmt: skip
        assert split.log_density(row, said) == pytest.approx(math.log(probability))


def test_images_do_not_depend_on_how_many_there_are():
    few, many = corpus(test=5, test_shows="unseen"), corpus(test_shows="unseen")
    assert few.split("test").items == many.split("test").items[:5]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"unseen": []}, "name at least one combination"),
        ({"unseen": ["circle red"]}, "'circle red' is no colour and shape"),
        ({"unseen": [f"red {shape}" for shape in ("circle", "square", "triangle", "star", "cross")]}, "red is in no"),
        ({"test_shows": "both"}, "test_shows"),
    ],
)
def test_what_cannot_be_held_out(changes, message):
    with pytest.raises(UserError, match=message):
        corpus(**changes)
