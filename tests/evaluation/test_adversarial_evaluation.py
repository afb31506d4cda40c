"""The adversarial evaluation on captions whose order is known, and on noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from gan_caption.errors import UserError
from gan_caption.evaluation import adversarial
from gan_caption.evaluation.adversarial import JudgeSettings, _rank, judge, train

THINGS = ("cat", "dog", "bird", "ship", "tree", "cup")
COLOURS = ("red", "blue", "green", "black")
KINDS = [(colour, thing) for colour in COLOURS for thing in THINGS]
PER_KIND = 4
QUICK = JudgeSettings(folds=3, epochs=20, hidden=32, embedding=16, dropout=0.0, learning_rate=3e-3, batch_captions=32)


@pytest.fixture(scope="module")
def world():
    """96 images of 24 kinds, features that show the kind, and two human captions each."""
    generator = torch.Generator().manual_seed(0)
    codes = torch.randn(len(KINDS), 24, generator=generator)
    kinds = [index for index in range(len(KINDS)) for _ in range(PER_KIND)]
    pooled = codes[kinds] + 0.1 * torch.randn(len(kinds), 24, generator=generator)
    truth = [KINDS[kind] for kind in kinds]
    references = [[f"a {colour} {thing} on grass", f"there is a {colour} {thing}"] for colour, thing in truth]
    return pooled, references, truth


def test_systems_stand_in_their_known_order(world):
    pooled, references, truth = world
    rng = np.random.default_rng(0)
    words = [word for own in references for text in own for word in text.split()]
    systems = {
        "human": [[own[0]] for own in references],
        "half": [[own[0]] if index % 2 else references[(index + 40) % 96][:1] for index, own in enumerate(references)],
        "shuffled images": [references[(index + 40) % 96][:1] for index in range(96)],
        "odd English, right": [[f"a a {thing} {colour} a"] for colour, thing in truth],
        "random words": [[" ".join(rng.choice(words, size=5))] for _ in references],
    }
    judgement = judge(pooled, references, systems, settings=QUICK)
    taken = {name: (told.logits > 0).mean() for name, told in judgement.systems.items()}
    assert taken["human"] > taken["half"] > taken["shuffled images"]
    assert taken["half"] > max(taken["odd English, right"], taken["random words"]) + 0.1
    found = {name: (told.ranks <= PER_KIND).mean() for name, told in judgement.systems.items()}
    assert found["human"] > 0.75
    assert found["odd English, right"] > 2 * found["random words"], (
        "what was learned of generated captions must not hide what they say"
    )
    assert found["human"] > found["half"] > found["shuffled images"] + 0.2
    assert max(found["shuffled images"], found["random words"]) < 0.3
    assert judgement.accuracy["other_image"] > 0.8
    assert judgement.candidates == 32


def test_an_image_of_one_caption_takes_none_of_the_others_captions_away(world, monkeypatch):
    pooled, references, _ = world
    references, learned = [references[0][:1], *references[1:]], []

    def training(known, settings, *, seed):
        learned.append(sum(len(known.coded[""][row]) for row in known.rows))
        return train(known, settings, seed=seed)

    monkeypatch.setattr(adversarial, "train", training)
    judgement = judge(pooled, references, {"human": references[:1] * 96}, settings=replace(QUICK, epochs=1))
    assert sum(learned) == 2 * 191  # each in two of three folds
    assert judgement.humans.logits.shape == (96, 1)


@pytest.mark.slow
def test_what_cannot_be_known_of_unseen_images_is_not_known(world):
    """Captions that name each image, and features without any sense: only who saw an image could match them."""
    _, references, _ = world
    noise = torch.randn(96, 24, generator=torch.Generator().manual_seed(1))
    named = [[f"{text} number{index}" for text in own] for index, own in enumerate(references)]
    copies = [[own[1]] for own in named]
    judgement = judge(noise, named, {"copies": copies}, settings=QUICK)
    assert abs(judgement.accuracy["balanced"] - 0.5) < 0.08
    assert abs(judgement.humans.ranks.mean() - 16.5) < 4, "the rank of a guess among 32"
    learned = judge(noise, named, {"copies": copies}, settings=QUICK)
    assert np.array_equal(judgement.humans.logits, learned.humans.logits), "the same seed, the same judgement"


def test_a_judgement_depends_on_the_seed_and_the_captions_only(world):
    pooled, references, _ = world
    first, second = [[own[0]] for own in references], [["a dog"] for _ in references]
    quick = JudgeSettings(folds=2, epochs=1, hidden=8, embedding=8)
    before = torch.get_rng_state()
    told = judge(pooled, references, {"first": first, "second": second}, settings=quick)
    assert torch.equal(torch.get_rng_state(), before), "the random stream outside is left alone"
    torch.rand(5)
    turned = judge(pooled, references, {"second": second, "first": first}, settings=quick)
    for name in ("first", "second"):
        assert np.array_equal(told.systems[name].logits, turned.systems[name].logits)
        assert np.array_equal(told.systems[name].ranks, turned.systems[name].ranks)
    other = judge(
        pooled, references, {"first": first, "second": second},
        settings=JudgeSettings(folds=2, epochs=1, hidden=8, embedding=8, seed=1),
    )  # fmt: skip
    assert not np.array_equal(told.systems["first"].logits, other.systems["first"].logits)


def test_ranks_by_hand():
    table = np.zeros((3, 2, 3))
    table[0] = [[5, 1, 9], [7, 2, 3]]  # image 0: one image is better; none is
    table[1] = [[4, 4, 4], [8, 2, 2]]  # image 1: three equal ones; one better, one equal
    table[2] = [[9, 8, 7], [1, 2, 3]]
    assert _rank(table).tolist() == [[2, 1], [2, 2.5], [3, 1]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"settings": JudgeSettings(folds=60)}, "judge.folds=60: 96 images are too few"),
        ({"systems": {"one": [["a"]] * 95}}, "one: 95 images"),
        ({"systems": {"one": [["a"]] * 95 + [["a", "b"]]}}, r"one: 96 images with \[1, 2\] captions"),
        ({"references": [[]] + [["a"]] * 95}, "no human caption"),
    ],
)
def test_what_cannot_be_judged(world, change, message):
    pooled, references, _ = world
    given = {"references": references, "systems": {"one": [["a"]] * 96}, "settings": QUICK, **change}
    with pytest.raises(UserError, match=message):
        judge(pooled, given["references"], given["systems"], settings=given["settings"])


@pytest.mark.parametrize("wrong", [{"folds": 1}, {"epochs": 0}, {"dropout": 1.0}, {"learning_rate": -1.0}])
def test_settings_out_of_range(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        JudgeSettings(**wrong)
