"""A metric in a file of one's own is validated, selects weights, stands in tables and reports, is drawn and sought."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pytest

from gan_caption.configuration.building import read
from gan_caption.configuration.launching import Job
from gan_caption.errors import UserError
from gan_caption.evaluation.settings import ComparisonSettings
from gan_caption.experiment import run_experiment
from gan_caption.reporting.report import PAGE, compare_runs
from gan_caption.reporting.sweep import trial_of, write_summary
from gan_caption.training.checkpoint import load_state

MINE = '''
import numpy as np

from gan_caption.metrics import Metric, Predictions, Score


def letters() -> Metric:
    """Lower is better, of all captions together."""

    def of(told: Predictions) -> float:
        return sum(map(len, told.captions)) / len(told.captions)

    return Metric(name="letters", label="letters a caption", decimals=2, better="lower", function=of)


def with_letter(letter: str) -> Metric:
    """Higher is better, of samples, image by image; it is drawn against diversity."""

    def of(told: Predictions) -> Score:
        return Score.of(np.array([sum(letter in text for text in own) / len(own) for own in told.samples]))

    return Metric(
        name=f"with_{letter}", label=f"samples: with {letter}, %", factor=100, decimals=1, of="samples",
        per_image=True, axis="quality", function=of,
    )


def bleu_again() -> Metric:
    return Metric(name="bleu_1", label="mine", function=lambda told: 0.0)
'''
HOME = "allow=[mine_apart]"
BOTH = "metrics=[{_target_:mine_apart.said.letters},{_target_:mine_apart.said.with_letter,letter:s}]"


@pytest.fixture(autouse=True)
def mine(tmp_path, monkeypatch):
    (tmp_path / "mine_apart").mkdir()
    (tmp_path / "mine_apart" / "said.py").write_text(MINE)
    for name in ("mine_apart.said", "mine_apart"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))


def logged(folder: Path, phase: str, name: str) -> list[float]:
    records = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [record[name] for record in records if record["phase"] == phase and name in record]


@pytest.mark.slow
def test_ones_own_metric_goes_wherever_the_others_go(configured, tmp_path):
    asked = (
        HOME, BOTH, "phases.mle.selected_by=letters", "phases.mle.epochs=4", "search_metric=letters",
        "diversity_metric=with_s", "++phases.adversarial.quality_metric=letters",
    )  # fmt: skip
    for seed in (0, 1):
        run_experiment(configured(*asked, f"seed={seed}"), data="scenes")
    folders = sorted((tmp_path / "outputs").iterdir())
    for folder in folders:
        # Validated, and what selects the weights.
        selected = load_state(folder / "checkpoints" / "last.pt").selected
        values = logged(folder, "mle", "val/letters")
        assert len(values) > 1
        assert selected["mle"]["letters"] == min(values)
        assert len(logged(folder, "adversarial", "val/with_s")) > 1

        # In the table, with the interval of what is known image by image.
        results = json.loads((folder / "results.json").read_text())
        for system in ("mle", "adversarial"):
            told = json.loads((folder / f"captions_{system}.json").read_text())
            by_hand = sum(len(row["caption"]) for row in told) / len(told)
            assert results["systems"][system]["letters"] == pytest.approx(by_hand)
            samples = [text for row in told for text in row["samples"]]
            share = sum("s" in text for text in samples) / len(samples)
            assert results["systems"][system]["with_s"] == pytest.approx(share)
        lines = (folder / "table.md").read_text().splitlines()
        rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
        letters = next(row for row in rows if row[:1] == ["letters a caption"])
        assert letters[1] == f"{results['systems']['mle']['letters']:.2f}"
        with_s = next(row for row in rows if row[:1] == ["samples: with s, %"])
        assert " to " in with_s[4]

        # Sought: of what is better where lower, less is worth more.
        left = selected["adversarial"]
        assert trial_of(folder, floor=0.0).value == pytest.approx(1 / (1 + left["letters"]))
        gap = 2 - left["with_s"]
        assert trial_of(folder, floor=2.0).value == pytest.approx(-gap / (1 + gap))
    jobs = [Job([f"seed={seed}"], "sweep", vars(trial_of(folder, floor=0.0))) for seed, folder in enumerate(folders)]
    (tmp_path / "sweep").mkdir()
    write_summary(tmp_path / "sweep", jobs)
    heads = (tmp_path / "sweep" / "table.md").read_text().splitlines()[0]
    assert [cell.strip() for cell in heads.split("|")[1:-1]][1:3] == ["val letters a caption", "val with s, %"]

    # Reported and drawn, by what the runs themselves name.
    asked = (
        f"runs=[{','.join(map(str, folders))}]", f"out={tmp_path}/report", HOME,
        "curve.temperatures=[0.5,1]", "curve.top_p=[0.8]", "gallery=1", "judge.epochs=1", "judge.folds=2",
    )  # fmt: skip
    report = compare_runs(read(ComparisonSettings, configured(*asked, base=[], config_name="compare")), command="")
    with (report / "metrics.csv").open() as file:
        told = {(row["metric"], row["system"]): row for row in csv.DictReader(file)}
    assert float(told["letters", "seqgan"]["value"]) > 0
    assert told["with_s", "seqgan"]["p_holm"], "known image by image, so the difference is tested"
    assert "letters a caption" in (report / "metrics.tex").read_text()
    page = (report / PAGE).read_text()
    assert page.count("letters a caption") > 1
    assert {"with_s-self_cider.svg", "with_s-div_2.png"} <= {path.name for path in report.iterdir()}
    assert "with_s-self_cider" in page

    # Written anew, it is measured anew: what the last evaluation found is another metric's.
    file = tmp_path / "mine_apart" / "said.py"
    file.write_text(MINE.replace("/ len(told.captions)\n", "/ len(told.captions) + 100.0\n"))
    for name in ("mine_apart.said", "mine_apart"):
        del sys.modules[name]
    again = [f"out={tmp_path}/again" if one.startswith("out=") else one for one in asked]
    report = compare_runs(read(ComparisonSettings, configured(*again, base=[], config_name="compare")), command="")
    with (report / "metrics.csv").open() as file:
        anew = {(row["metric"], row["system"]): row for row in csv.DictReader(file)}
    key = ("letters", "seqgan")
    assert float(anew[key]["value"]) == pytest.approx(float(told[key]["value"]) + 100, abs=0.01)
    with (report / "verdicts.csv").open() as file:
        assert "with_s" in {row["quality"] for row in csv.DictReader(file)}
    assert "letters a caption of validation" in (report / "learning.svg").read_text()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ((BOTH,), r"mine_apart\.said\.letters is not allowed; .* Give allow=mine_apart as well"),
        ((HOME, "metrics=[{_target_:mine_apart.said.bleu_again}]"), "two are called bleu_1"),
        (("metrics=[{_target_:gan_caption.decoding.decoders.Greedy}]",), r"metrics\[0\]: .*Greedy is not a Metric"),
        (("phases.mle.selected_by=letters",), "phases.mle: selected_by=letters: one of cider_d, .*nll_per_token"),
        (("phases.mle.selected_by=self_cider",), "selected_by=self_cider: one of .* which every validation measures"),
        (("search_metric=length",), "search_metric=length: one of cider_d"),
        (("diversity_metric=nothing",), "diversity_metric=nothing: one of cider_d"),
    ],
)
def test_what_cannot_be_measured_is_told_before_anything_is_trained(configured, overrides, message):
    with pytest.raises(UserError, match=message):
        run_experiment(configured(*overrides), data="scenes")
