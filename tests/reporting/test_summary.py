"""What a comparison says, against hand-worked cases."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.cbook import is_math_text
from PIL import Image
from scipy.stats import ttest_rel

from gan_caption.configuration.building import read
from gan_caption.configuration.settings import settings_from
from gan_caption.data.corpus import CaptionedImage, Split
from gan_caption.evaluation.adversarial import AdversarialEvaluation, JudgedCaptions
from gan_caption.evaluation.compared import with_judgement
from gan_caption.evaluation.curve_files import CurvePoint, read_curve, write_curve
from gan_caption.evaluation.settings import ComparisonSettings
from gan_caption.evaluation.systems import EvaluatedRun, System
from gan_caption.metrics.bootstrap import Difference, mean_interval
from gan_caption.metrics.ngrams import Score
from gan_caption.metrics.separation import reliability
from gan_caption.metrics.standard import STANDARD
from gan_caption.reporting.cards import cards_of
from gan_caption.reporting.comparison_tables import configuration_table, summary_table, write_tables
from gan_caption.reporting.equal_quality import of_family, verdicts
from gan_caption.reporting.figures import learning_curves, logged, reliability_diagram
from gan_caption.reporting.gallery import gallery
from gan_caption.reporting.seeds import across_seeds
from gan_caption.reporting.sentences import description
from gan_caption.reporting.summary import Estimate, corrected, summarise
from gan_caption.reporting.table import comparison
from tests.tiny_runs import composed, part

IMAGES = 40


def scored(values):
    values = np.asarray(values, dtype=np.float64)
    return Score(float(values.mean()), values)


def evaluated_run(seed, *, cider, values=None, curve=(), calibration=(), lost=None, temperature=1.0):
    return EvaluatedRun(
        seed=seed, folder=f"runs/{seed}", command="", decoding=None, borrowed=False, lost=lost,
        config={"seed": seed, "validation": {"temperature": temperature}},
        texts=["a"] * IMAGES, captions=["a"] * IMAGES, samples=[["a", "b"]] * IMAGES, opinions=None,
        calibration=calibration, judged=None, scores={"cider_d": scored(cider)}, values=values or {}, curve=curve,
        records=[],
    )  # fmt: skip


def curve_of(quality_at, diversity_at, noise):
    points = []
    for temperature, quality, diversity in zip((0.5, 1.0, 1.5), quality_at, diversity_at, strict=True):
        values = {
            "sample_cider_d": quality + noise, "self_cider": diversity + noise / 10, "div_2": diversity - noise / 10
        }  # fmt: skip
        points.append(CurvePoint(temperature, 1.0, values, [["a"]] * IMAGES))
    return points


def test_holms_correction_by_hand():
    p = {"a": 0.01, "b": 0.04, "c": 0.03}
    asked = {name: Estimate(0.0, None, Difference(0.1, (0.0, 0.2), value)) for name, value in p.items()}
    told = corrected({"mle": Estimate(0.0, None), **asked})
    # Ordered .01, .03, .04: times 3, 2, 1, and never below the one before.
    assert told["mle"].p_holm is None
    assert {name: round(told[name].p_holm, 10) for name in p} == {"a": 0.03, "c": 0.06, "b": 0.06}


def test_a_summary_pairs_by_image_and_seed():
    rng = np.random.default_rng(0)
    base = [rng.normal(1, 0.5, IMAGES) for _ in range(3)]
    baseline = System(
        "mle", [evaluated_run(s, cider=own, values={"vocabulary": 10.0 + s}) for s, own in enumerate(base)]
    )
    # Each image a little better: invisible among the images, sure when paired.
    better = System(
        "nsc",
        [
            evaluated_run(s, cider=own + rng.normal(0.05, 0.05, IMAGES), values={"vocabulary": 7.0})
            for s, own in enumerate(base)
        ],
    )
    same = System("control", [evaluated_run(s, cider=own, values={"vocabulary": 10.0}) for s, own in enumerate(base)])
    told = summarise([baseline, better, same], baseline)
    assert list(told) == ["cider_d", "vocabulary"]
    cider = told["cider_d"]
    assert cider["mle"].difference is None
    assert cider["mle"].value == pytest.approx(np.mean(base))
    assert cider["mle"].interval[0] < cider["nsc"].value < cider["mle"].interval[1]
    means = [[run.scores["cider_d"].corpus for run in system.runs] for system in (better, baseline)]
    assert cider["nsc"].p_holm == pytest.approx(2 * ttest_rel(*means).pvalue)  # of three seeds; two systems are asked
    assert cider["nsc"].p_holm < 0.05
    assert cider["nsc"].difference.interval[0] > 0
    assert cider["control"].difference.value == 0
    assert cider["control"].p_holm == 1
    # Of the corpus only: Student's t over 10, 11, 12 has the half-width 4.303 / sqrt(3).
    vocabulary = told["vocabulary"]["mle"]
    assert vocabulary.interval == pytest.approx((11 - 4.3027 / 3**0.5, 11 + 4.3027 / 3**0.5), abs=1e-3)
    assert told["vocabulary"]["nsc"].difference is None


def test_a_system_without_a_value_leaves_the_others_theirs():
    """Maximum likelihood has no discriminator, and who writes nothing grammatical has no hallucinations."""
    auc, nothing = "discriminator_auc", [0.0] * IMAGES
    known = System("seqgan", [evaluated_run(seed, cider=nothing, values={auc: 0.6}) for seed in (0, 1)])
    lacks = [evaluated_run(seed, cider=nothing, values=own) for seed, own in enumerate(({}, {auc: math.nan}))]
    baseline = System("mle", lacks)
    told = summarise([baseline, known], baseline)[auc]
    assert told["seqgan"].value == 0.6
    assert math.isnan(told["mle"].value)
    assert told["mle"].interval is None
    assert list(summarise([baseline], baseline)) == ["cider_d"]


def test_one_seed_has_an_interval_over_images_only():
    values = np.random.default_rng(1).normal(0, 1, 400)
    low, high = mean_interval([scored(values)], draws=4000)
    half = 1.96 * values.std() / 20
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.012)


def test_verdicts_on_known_curves():
    noise = np.random.default_rng(0).normal(0, 0.01, IMAGES)

    def system(name, quality, diversity):
        return System(name, [evaluated_run(0, cider=noise, curve=curve_of(quality, diversity, noise))])

    baseline = system("mle", (3, 2, 1), (0.2, 0.4, 0.6))
    better = system("gan", (3, 2, 1), (0.3, 0.5, 0.7))
    worse = system("bad", (3, 2, 1), (0.1, 0.3, 0.5))
    colder = system("colder", (3.0, 2.5, 2.0), (0.2, 0.3, 0.4))
    apart = system("apart", (9, 8, 7), (0.2, 0.4, 0.6))
    told = {
        one.system: one
        for one in verdicts([baseline, better, worse, colder, apart], baseline)
        if (one.family, one.diversity) == ("temperature", "self_cider")
    }
    assert told["gan"].verdict == "dominates"
    assert told["gan"].difference == pytest.approx(0.1, abs=0.005)
    assert told["bad"].verdict == "below"
    assert told["colder"].verdict == "cannot be told apart", "the same curve, other points of it"
    assert told["apart"].verdict == "no quality in common"
    assert told["apart"].difference is None


def test_a_curve_is_read_as_it_was_written_and_falls_into_families(tmp_path):
    values = {"div_2": np.array([0.1, 0.30000000000000004])}
    points = [CurvePoint(t, p, values, [["é a"], []]) for t, p in ((1.0, 1.0), (0.5, 1.0), (1.0, 0.9), (1.0, 0.5))]
    write_curve(tmp_path / "curve.json", points)
    read = read_curve(tmp_path / "curve.json")
    assert [(p.temperature, p.top_p, p.samples) for p in read] == [(p.temperature, p.top_p, p.samples) for p in points]
    assert all((p.values["div_2"] == values["div_2"]).all() for p in read)
    system = System("mle", [evaluated_run(0, cider=[1.0], curve=read)])
    assert of_family(system, "temperature") == [1, 0]
    assert of_family(system, "top_p") == [3, 2, 0]


def test_learning_curves_count_within_their_phase():
    records = [
        {"phase": "mle", "step": 10, "mle/loss": 1.0},
        {"phase": "adversarial", "step": 20, "reward/mean": 1.0},
        {"phase": "adversarial", "step": 25, "val/cider_d": 0.4},
        {"phase": "adversarial", "step": 30, "reward/mean": 3.0},
    ]
    steps, values = logged(records, "adversarial", "reward/mean")
    # (.1 * 3 + .9 * .1 * 1) / (.1 + .9 * .1)
    assert (steps, values) == ([10, 20], [1.0, pytest.approx(0.39 / 0.19)])
    assert logged(records, "adversarial", "val/cider_d") == ([15], [0.4])
    assert logged(records, "mle", "mle/loss") == ([10], [1.0])
    assert logged([{"phase": "mle", "step": 3, "mle/loss": "x"}], "mle", "mle/loss") == ([], [])


def test_what_one_system_lacks_leaves_the_others_their_cells():
    runs = [{"mle": {"div_2": 0.5}, "seqgan": {"div_2": value, "self_cider": 0.75}} for value in (0.5, math.nan)]
    names = ("div_2", "self_cider", "mbleu_4")
    table = across_seeds(runs, {name: STANDARD[name] for name in names})
    rows = {row[0]: row[1:] for row in ([cell.strip() for cell in line.strip("|").split("|")]
                                        for line in table.splitlines()[2:])}  # fmt: skip
    assert rows == {
        STANDARD["div_2"].label: ["0.500 ± 0.000", "-", "-"],
        STANDARD["self_cider"].label: ["-", "0.750 ± 0.000", "-"],
    }


def test_a_seed_that_a_phase_left_nothing_of_is_no_number():
    runs = [{"mle": {"div_2": 0.5}}, {"mle": {"div_2": 0.5}, "seqgan": {"div_2": 0.5}}]
    *_, row = across_seeds(runs, {"div_2": STANDARD["div_2"]}).splitlines()
    assert [cell.strip() for cell in row.strip("|").split("|")][1:] == ["0.500 ± 0.000", "-", "-"]


def test_the_legend_names_a_system_whose_first_seed_logged_nothing():
    records = [{"phase": "mle", "step": step, "mle/loss": 1.0, "val/cider_d": 0.4} for step in (1, 2)]
    late = [replace(evaluated_run(seed, cider=[1.0]), records=own) for seed, own in ((0, []), (1, records))]
    figure = learning_curves([System("mle", late), System("nsc", [replace(late[1], seed=0)])])
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["mle", "nsc"]
    assert [axes.get_title(loc="left") for axes in figure.axes if axes.lines] == ["mle: CIDEr-D x 100 of validation"]
    assert figure.axes[0].lines[0].get_ydata().tolist() == [40.0, 40.0]


@pytest.mark.parametrize("name", ["_mine", "$a$ of $b$", "_$_"])
def test_a_legend_shows_any_name_as_it_is(name, tmp_path):
    """Matplotlib leaves out what begins with `_`, and reads formulas between `$`."""
    records = [{"phase": "mle", "step": step, "val/cider_d": 0.4} for step in (1, 2)]
    bins = reliability([0.9, 0.9, 0.2], [0.2, 0.2, 0.9])
    own = replace(evaluated_run(0, cider=[1.0], calibration=bins), records=records)
    for figure in (learning_curves([System(name, [own])]), reliability_diagram([System(name, [own])])):
        (text,) = figure.axes[0].get_legend().get_texts()
        assert not is_math_text(text.get_text())
        assert text.get_text().replace(r"\$", "$").strip() == name


def test_an_image_that_has_gone_is_left_out_of_the_gallery(tmp_path, capsys):
    """What else a report says took hours, and needs no photographs."""
    Image.new("RGB", (8, 8)).save(tmp_path / "here.png")
    items = [CaptionedImage(name, (f"a {name}",), tmp_path / f"{name}.png") for name in ("gone", "here")]
    system = System("mle", [evaluated_run(0, cider=[0.5, 1.0])])
    (card,) = cards_of(tmp_path, [system], Split("test", items), 100)
    assert (card.id, card.references, card.rows[0].cider) == ("here", ("a here",), 100.0)
    assert (tmp_path / card.image).is_file()
    assert "not in the gallery: " in capsys.readouterr().err


def test_prices_in_a_gallery_are_no_formula(tmp_path):
    gallery(tmp_path / "g.png", [Image.new("RGB", (8, 8))], [{"mle": r"costs $ 5 \x $"}])
    assert Image.open(tmp_path / "g.png").size > (8, 8)


def test_a_reliability_diagram_shows_shares_against_probabilities():
    bins = reliability([0.9, 0.9, 0.2], [0.2, 0.2, 0.9])
    systems = [
        System("mle", [evaluated_run(0, cider=[1.0])]),
        System("seqgan", [evaluated_run(seed, cider=[1.0], calibration=bins) for seed in (0, 1)]),
    ]
    assert reliability_diagram(systems[:1]) is None
    (axes,) = reliability_diagram(systems).axes
    assert (axes.lines[0].get_xy1(), axes.lines[0].get_slope()) == ((0.5, 0.5), 1)
    assert len(axes.containers) == 2, "a line a seed"
    for line, _, (bars,) in axes.containers:
        np.testing.assert_allclose(line.get_xydata(), [[0.2, 1 / 3], [0.9, 2 / 3]])
        error = 2 * (1 / 3 * 2 / 3 / 3) ** 0.5
        low, high = bars.get_segments()
        np.testing.assert_allclose(low, [[0.2, 0], [0.2, 1 / 3 + error]], atol=1e-12)
        np.testing.assert_allclose(high, [[0.9, 2 / 3 - error], [0.9, 1]])
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["seqgan"]


def test_tables_as_files(tmp_path):
    difference = Difference(0.1, (0.05, 0.15), 0.002)
    estimates = {
        "cider_d": {"mle": Estimate(0.9, (0.8, 1.0)), "gan_x": Estimate(1.0, (0.9, 1.1), difference, 0.004)},
        "mbleu_4": {"mle": Estimate(0.2, None), "gan_x": Estimate(0.3, None, difference, 0.004)},
    }
    write_tables(tmp_path, estimates, ["mle", "gan_x"], {"cider_d": 0.7}, [])
    rows = list(csv.DictReader(io.StringIO((tmp_path / "metrics.csv").read_text())))
    assert [(row["metric"], row["system"], float(row["value"])) for row in rows if row["metric"] == "cider_d"] == [
        ("cider_d", "mle", 0.9), ("cider_d", "gan_x", 1.0), ("cider_d", "humans", 0.7)
    ]  # fmt: skip
    assert float(rows[1]["p_holm"]) == 0.004
    heads = next(csv.reader(io.StringIO((tmp_path / "verdicts.csv").read_text())))
    assert heads[:2] == ["system", "family"], "without curves there are no verdicts, and heads all the same"
    latex = (tmp_path / "metrics.tex").read_text()
    assert r"gan\_x & 100.0 + & 0.300 - \\" in latex
    table = summary_table(estimates, ["mle", "gan_x"], {"cider_d": 0.7})
    assert [cell.direction for cell in table.rows[1].cells] == ["", "up", "down"], "more mBLEU-4 is worse"
    assert table.rows[0].cells[1].note == "80.0 to 100.0"


def test_only_settings_that_differ_are_shown():
    table = configuration_table({"mle": {"a": {"b": 1, "c": 2}}, "gan": {"a": {"b": 1, "c": 3}, "d": True}})
    assert [[cell.text for cell in row.cells] for row in table.rows] == [["a.c", "2", "3"], ["d", "", "True"]]
    assert not configuration_table({"mle": {"a": 1}, "gan": {"a": 1, "of_later": None}}).rows, "as where it was not"


def test_a_report_says_which_system_is_decoded_in_a_way_of_its_own():
    settings = read(ComparisonSettings, composed("runs=[a]", config_name="compare"))
    own = replace(
        evaluated_run(0, cider=[1.0] * IMAGES), decoding=settings_from(composed("decoding=reranked")).decoding
    )
    systems = [System("mle", [evaluated_run(0, cider=[1.0] * IMAGES)]), System("reranked", [own])]
    told = description(systems, part("data/scenes", test=2).split("test"), settings, counted_by="word")
    assert "decoded by greedy; reranked by reranked (" in told
    assert "left no healthy weights" not in told
    assert "; reranked by" not in description(systems[:1], part("data/scenes", test=2).split("test"), settings,
                                              counted_by="word")  # fmt: skip


def test_a_report_says_at_which_temperature_variety_was_measured():
    split = part("data/scenes", test=2).split("test")
    systems = [System(f"{own}", [evaluated_run(0, cider=[1.0] * IMAGES, temperature=own)]) for own in (0.7, 1.0)]
    for asked, chosen, told in (
        ("null", systems[:1], "at temperature 0.7"),
        ("null", systems, "at each run's own temperature"),
        ("1.2", systems, "at temperature 1.2"),
    ):
        settings = read(
            ComparisonSettings, composed("runs=[a]", f"validation.temperature={asked}", config_name="compare")
        )
        assert f"samples an image, {told}, for variety." in description(chosen, split, settings, counted_by="word")


def test_a_report_says_which_runs_took_part_with_an_earlier_phases_weights():
    settings, split = read(ComparisonSettings, composed("runs=[a]", config_name="compare")), part("data/scenes", test=2)
    runs = [evaluated_run(seed, cider=[1.0] * IMAGES, lost=("adversarial", None)[seed]) for seed in (0, 1)]
    told = description([System("seqgan", runs)], split.split("test"), settings, counted_by="word")
    assert "The last phase of seqgan, seed 0 left no healthy weights" in told


def test_a_runs_own_table_tells_the_second_systems_value_less_the_firsts():
    table = comparison(
        {"mle": {"cider_d": 0.5}, "gan": {"cider_d": 0.75}}, {"cider_d": STANDARD["cider_d"]},
        intervals={"cider_d": (0.1, 0.4)}, humans={"cider_d": 0.9},
    )  # fmt: skip
    heads, _, row = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    assert heads == ["", "mle", "gan", "difference", "95% over images", "humans"]
    assert row == ["CIDEr-D x 100", "50.0", "75.0", "+25.0", "+10.0 to +40.0", "90.0"]


def test_what_a_judge_said_becomes_shares_and_a_median():
    system = System("gan", [evaluated_run(0, cider=[0.0] * 4)])
    judged = JudgedCaptions(np.array([[2.0], [-1.0], [0.5], [-3.0]]), np.array([[1.0], [5.0], [6.0], [10.5]]))
    (told,), humans = with_judgement([system], AdversarialEvaluation({"gan": judged}, judged, {}, 20))
    (run,) = told.runs
    assert {name: own.corpus for name, own in run.scores.items() if name != "cider_d"} == {
        "taken_for_human": 0.5, "recall_1": 0.25, "recall_5": 0.5, "recall_10": 0.75,
    }  # fmt: skip
    assert run.values["median_rank"] == 5.5 == humans["median_rank"]
