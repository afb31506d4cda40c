"""Which training images are kept from whom: a matter of their names alone."""

from __future__ import annotations

import random

import pytest

from gan_caption.configuration.settings import HoldoutSettings
from gan_caption.data.batches import CaptionBatches
from gan_caption.data.corpus import CaptionedImage, Split
from gan_caption.data.holdout import learners
from gan_caption.errors import UserError
from tests.data.test_shards import shards_in, tiny

NAMES = [f"photo-{number}.jpg" for number in range(2000)]


def split_of(names):
    return Split("train", tuple(CaptionedImage(name, ("a caption",)) for name in names))


def settings(check=0.0, discriminator=0.0, fold=0):
    return HoldoutSettings(check=check, discriminator=discriminator, fold=fold)


def named(names, rows):
    return {names[row] for row in rows}


def test_without_a_holdout_everybody_learns_from_everything():
    found = learners(split_of(NAMES), settings())
    assert found.generator.tolist() == found.discriminator.tolist() == list(range(2000))
    assert not len(found.nobody)


def test_the_shares_are_those_asked_for_and_every_image_has_one_place():
    found = learners(split_of(NAMES), settings(check=0.1, discriminator=0.3))
    assert sorted([*found.generator, *found.discriminator, *found.nobody]) == list(range(2000))
    for rows, share in ((found.nobody, 0.1), (found.discriminator, 0.3), (found.generator, 0.6)):
        assert abs(len(rows) - 2000 * share) < 4 * (2000 * share * (1 - share)) ** 0.5  # standard deviations
        assert sorted(rows) == rows.tolist()
    alone = learners(split_of(NAMES), settings(check=0.1))
    assert alone.discriminator.tolist() == alone.generator.tolist()
    assert alone.nobody.tolist() == found.nobody.tolist()


def test_neither_order_nor_company_changes_where_an_image_is():
    some = random.Random(0).sample(NAMES, 700)
    asked = settings(check=0.2, discriminator=0.2, fold=3)
    whole, part = learners(split_of(NAMES), asked), learners(split_of(some), asked)
    for who in ("generator", "discriminator", "nobody"):
        assert named(some, getattr(part, who)) == named(NAMES, getattr(whole, who)) & set(some)


@pytest.mark.parametrize("folds", [2, 3, 7, 10])
def test_each_image_is_held_out_in_one_fold(folds):
    held = [learners(split_of(NAMES), settings(check=1 / folds, fold=fold)).nobody for fold in range(folds)]
    assert sorted(row for rows in held for row in rows) == list(range(2000))
    assert min(map(len, held)) > 2000 / folds / 2


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"check": 1.0}, "check=1.0: at least 0, below 1"),
        ({"check": 0.5, "discriminator": 0.5}, "check=0.5, discriminator=0.5: together below 1"),
        ({"check": 0.2, "fold": 5}, "fold=5: check=0.2 has 5, counted from 0"),
        ({"check": 0.3, "fold": 3}, "fold=3: check=0.3 has 3"),
        ({"fold": 1}, "fold=1: check=0.0 has 1"),
    ],
)
def test_shares_that_cannot_be(given, message):
    with pytest.raises(ValueError, match=message):
        settings(**given)


def test_a_generator_without_images_is_refused():
    with pytest.raises(UserError, match="leave the generator none of 1 training images"):
        learners(split_of(["photo-0.jpg"]), settings(check=0.999999))


def test_shards_go_on_in_their_order_without_what_is_held_out(tmp_path):
    split = shards_in(tiny(tmp_path / "shards", [10] * 8), tmp_path / "cache", window=2).split("train")
    found = learners(split, settings(check=0.25))
    assert 5 < len(found.nobody) < 35
    batches = CaptionBatches(
        [[[4, 3]]] * len(split), images=7, captions_per_image=1, seed=0, rows=found.generator, shuffle=split.shuffled
    )
    for epoch in range(2):
        order = [row for step in range(len(batches)) for row in batches.at(epoch * len(batches) + step).rows]
        assert sorted(order) == found.generator.tolist()
        shards = [row // 10 for row in order]
        assert len(set(shards[: len(shards) // 4])) <= 3  # two at a time, all the same
