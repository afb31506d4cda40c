"""Runs measured at home and away: on scenes, and on a made folder of COCO that has val2017 alone."""

from __future__ import annotations

import json
import math
from typing import cast

import numpy as np
import pytest
from hydra.errors import ConfigCompositionException
from PIL import Image

from gan_caption.errors import UserError
from gan_caption.evaluation.settings import transfer_from
from gan_caption.evaluation.transfer import unsayable
from gan_caption.experiment import run_experiment
from gan_caption.metrics.bootstrap import Difference
from gan_caption.metrics.cider import cider_d
from gan_caption.metrics.standard import STANDARD
from gan_caption.metrics.transfer import Moved
from gan_caption.reporting.transfer import RESULTS, TABLE, Loss, measure_transfer, verdicts
from gan_caption.text.words import WordTokenizer
from tests.evaluation.test_comparison import GAN, made_run
from tests.tiny_runs import composed

SAID = (("A red dog sits .", "A dog on a chair ."), ("A blue circle .", "One cat here ."), ("A cat .", "Two cats ."))


def make_coco(root, captions=SAID):
    """What one has of COCO: the captions of val2017, and some of its photographs."""
    (root / "val2017").mkdir(parents=True)
    (root / "annotations").mkdir()
    names = {row: f"{row:012}.jpg" for row in range(len(captions))}
    for row, name in names.items():
        Image.new("RGB", (40, 30), ("red", "blue", "white")[row % 3]).save(root / "val2017" / name)
    rows = [(row, text) for row, own in enumerate(captions) for text in own]
    told = {
        "images": [{"id": row, "file_name": name} for row, name in names.items()],
        "annotations": [{"id": index, "image_id": row, "caption": text} for index, (row, text) in enumerate(rows)],
    }
    (root / "annotations" / "captions_val2017.json").write_text(json.dumps(told))
    return root


def asked(*overrides):
    return transfer_from(composed(*overrides, config_name="transfer"))


def test_words_that_a_run_cannot_say_are_counted():
    tokenizer = WordTokenizer.of(["a", "dog", "runs"])
    found = unsayable(tokenizer, [["a dog sits", "a puppy"], ["a puppy runs"]])
    assert (found.types, found.of_types, found.share) == (2, 5, 3 / 8)
    assert found.frequent == ["puppy", "sits"]
    assert unsayable(tokenizer, [["a dog"]]).share == 0


@pytest.fixture
def coco(tmp_path):
    return make_coco(tmp_path / "coco")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data=coco", "data.root=nowhere"], "nowhere"),
        (["data=scenes", "data.test=1"], "test has 1 image: an interval needs at least 2"),
        (["data=scenes", "endpoint=chair_i"], "endpoint=chair_i: what both places have is cider_d, bleu_1, "),
        (["data=scenes", "against=nsc"], "against=nsc: the runs are of seqgan"),
        (["data=scenes", "out=."], r"out=\. exists and holds no transfer.json"),
        (["data=scenes", "out=run/config.json/new"], "config.json is a file, and no folder"),
    ],
)
def test_mistakes_are_told_before_anything_is_decoded(tmp_path, monkeypatch, overrides, message):
    monkeypatch.chdir(tmp_path)
    run = made_run(tmp_path / "run", **GAN)
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    config["data"] = composed("data=scenes", "data.test=4")["data"]
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    WordTokenizer.of(["a"]).save(tmp_path / "run" / "vocabulary.json")
    with pytest.raises(UserError, match=message):
        measure_transfer(asked(f"runs=[{run}]", *overrides))
    assert not list((tmp_path / "run").glob("evaluation-*"))


def lost(system, value, p, share=None):
    beyond = None if p is None else Difference(value, (value - 1, value + 1), p)
    own = Difference(value, (0.0, 0.0), 1.0)
    return Loss(STANDARD["cider_d"], system, cast(Moved, None), own, beyond, beyond if share is None else share)


def test_verdicts_are_corrected_for_how_many_systems_are_asked():
    """By Holm: three times .01, twice .02, and .04 is at least that; of two alone .04 would have been seen."""
    three = [lost("mle", 0.0, None), lost("a", -2.0, 0.01), lost("b", 2.0, 0.02), lost("c", -2.0, 0.04)]
    less, more, unknown = verdicts(three, "mle")
    assert "a loses less than mle" in less
    assert "p 0.030)" in less
    assert "b loses more than mle" in more
    assert "p 0.040)" in more
    assert "c loses less than mle" in unknown, "which is not more than its own p"
    assert "whether d loses less than mle cannot be told" in verdicts([*three, lost("d", -2.0, 0.06)], "mle")[-1]
    assert "whether b loses less than mle cannot be told" in verdicts([*three, lost("d", -2.0, 0.06)], "mle")[1]
    assert verdicts([lost("mle", 0.0, None)], "mle") == []


@pytest.mark.parametrize(
    ("share", "told"),
    [
        (Difference(-0.3, (-0.4, -0.2), 0.03), "gan loses less than mle (-300.0 to -100.0; in proportion -0.400 to "
                                               "-0.200; p 0.030)"),
        (Difference(-0.3, (-0.8, 0.2), 0.2), "whether gan loses less than mle cannot be told"),
        (Difference(0.3, (0.2, 0.4), 0.01), "cannot be told (-300.0 to -100.0; in proportion +0.200 to +0.400; p 1"),
        (Difference(math.nan, (math.nan, math.nan), math.nan), "in proportion not known"),
    ],
)  # fmt: skip
def test_who_loses_less_loses_less_in_proportion_as_well(share, told):
    assert told in verdicts([lost("gan", -2.0, 0.01, share)], "mle")[0]


def test_the_data_away_must_be_named():
    with pytest.raises(ConfigCompositionException, match=r"You must specify 'data'[\s\S]*coco"):
        asked("runs=[a]")


@pytest.mark.slow
def test_runs_on_scenes_and_away_on_a_folder_of_coco(configured, tmp_path, coco, capsys):
    run = run_experiment(configured(), data="scenes").folder
    settings = asked(
        f"runs=[{run}]", f"out={tmp_path}/away", "data=coco", f"data.root={coco}", f"cache={tmp_path}/cache",
        "validation.samples_per_image=2",
    )  # fmt: skip
    found = {(one.metric.name, one.system): one for one in measure_transfer(settings)}
    assert {system for _, system in found} == {"mle", "seqgan"}
    told = json.loads((tmp_path / "away" / RESULTS).read_text())
    assert (told["home"]["split"], told["home"]["images"]) == ("test", 8)
    assert (told["away"]["split"], told["away"]["images"]) == ("val", 3), "there is no test split: val stands in"

    (captions,) = run.glob("evaluation-val-*/captions_adversarial.json")
    said = [row["caption"] for row in json.loads(captions.read_text())]
    references = [[text.lower().replace(" .", "") for text in own] for own in SAID]
    away = cider_d(said, references).corpus
    assert found["cider_d", "seqgan"].moved.when_away() == pytest.approx(away)
    results = [json.loads(path.read_text())["systems"] for path in run.glob("evaluation-test-*/results.json")]
    (home,) = (systems["adversarial"] for systems in results if "adversarial" in systems)
    assert found["cider_d", "seqgan"].own.value == pytest.approx(home["cider_d"] - away)
    words = set(json.loads((run / "vocabulary.json").read_text()))
    written = [word for own in references for text in own for word in text.split()]
    lacking = told["away"]["systems"]["seqgan"][0]["unsayable"]
    assert lacking["share"] == pytest.approx(np.mean([word not in words for word in written]))
    assert "chair_references_i" in told["away"]["systems"]["seqgan"][0]["values"]

    table = (tmp_path / "away" / TABLE).read_text()
    assert table.strip() in capsys.readouterr().out
    assert "Away: 3 val images of coco" in table
    assert "CIDEr-D x 100: " in table, "the verdict"
    before = {path: path.stat().st_mtime_ns for path in run.glob("evaluation-*/results.json")}
    measure_transfer(settings)
    assert {path: path.stat().st_mtime_ns for path in before} == before, "what was measured is not measured again"
