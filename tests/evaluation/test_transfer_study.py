"""The study of transfer: Flickr8k divided by topic."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from experiments.records import Records, Wanted
from experiments.transfer.claims import claims
from experiments.transfer.measure import found
from experiments.transfer.run import (
    MLE,
    NATIVE,
    PAGES,
    PHOTOGRAPHS,
    SHARED,
    TRUE,
    UPDATES,
    Study,
    account,
    moves,
)
from experiments.transfer.topics import topic_of, write_topics
from experiments.transfer.verdict import MORE, table_beside, table_of_losses, words_unknown
from gan_caption.errors import UserError
from gan_caption.experiment import run_experiment
from gan_caption.training.setup import check_configuration
from tests.tiny_runs import TINY, composed, part

PEOPLE = ("A man runs .", "Two women talk .", "A boy in red .", "Somebody runs .", "A field .")
ANIMALS = ("A dog runs .", "Two dogs .", "A brown horse .", "Somebody runs .", "A field .")


@pytest.mark.parametrize(
    ("captions", "topic"),
    [
        (PEOPLE, "people"),
        (ANIMALS, "animals"),
        ((*PEOPLE[:2], *PEOPLE[3:]), None),  # two of four
        ((*PEOPLE[:4], "A man and his dog ."), None),
        (("A field .",) * 5, None),
    ],
)
def test_the_topic_of_an_image_by_its_captions(captions, topic):
    assert topic_of(captions) == topic


@pytest.fixture
def flickr8k(tmp_path):
    root = tmp_path / "flickr8k"
    (root / "Flicker8k_Dataset").mkdir(parents=True)
    rows, names = [], [f"{row}.jpg" for row in range(20)]
    for row, name in enumerate(names):
        Image.new("RGB", (8, 8)).save(root / "Flicker8k_Dataset" / name)
        rows += [f"{name}#{index}\t{text}\n" for index, text in enumerate((PEOPLE, ANIMALS)[row % 2])]
    (root / "Flickr8k.token.txt").write_text("".join(rows))
    (root / "Flickr_8k.trainImages.txt").write_text("".join(f"{name}\n" for name in names[:14]))
    (root / "Flickr_8k.devImages.txt").write_text("".join(f"{name}\n" for name in names[14:]))
    return root


def test_each_topic_is_a_flickr8k_of_its_own_divided_by_the_seed(tmp_path, flickr8k):
    def divided(folder, seed):
        write_topics(flickr8k, tmp_path / folder, seed=seed, train=None, sizes={"test": 3, "val": 2})
        corpora = {topic: part("data/flickr8k", root=str(tmp_path / folder / topic)) for topic in ("people", "animals")}
        return {
            topic: {name: [item.image_id for item in corpus.split(name).items] for name in ("train", "val", "test")}
            for topic, corpus in corpora.items()
        }

    found = divided("one", 0)
    for topic, parity in (("people", 0), ("animals", 1)):
        splits = found[topic]
        assert [len(splits[name]) for name in ("train", "val", "test")] == [5, 2, 3]
        every = [name for own in splits.values() for name in own]
        assert sorted(every) == sorted(f"{row}.jpg" for row in range(parity, 20, 2)), "each image once, of its topic"
    assert divided("again", 0) == found
    assert divided("other", 1) != found


def test_a_topic_without_images_is_told(tmp_path, flickr8k):
    with pytest.raises(UserError, match="10 images are of people, and 700 are for tests"):
        write_topics(flickr8k, tmp_path / "topics", seed=0, train=None)


@pytest.mark.parametrize("home", [("data=scenes_unseen",), ("data=flickr8k", "data.root=there", *PHOTOGRAPHS)])
@pytest.mark.parametrize("page", PAGES)
def test_every_run_of_the_full_study_is_a_configuration(page, home):
    check_configuration(composed(f"+experiment={page}", "pretrained=base", *home, *SHARED, *UPDATES))


def place(*scores, frequent=(), share=0.0, **values):
    return {
        "images": "abc", "scores": list(scores), "values": values, "humans": {TRUE.name: 3.0},
        "unsayable": {"types": 1, "of_types": 2, "share": share, "frequent": list(frequent)},
    }  # fmt: skip


def moved(home, away):
    """A seed whose images are all alike, so that every draw of the bootstrap gives the same."""
    return {"home": place(home, home), "away": place(away, away, away), "minutes": 1.0}


def rows(table):
    lines = [line.strip()[1:-1].split("|") for line in table.splitlines() if line.startswith("|")]
    heads, _, *own = [[cell.strip() for cell in line] for line in lines]
    return {row[0]: dict(zip(heads, row, strict=True)) for row in own}


def test_losses_and_their_differences_by_hand():
    """Maximum likelihood loses .5 of .9 on both seeds, more of it .4, the methods .3, .45, .5, .7 and .35."""
    losses = {
        MLE: 0.5, MORE: 0.4, "control_blind": 0.5, "control_constant": 0.35, "nsc": 0.3, "chen": 0.45, "seqgan": 0.5,
        "gold": 0.7, "ddo": 0.35,
    }  # fmt: skip
    known = {name: {seed: moved(0.9, 0.9 - one) for seed in (0, 1)} for name, one in losses.items()}
    table = table_of_losses(known, TRUE)
    own = rows(table)
    assert (own["nsc"]["home"], own["nsc"]["away"]) == ("0.90", "0.60")
    assert [own[name]["loss"] for name in (MLE, "nsc")] == ["+0.50 (+0.50 to +0.50)", "+0.30 (+0.30 to +0.30)"]
    assert own["nsc"][f"away, above {MLE}"] == "+0.20 (+0.20 to +0.20)"
    assert own["nsc"][f"more than {MLE}'s"] == "-0.20 (-0.20 to -0.20)"
    assert own["nsc"]["in proportion"] == "-0.405 (-0.405 to -0.405)", "log(.4 / .6)"
    assert own["nsc"][f"more than {MORE}'s"] == "-0.10 (-0.10 to -0.10)"
    assert own["gold"][f"more than {MORE}'s"] == "+0.30 (+0.30 to +0.30)"
    assert own[MORE][f"more than {MORE}'s"] == own[MLE][f"more than {MLE}'s"] == ""
    # Of 2,000 draws none is on the other side: p = 2 / 2001, times six methods, one of which waits; no controls.
    assert {name: own[name]["p (Holm)"] for name in ("nsc", "seqgan", MORE)} == {
        "nsc": "0.006",
        "seqgan": "1.000",
        MORE: "",
    }
    assert own["people"]["home"] == "3.00"
    assert "Of 5 seeds that were planned some rows have 2: provisional." in table
    assert [line for line in table.splitlines() if line.startswith("- ")] == [
        f"- nsc transfers better: away it is better than {MLE}, and it loses less than that and than {MORE}, "
        "control_blind, control_constant (p 0.006).",
        f"- chen loses less than {MLE}; that it loses less than {MORE}, control_constant is not seen.",
        f"- Whether seqgan loses less than {MLE} cannot be told.",
        f"- gold loses more than {MLE}.",
        f"- ddo loses less than {MLE}; that it loses less than control_constant is not seen.",
    ]


def test_a_control_of_one_seed_alone_lets_no_method_transfer_better():
    known = {name: {seed: moved(0.9, 0.9 - loss) for seed in (0, 1)}
             for name, loss in ((MLE, 0.5), (MORE, 0.5), ("control_blind", 0.5), ("nsc", 0.3))}  # fmt: skip
    known["control_constant"] = {1: moved(0.9, 0.4)}
    assert f"- nsc loses less than {MLE}; that it loses less than control_constant is not seen." in (
        table_of_losses(known, TRUE)
    )


def test_whoever_is_worse_in_both_places_does_not_transfer_better():
    """By half in both, it loses less; of .5 to .4, it keeps more of less, and is still not better away."""
    controls = {
        name: {seed: moved(0.9, 0.3) for seed in (0, 1)} for name in (MORE, "control_blind", "control_constant")
    }
    known = {MLE: {seed: moved(1.0, 0.5) for seed in (0, 1)}, **controls,
             "nsc": {seed: moved(0.5, 0.25) for seed in (0, 1)},
             "gold": {seed: moved(0.5, 0.4) for seed in (0, 1)}}  # fmt: skip
    table = table_of_losses(known, TRUE)
    assert rows(table)["nsc"][f"more than {MLE}'s"] == "-0.25 (-0.25 to -0.25)"
    assert [line for line in table.splitlines() if line.startswith("- ")] == [
        f"- Whether nsc loses less than {MLE} cannot be told.",
        f"- gold loses less than {MLE}; that it is better away is not seen.",
    ]


def test_seeds_that_disagree_with_a_control_allow_no_whole_claim():
    """Holm is over the largest p of each method's parts, not over that to maximum likelihood alone."""
    known = {name: {seed: moved(0.9, 0.4) for seed in range(5)} for name in (MLE, MORE, "control_blind")}
    known["nsc"] = {seed: moved(0.9, 0.6) for seed in range(5)}
    known["control_constant"] = {seed: moved(0.9, 0.5 + 0.04 * seed) for seed in range(5)}
    assert f"- nsc loses less than {MLE}; that it loses less than control_constant is not seen." in (
        table_of_losses(known, TRUE)
    )


def test_one_seed_allows_no_verdict():
    told = table_of_losses({MLE: {0: moved(0.9, 0.4)}, "nsc": {0: moved(0.9, 0.6)}}, TRUE)
    assert "- " not in told.splitlines()[-1]
    assert "some rows have 1: provisional; intervals of one seed are over images, of that run alone" in told


@pytest.mark.parametrize(
    ("caption", "told"),
    [
        ("a circle", 1),
        ("there is a large red circle with dots at the top", 5),
        ("a red circle above a small square", 5),  # two objects, a colour, a size, a relation
        ("a star a box and a cross", 3),
        ("a star and a box above a cross", 5),  # the relation is true of both
        ("three red circles", 3),
        ("two shapes", 1),
        ("circle red a", 0),
    ],
)
def test_the_claims_of_a_caption(caption, told):
    assert claims(caption) == told


def test_only_seeds_that_both_have_are_compared():
    known = {MLE: {0: moved(0.9, 0.1), 1: moved(0.9, 0.4)}, "nsc": {1: moved(0.9, 0.6), 2: moved(0.9, 0.0)}}
    own = rows(table_of_losses(known, TRUE))
    assert own["nsc"][f"more than {MLE}'s"] == "-0.20 (-0.20 to -0.20)"
    assert own["nsc"]["loss"].startswith("+0.60 "), "its own loss is of all its seeds"
    assert rows(table_of_losses({"nsc": known["nsc"]}, TRUE))["nsc"]["seeds"] == "2", "without a baseline"


def test_what_is_seen_with_80_percent_is_2_8_standard_errors():
    """One seed: the images of one place alone vary, 0 and 1 alike often, a standard error of .5 / sqrt(n)."""
    count = 400
    varied = {"home": place(*[0.0, 1.0] * (count // 2)), "away": place(0.5, 0.5)}
    own = rows(table_of_losses({MLE: {0: moved(0.5, 0.5)} | {0: {**varied, "home": place(*[0.5] * count)}},
                                "nsc": {0: varied}}, TRUE))["nsc"]  # fmt: skip
    assert float(own["seen with 80%, before Holm"]) == pytest.approx(2.8 * 0.5 / count**0.5, abs=0.006)


def test_what_stands_beside_is_what_both_places_know():
    one = {"home": place(1.0, length=8.0, div_2=0.5), "away": place(1.0, length=9.0), "minutes": 2.0}
    other = {"home": place(1.0, length=10.0), "away": place(1.0, length=10.0), "minutes": 4.0}
    own = rows(table_beside({MLE: {0: one, 1: other}}))[MLE]
    assert own == {"": MLE, "words, home": "9.00", "words, away": "9.50", "minutes of one core": "3"}


def test_words_that_cannot_be_said_are_told():
    one = {"home": place(1.0), "away": place(1.0, share=0.25, frequent=["zebra", "giraffe"])}
    assert words_unknown({MLE: {0: one}}).endswith("0.0% at home and 25.0% away (zebra giraffe ...).")


def test_tables_are_made_of_what_is_kept(tmp_path):
    (move, *_) = moves("full", None, None, tmp_path)
    study = Study(move, size="full", outputs=tmp_path, records=tmp_path / "records", workers=0)
    assert "no run is finished" in account(study)

    def wanted(name, overrides):
        return Wanted(f"scenes, {name}", 3, overrides, dict, how="the endpoint true_claims")

    kept = {MLE: study.baseline(3, move.home), NATIVE: study.baseline(3, move.native)}
    for name, overrides in kept.items():
        one = {"home": place(1.0), "away": place(0.5, 1.0), "minutes": 1.0}
        Records(tmp_path / "records").keep(wanted(name, overrides), one)
    known = study.known()
    assert {name: list(own) for name, own in known.items()} == {MLE: [3], NATIVE: [3]}
    assert f"| {NATIVE}" not in account(study)
    assert account(study).endswith("reaches, a seed each: 0.75.")
    other = {"home": place(1.0), "away": {**place(0.0), "images": "of another copy"}, "minutes": 1.0}
    Records(tmp_path / "records").keep(wanted("nsc", study.method("nsc", 3, tmp_path)), other)
    assert account(study).startswith("scenes: runs were measured on different images at away")


@pytest.mark.slow
def test_what_is_kept_of_a_run_is_what_its_own_evaluation_says(tmp_path, configured):
    asked = ["+experiment=nsc", "data=scenes_unseen", "data.test=6", "adversarial.steps=2"]
    small = ["adversarial.images_per_batch=8", "adversarial.validate_every=2"]
    run = run_experiment(configured(*asked, *small, base=TINY), data="scenes").folder
    away = ("data=scenes_unseen", "data.train=40", "data.val=8", "data.test=7", "data.test_shows=unseen")
    told = found(run, away, "true_claims")
    (row,) = [path for path in run.glob("evaluation-*/captions_*.json") if len(json.loads(path.read_text())) == 7]
    said = [one["caption"] for one in json.loads(row.read_text())]
    true = told["away"]["values"]["oracle_true"]
    assert sum(score > 0 for score in told["away"]["scores"]) == round(7 * true)
    assert all(score in (0, claims(one)) for score, one in zip(told["away"]["scores"], said, strict=True))
    assert 1 < told["home"]["humans"]["true_claims"] < 8
    known = found(run, away, "cider_d")
    own = json.loads((run / "results.json").read_text())["systems"]["policy_gradient"]
    assert known["home"]["values"]["cider_d"] == pytest.approx(own["cider_d"])
    assert [len(known[name]["scores"]) for name in ("home", "away")] == [6, 7]
    assert np.mean(known["home"]["scores"]) == pytest.approx(own["cider_d"], abs=1e-4)
    assert known["home"]["humans"]["cider_d"] > 0
