"""The grammar's probabilities against enumeration, and the judge against the grammar."""

import itertools
import math
import random
from collections import Counter

import numpy as np
import pytest

from gan_caption.data.scenes import language
from gan_caption.data.scenes.drawing import draw
from gan_caption.data.scenes.grammar import Chain, Choice, Words, chain, choice, log_probability
from gan_caption.data.scenes.judge import judge
from gan_caption.data.scenes.world import PLACES, RELATIONS, Scene, Thing, draw_scene
from gan_caption.metrics import DocumentFrequencies, Predictions
from gan_caption.metrics.metric import corpus_value
from tests.tiny_runs import part


def thing(shape="circle", colour="red", size="large", texture="filled", column=0, row=0):
    return Thing(shape, colour, size, texture, column, row, (0.0, 0.0), 0.0)


RED_CIRCLE = thing()
BLUE_STAR = thing("star", "blue", "small", "striped", column=2, row=0)


def derivations(phrase):
    """Every derivation of a phrase: its words and its probability."""
    if isinstance(phrase, Words):
        yield phrase.words, 1.0
    elif isinstance(phrase, Chain):
        for parts in itertools.product(*(list(derivations(part)) for part in phrase.parts)):
            yield tuple(word for words, _ in parts for word in words), math.prod(p for _, p in parts)
    elif isinstance(phrase, Choice):
        for option, probability in zip(phrase.options, phrase.probabilities, strict=True):
            for words, inside in derivations(option):
                yield words, probability * inside


def test_the_probability_of_a_string_is_the_sum_over_its_derivations():
    twice = chain(choice((1, "a"), (3, "a b")), choice((1, "b"), (1, "")))  # "a b" has two derivations
    assert log_probability(twice, ["a", "b"]) == pytest.approx(math.log(0.25 * 0.5 + 0.75 * 0.5))
    assert log_probability(twice, ["b"]) == -math.inf


def test_every_caption_of_a_scene_has_its_enumerated_probability_and_they_sum_to_one():
    phrase = language.captions_of(Scene((RED_CIRCLE,)))
    enumerated = Counter()
    for words, probability in derivations(phrase):
        enumerated[" ".join(words)] += probability
    assert sum(enumerated.values()) == pytest.approx(1.0)
    for caption, probability in enumerated.items():
        assert language.log_probability(phrase, caption) == pytest.approx(math.log(probability))


def test_sampled_captions_come_as_often_as_their_probability_says():
    phrase = language.captions_of(Scene((RED_CIRCLE, BLUE_STAR)))
    rng = random.Random(0)
    drawn = Counter(language.draw_caption(phrase, rng) for _ in range(20000))
    for caption, count in drawn.most_common(5):
        expected = 20000 * math.exp(language.log_probability(phrase, caption))
        assert abs(count - expected) < 5 * expected**0.5


def test_a_caption_is_probable_exactly_when_the_judge_finds_it_grammatical_and_true():
    split = part("data/scenes", train=150).split("train")
    captions = [caption for item in split.items for caption in item.captions]
    rng = random.Random(0)
    true = 0
    for item, scene in zip(split.items, split.scenes, strict=True):
        phrase = language.captions_of(scene)
        for caption in [*item.captions, *rng.sample(captions, 20)]:
            words = caption.split()
            if rng.random() < 0.3:  # damaged captions as well
                words[rng.randrange(len(words))] = rng.choice(rng.choice(captions).split())
            caption = " ".join(words)
            possible = language.log_probability(phrase, caption) > -math.inf
            assert judge(caption, scene).true == possible, (caption, scene)
            true += possible
    assert true > 300


@pytest.mark.parametrize(
    ("caption", "hallucinations"),
    [
        ("a big red circle and one blue star with stripes", ()),
        ("the circle is to the left of a tiny star", ()),
        ("two objects", ()),
        ("a green circle", ("colour: green",)),
        ("a red star", ("colour: red",)),
        ("a red triangle with dots", ("object: triangle",)),
        ("a circle and a circle", ("object: circle",)),
        ("a star to the left of a circle", ("relation: to the left of",)),
        ("a circle next to a star", ("relation: next to",)),
        ("a small dotted circle at the bottom", ("size: small", "texture: dotted", "place: at the bottom")),
        ("three shapes", ("number: 3",)),
        ("two circles", ("number: 2",)),
    ],
)
def test_hallucinations_by_hand(caption, hallucinations):
    judgement = judge(caption, Scene((RED_CIRCLE, BLUE_STAR)))
    assert judgement.grammatical
    assert sorted(judgement.hallucinations) == sorted(hallucinations)


@pytest.mark.parametrize(
    "caption",
    ["", "circle", "a circle a", "a red", "an red circle", "a orange circle", "a striped star with stripes",
     "there are a circle", "the circle", "a circle and a star and a star", "two circle", "a red big circle"],
)  # fmt: skip
def test_ungrammatical_captions(caption):
    scene = Scene((RED_CIRCLE, BLUE_STAR))
    assert not judge(caption, scene).grammatical
    assert language.log_probability(language.captions_of(scene), caption) == -math.inf


def test_every_cell_has_a_place_and_every_pair_a_relation():
    cells = [thing(column=column, row=row) for column in range(3) for row in range(3)]
    assert all(any(holds(cell) for holds in PLACES.values()) for cell in cells)
    pairs = itertools.permutations(cells, 2)
    assert all(any(holds(a, b) for holds in RELATIONS.values()) for a, b in pairs)


def test_the_oracle_by_hand():
    split = part("data/scenes", train=1).split("train")
    split = type(split)("train", split.items, scenes=(Scene((RED_CIRCLE,)),))
    sure, oracle = "a red circle", split.truth([["a red circle", "a blue circle", "red a circle", "a star"]])
    assert oracle.grammatical == 0.75
    assert oracle.true.corpus == 0.25
    assert oracle.outside == 0.75
    assert oracle.hallucinations == pytest.approx(2 / 3)
    nll = -language.log_probability(language.captions_of(split.scenes[0]), sure)
    assert oracle.nll == pytest.approx(nll)
    by_name = {metric.name.removeprefix("oracle_"): metric for metric in split.metrics}
    for caption, expected in (
        ("red a circle", {"grammatical": 0, "true": 0, "outside": 1}),
        ("a blue circle", {"grammatical": 1, "true": 0, "outside": 1, "hallucinations": 1}),
        (sure, {"grammatical": 1, "true": 1, "outside": 0, "hallucinations": 0, "nll": pytest.approx(nll)}),
    ):
        told = Predictions([caption], [[sure]], [[sure]], DocumentFrequencies.of([[sure], ["a star"]]))
        assert {name: corpus_value(by_name[name].function(told)) for name in expected} == expected


def test_splits_come_from_the_seed_and_do_not_depend_on_their_size():
    few, many = part("data/scenes", train=3).split("train"), part("data/scenes", train=5).split("train")
    assert many.items[:3] == few.items
    assert many.select([1]).scenes == few.scenes[1:2]
    assert part("data/scenes", seed=1, train=3).split("train").items != few.items
    assert {item.image_id for item in few.items}.isdisjoint(
        item.image_id for item in part("data/scenes", val=3).split("val").items
    )
    assert (np.asarray(many.image(1)) == np.asarray(few.image(1))).all()


def test_every_visible_attribute_changes_the_picture():
    plain = np.asarray(draw(Scene((thing(),))), dtype=int)
    for change in ({"shape": "star"}, {"colour": "blue"}, {"size": "small"}, {"texture": "dotted"},
                   {"texture": "striped"}, {"column": 1}, {"row": 2}):  # fmt: skip
        assert np.abs(np.asarray(draw(Scene((thing(**change),))), dtype=int) - plain).sum() > 3000


def test_objects_stay_inside_the_picture_and_apart():
    rng = random.Random(0)
    for _ in range(50):
        scene = draw_scene(rng)
        assert len({(one.column, one.row) for one in scene.things}) == len(scene.things)
        picture = np.asarray(draw(scene), dtype=int)
        edge = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
        assert (edge == picture[0, 0]).all()
