"""The study of the families of policies: its runs, when they are kept, and its table of costs."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.policies import run
from experiments.policies.run import FAMILIES, Study, table_of_costs
from gan_caption.training.setup import check_configuration
from tests.tiny_runs import composed

DATA = ("data=flickr8k", "data.root=there")


@pytest.mark.parametrize("family", FAMILIES)
def test_every_run_of_the_full_study_is_a_configuration(tmp_path, family):
    study = Study(DATA, quick=False, workers=0, records=tmp_path)
    for asked in (study.baseline(family, 0), study.rewarded(family, 0, Path("base"))):
        check_configuration(composed(*asked))


def test_a_baseline_is_kept_before_anything_goes_on_from_it(tmp_path, monkeypatch):
    """Where the third of four families fails, what the others are worth is kept."""
    study = Study(DATA, quick=False, workers=1, records=tmp_path)
    trained = []

    def train(*overrides, outputs):
        family = next(one.partition("=")[2] for one in overrides if one.startswith("generator="))
        if family == "transformer":
            raise SystemExit("no memory")
        trained.append((overrides[0], family))
        return outputs

    monkeypatch.setattr("experiments.records.train", train)
    monkeypatch.setattr("experiments.records.base_of", lambda run: "its digest")
    monkeypatch.setattr("experiments.records.judge_of", lambda run: None)
    monkeypatch.setattr("experiments.records.settings_of", lambda run: "theirs")
    monkeypatch.setattr(run, "measured", measured)
    with pytest.raises(SystemExit, match="no memory"):
        study.report()
    others = ["attention_lstm", "updown", "pretrained_lm"]
    assert trained == [("+experiment=mle", family) for family in others]
    assert {path.name for path in tmp_path.iterdir()} == {
        f"{family}-mle-0.json" for family in ("attention-lstm", "updown", "pretrained-lm")
    }


def measured(folder: Path, phase: str) -> dict[str, str]:
    return {"phase": phase}


def test_costs_are_the_most_of_any_seed():
    known = {"lstm, mle": {0: {"minutes": 3.2, "gigabytes": 1.0}, 1: {"minutes": 2.0, "gigabytes": 1.25}}}
    assert [cell.strip() for cell in table_of_costs(known).splitlines()[-1].split("|")[1:4]] == [
        "lstm, mle",
        "3",
        "1.2",
    ]
