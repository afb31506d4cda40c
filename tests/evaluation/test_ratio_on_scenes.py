"""What the study of the ratio on scenes makes of its numbers, by hand."""

from __future__ import annotations

import json
import math
import shutil

import pytest
from statsmodels.stats.power import TTestPower

from experiments.ratio_on_flickr8k.arms import ARMS as ON_PHOTOGRAPHS
from experiments.ratio_on_scenes.arms import ARMS, CHOSEN, LONG, LONGER, MLE, MORE
from experiments.ratio_on_scenes.figures import calibration_figure, differences_figure, ladder_figure
from experiments.ratio_on_scenes.ladder import best_possible, known, looks, table_of_rungs
from experiments.ratio_on_scenes.measure import best, known_by_judge, matched, ranked
from experiments.ratio_on_scenes.run import HERE, Study, climb, compare, main, tune
from experiments.ratio_on_scenes.verdict import compared, equivalent, power, smallest, table_of_systems
from experiments.records import Wanted
from gan_caption.decoding.decoders import Decoder
from gan_caption.discriminators.lstm import LSTMDiscriminator
from gan_caption.experiment import run_experiment
from gan_caption.text.words import WordTokenizer
from gan_caption.training.setup import check_configuration, own_decoding
from tests import tiny
from tests.tiny_runs import composed, part
from tests.training.test_ratio import SMALL

POINT = {"temperature": 1.0, "top_p": 1.0, "hottest": 1.75}
RUNG = {
    "minutes": 5.0, "auc": {"200": 0.51, "1900": 0.52}, "kept_auc": 0.53, "log_loss": 0.69, "scale": 1.2, "ece": 0.01,
    "jsd": 0.1, "best_auc": 0.72, "best_log_loss": 0.58, "resampled": 0.11,
}  # fmt: skip
BINS = [{"weight": 0.5, "probability": p, "people": p, "captions": 9} for p in (0.25, 0.75)]


def test_a_divergence_that_is_not_known_is_not_the_lowest():
    divergences = {(0.7, 1.0): math.nan, (0.8, 1.0): 0.3, (0.9, 1.0): 0.2}
    assert best(divergences) == (0.9, 1.0)
    assert ranked(divergences) == [(0.9, 1.0), (0.8, 1.0), (0.7, 1.0)]


def test_who_has_a_rate_to_be_tuned():
    """Ways of decoding have none, on scenes and on photographs."""
    for arms in (ARMS, ON_PHOTOGRAPHS):
        assert all(arm.learns == (arm.phase != "resampling") for arm in arms)


def runs(*divergences, first=0):
    """Of a system, a seed each."""
    return {first + seed: {**POINT, "jsd": jsd, "plain_jsd": 2 * jsd} for seed, jsd in enumerate(divergences)}


def cells(table, name):
    """Of a row, by column."""
    lines = [line.strip()[1:-1].split("|") for line in table.splitlines() if line.startswith("|")]
    heads, _, *rows = [[cell.strip() for cell in line] for line in lines]
    (row,) = [row for row in rows if row[0] == name]
    return dict(zip(heads, row, strict=True))


def test_lengths_weigh_as_people_have_them():
    """Of 3 words half are true, of 5 all; people write 1 of 3, 3 of 5, and 7 words, which nobody sampled."""
    values, lengths = [1.0, 0.0, 1.0, 0.0], [3, 3, 5, 9]
    assert matched(values, lengths, {3: 1, 5: 3, 7: 10}) == pytest.approx((1 * 0.5 + 3 * 1.0) / 4)


def test_lengths_that_nobody_writes_tell_nothing():
    assert math.isnan(matched([1.0, 0.0], [20, 21], {3: 1, 5: 3}))


def test_a_system_is_compared_seed_by_seed_where_both_are_known():
    found = {
        "arm": runs(0.10, 0.11, 0.30), MLE: runs(0.12, 0.20, 0.9, first=1), "another": runs(0.5), "none": {},
        LONG: runs(0.25, first=2),
    }  # fmt: skip
    assert compared(found, MLE) == {"arm": pytest.approx([0.11 - 0.12, 0.30 - 0.20]), LONG: pytest.approx([0.05])}
    assert compared(found, LONG) == {"arm": pytest.approx([0.05])}, "its own baseline is no method"
    assert compared({"arm": runs(0.1)}, MLE) == {}
    assert compared({"arm": runs(math.nan, 0.1), MLE: runs(0.1, 0.1)}, MLE) == {}, "a density that was not estimated"


def test_paired_differences_with_their_interval_and_holms_correction():
    """Two seeds: t has one degree of freedom, that of Cauchy's distribution: P(|t| > x) = 1 - 2 atan(x) / pi."""
    found = {
        LONG: runs(0.10, 0.50), "a": runs(0.11, 0.53), "b": runs(0.12, 0.54), "c": runs(0.10),
        "d": runs(0.2, 0.6001),
    }  # fmt: skip
    table = table_of_systems(found)
    column, p = f"JSD less that of {LONG}", f"p (Holm), {LONG}"
    assert f"JSD less that of {MLE}" not in cells(table, "a"), "of no rival that is not there"
    half = math.tan(math.pi * 0.95 / 2) * 0.01  # the standard error of .01 and .03 is .01
    assert cells(table, "a")[column] == f"+0.0200 ± {half:.4f}"
    plain = f"at temperature 1, less that of {LONG}"
    assert cells(table, "a")[plain] == f"+0.0400 ± {2 * half:.4f}"
    assert (cells(table, "c")[plain], cells(table, LONG)[plain]) == ("+0.0000", "")
    alone = {name: 1 - 2 * math.atan(x) / math.pi for name, x in (("a", 2), ("b", 3), ("d", 0.10005 / 0.00005))}
    # The smallest counts four times, for c has a test to come, the next three times; none is below the one before.
    holm = {"d": 4 * alone["d"], "b": 3 * alone["b"], "a": max(3 * alone["b"], 2 * alone["a"])}
    assert {name: cells(table, name)[p] for name in holm} == {name: f"{p:.3f}" for name, p in holm.items()}
    assert [cells(table, name)["seeds"] for name in found] == ["2", "2", "2", "1", "2"]
    assert cells(table, "c")[column] == "+0.0000", "one seed has no interval"
    assert [cells(table, name)[p] for name in (LONG, "c")] == ["", ""]


def test_systems_that_have_not_run_count_in_holms_correction():
    found = {MLE: runs(0.10, 0.50), "b": runs(0.12, 0.54), "one seed": runs(0.2)}
    table = table_of_systems(found, [MLE, "b", "one seed", "c", LONG])
    unknown = table_of_systems({**found, "c": runs(math.nan, 0.1)}, [MLE, "b", "one seed", "c", LONG])
    assert cells(unknown, "b") == cells(table, "b"), "one whose density could not be estimated was asked about as well"
    assert cells(table, "b")[f"p (Holm), {MLE}"] == f"{min(1, 4 * (1 - 2 * math.atan(3) / math.pi)):.3f}"
    assert table.endswith(f"Not run yet, and counted by Holm's correction: c; {LONG}.")


def test_a_cell_says_of_how_many_seeds_it_is_where_not_all_have_a_value():
    own = runs(0.10, 0.50)
    found = {MLE: {0: {**own[0], "div_2": 0.6}, 1: own[1] | {"div_2": math.nan}}}
    assert cells(table_of_systems(found), MLE)["Div-2"] == "0.600 (1 of 2)"


def test_a_table_says_of_which_runs_fewer_temperatures_were_tried():
    """Records from before they tell had 1 as the highest."""
    old = {seed: {key: value for key, value in own.items() if key != "hottest"} for seed, own in runs(0.1, 0.5).items()}
    new = runs(0.1, first=2)
    told = table_of_systems({MLE: old | new, "a": new, "b": {0: old[0]}})
    assert told.endswith(f"Temperatures were tried up to 1.75, but of {MLE} (seed 0, 1) up to 1; b (seed 0) up to 1.")
    told = table_of_systems({MLE: old})
    assert told.endswith("Temperatures were tried up to 1; the plan has them up to 1.75 now.")
    assert "Temperatures" not in table_of_systems({MLE: new})


def test_a_system_that_differs_on_no_seed_leaves_the_others_their_tests():
    found = {MLE: runs(0.10, 0.50), "same": runs(0.10, 0.50), "b": runs(0.12, 0.54)}
    table = table_of_systems(found)
    assert cells(table, "same")[f"p (Holm), {MLE}"] == "1.000"
    assert cells(table, "b")[f"p (Holm), {MLE}"] == f"{2 * (1 - 2 * math.atan(3) / math.pi):.3f}"
    assert cells(table, "same")[f"within 0.01 of {MLE}"] == "yes"


@pytest.mark.parametrize(
    ("own", "wanted"),
    [
        ([0.001, 0.003], True),  # .002 and half of a 90% interval of tan(.45 pi) * .001 = .0063
        ([-0.003, -0.001], True),
        ([0.0007, 0.0033], False),  # .002 + .0082
        ([0.011, 0.011], False),
        ([0.0, 0.0], True),
        ([0.001], False),  # one seed tells nothing of others
    ],
)
def test_equivalent_is_what_lies_within_the_margin_with_its_whole_interval(own, wanted):
    assert equivalent(own) is wanted


@pytest.mark.parametrize(("seeds", "wanted"), [(5, 1.7), (10, 1.0)])
def test_four_of_five_studies_see_the_difference_that_is_told(seeds, wanted):
    """The README's numbers of standard deviations, against the noncentral t."""
    spread = [1.0, -1.0] * (seeds // 2) + [0.0] * (seeds % 2)
    deviation = math.sqrt(2 * (seeds // 2) / (seeds - 1))
    effect = smallest(spread) / deviation
    assert effect == pytest.approx(wanted, abs=0.05)
    assert TTestPower().power(effect, seeds, 0.05) == pytest.approx(0.8, abs=0.02)


def test_the_power_told_is_that_of_the_median_method():
    spreads = [[-size, size] for size in (0.001, 0.002, 0.009)]
    assert f"With 2 seeds, a difference of {smallest(spreads[1]):.4f} nats to a rival" in power("a rival", spreads)
    assert "With 2 or 3 seeds" in power(MLE, [[0.0, 0.1], [0.0, 0.1, 0.2]])
    assert power(MLE, []) == ""


def test_looks_are_counted_from_the_phases_first_step():
    """After 610 steps of matching; what is logged between two looks repeats the last one."""
    look = {100: 0.6, 110: 0.6, 200: 0.7, 210: 0.65}
    own = [{"phase": "ratio", "step": 610 + step, "ratio/auc": auc} for step, auc in look.items()]
    records = [{"phase": "matching", "step": 610}, {"phase": "ratio", "step": 620}, *own]
    assert looks(records) == ({"100": 0.6, "200": 0.7}, own[-1])
    assert looks(own[-1:])[0] == {}


def test_a_row_of_the_ladder_and_the_best_possible_one():
    table = table_of_rungs({"lstm": RUNG})
    row = cells(table, "lstm")
    assert [row[f"AUC after {step}"] for step in (200, 1000, 1900)] == ["0.510", "", "0.520"]
    assert (row["AUC, as kept"], row["log-loss, calibrated"], row["calibration error"]) == ("0.530", "0.6900", "0.010")
    assert cells(table, "the best possible")["AUC after 1000"] == "0.720"


def test_each_policy_that_was_judged_has_its_best_possible_discriminator():
    """A policy that was trained again elsewhere is another one."""
    again = {**RUNG, "best_auc": 0.75, "jsd": 0.126}
    rungs = {"lstm": RUNG, "averaged": again, "dense": RUNG}
    table = table_of_rungs(rungs)
    told = {of: cells(table, of)["AUC, as kept"] for of in best_possible(rungs)}
    assert list(told.values()) == ["0.720", "0.750"]
    assert list(told)[1] == "the best possible, policy of JSD 0.126"
    (axes,) = ladder_figure(rungs).axes
    assert [set(line.get_ydata()) for line in axes.lines[-2:]] == [{0.72}, {0.75}]


def test_the_committed_ladder_is_read_with_rows_from_before_calibration_was_kept(tmp_path):
    shutil.copytree(HERE / "records", tmp_path / "records")
    climb(Study("tables", workers=0, records=tmp_path / "records"))
    assert (tmp_path / "ladder.md").read_text() == (HERE / "ladder.md").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["calibration.png", "ladder.md", "ladder.png", "records"]


def test_figures_have_what_is_known():
    with_bins = {**RUNG, "reliability": BINS, "best_reliability": BINS}
    panels = calibration_figure({"old": RUNG, "new": with_bins}).axes
    assert [axes.get_title(loc="left") for axes in panels] == ["new", "the best possible"]
    line, *_ = panels[0].containers[0]
    assert line.get_xydata().tolist() == [[0.25, 0.25], [0.75, 0.75]]
    (axes,) = ladder_figure({"lstm": RUNG}).axes
    auc, ring, best = axes.lines
    assert auc.get_xydata().tolist() == [[200, 0.51], [1900, 0.52]]
    assert ring.get_xydata().tolist() == [[2000, 0.53]]
    assert set(best.get_ydata()) == {0.72}
    assert [calibration_figure({"old": RUNG}), ladder_figure({}), differences_figure({})] == [None] * 3


def test_differences_are_drawn_with_their_intervals_beside_the_margin():
    figure = differences_figure({"nobody": {}, MLE: {"a": [0.01, 0.03], "one seed": [0.02]}})
    (axes,) = figure.axes
    assert len(differences_figure({MLE: {"a": [0.0]}, LONG: {"a": [0.0]}}).axes) == 2
    (margin,) = axes.patches
    assert (margin.get_x(), margin.get_x() + margin.get_width()) == (-0.01, 0.01)
    (container,) = axes.containers
    assert container[0].get_xdata().tolist() == pytest.approx([0.02, 0.02])
    bar = container[2][0].get_segments()[0]
    half = math.tan(math.pi * 0.95 / 2) * 0.01
    assert bar[:, 0].tolist() == pytest.approx([0.02 - half, 0.02 + half])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "one seed"]


def keep(study, name, overrides, found, seed):
    study.records.keep(Wanted(name, seed, overrides, dict), found)


def test_trials_choose_each_arms_rate_and_tables_go_on_with_what_is_there(tmp_path, capsys):
    study = Study("converged", workers=0, records=tmp_path / "records")
    study.tables.mkdir()
    arms = {arm.name: arm for arm in study.arms}
    assert (tune(study), list(study.tables.iterdir())) == ({}, [])
    compare(study, {})
    assert "no arm is finished yet" in capsys.readouterr().out
    assert list(study.tables.iterdir()) == [], "no table of nothing"

    tried = {MORE.name: {"3e-5": 0.3, "1e-4": 0.2, "3e-4": 0.25}, "GOLD": {"3e-4": 0.4}}
    for name, own in tried.items():
        for rate, jsd in own.items():
            overrides = study.arm(arms[name], study.tuning, tmp_path, tmp_path, rate=rate)
            keep(study, f"{name}, rate {rate}", overrides, {"validation_jsd": jsd}, study.tuning)
    rates = tune(study)
    assert rates == {MORE.name: "1e-4", "GOLD": "3e-4"}
    table = (study.tables / "tuning.md").read_text()
    assert list(cells(table, MORE.name).values())[1:] == ["0.3000", "0.2000", "0.2500"]
    assert list(cells(table, "GOLD").values())[1:] == ["", "", "0.4000"]

    for seed, (more, gold) in enumerate([(0.10, 0.11), (0.50, 0.53)]):
        for name, jsd in ((MORE.name, more), ("GOLD", gold)):
            overrides = study.arm(arms[name], seed, tmp_path, tmp_path, rate=rates[name])
            keep(study, name, overrides, {**POINT, "jsd": jsd, "plain_jsd": jsd}, seed)
        keep(study, MLE, study.baseline(seed), {**POINT, "jsd": 0.1, "plain_jsd": 0.2}, seed)
    compare(study, rates)
    row = cells((study.tables / "table.md").read_text(), "GOLD")
    assert (row["seeds"], row[f"JSD less that of {MLE}"].split()[0]) == ("2", "+0.2200")
    assert row[f"at temperature 1, less that of {MLE}"].split()[0] == "+0.1200"
    assert (study.tables / "figure.png").exists()


def test_both_parts_go_on_by_the_records_of_one_folder(tmp_path):
    """Their runs bear the same names, and were told different things."""
    here = tmp_path / "records"
    first, second = (Study(size, workers=0, records=here) for size in ("full", "converged"))
    assert first.records.folder == here
    keep(first, MLE, first.baseline(0), {**POINT, "jsd": 0.1}, 0)
    main("tables", f"records={here}")
    assert (tmp_path / "table.md").exists()
    assert not (second.tables / "table.md").exists()
    keep(second, MLE, second.baseline(0), {**POINT, "jsd": 0.2}, 0)
    main("tables", f"records={here}")
    assert cells((second.tables / "table.md").read_text(), MLE)["JSD"] == "0.200"


def test_the_rival_of_the_first_part_is_the_baseline_of_the_second():
    first, second = (Study(size, workers=0) for size in ("full", "converged"))
    assert second.baseline(3) == first.baseline(3, *LONGER) != first.baseline(3)
    assert second.outputs == first.outputs, "so that it is trained once"
    assert second.records.folder != first.records.folder


def test_the_converged_baseline_has_a_ladder_of_its_own(tmp_path):
    """Other eyes, or longer training: all else is as the arms' own discriminator has it."""
    study = Study("converged", workers=0, records=tmp_path / "records")
    own, eyes, longer = (composed(*study.rung(rung, 100, tmp_path)) for rung in study.rungs)
    assert study.rungs[0].name == CHOSEN
    assert [one["phases"]["ratio"]["steps"] for one in (own, eyes, longer)] == [2000, 2000, 6000]
    assert {one["phases"]["matching"]["steps"] for one in (own, eyes, longer)} == {600}
    kinds = [one["discriminator"]["discriminator"]["_target_"].rpartition(".")[2] for one in (own, eyes, longer)]
    assert kinds == [f"{kind}LikelihoodRatioDiscriminator" for kind in ("", "OwnEyes", "")]
    for one in (own, eyes, longer):
        check_configuration(one)


@pytest.mark.slow
@pytest.mark.parametrize("arm", ARMS, ids=lambda arm: arm.name)
def test_every_arm_is_a_run_that_may_begin(arm, tmp_path):
    """Its settings are read, and what it decodes with is built: an arm that is refused would stop the study."""
    study = Study("converged", workers=0, records=tmp_path / "records")
    rate = "1e-4" if arm.learns else None
    settings = check_configuration(composed(*study.arm(arm, 0, tmp_path, tmp_path, rate=rate)))
    offered = {
        "discriminator": tiny.discriminator(LSTMDiscriminator), "tokenizer": WordTokenizer(min_count=1).learn(["a"]),
        "split": part("data/scenes", train=2, val=2, test=2).split("val"),
    }  # fmt: skip
    built = {name: one.build(Decoder, **offered) for name, one in own_decoding(settings).items()}
    assert arm.learns or arm.phase in built


def test_what_a_run_leaves_is_known(configured, tmp_path):
    """The policy has hardly learned: the best possible D knows its captions, which the grammar cannot produce."""
    asked = ["+phase@phases.resampling=decoded", "discriminator_training.steps=4"]
    finished = run_experiment(configured(*asked, base=SMALL), data="scenes")
    assert finished.systems["mle"]["sample_oracle_outside"] == 1
    found = json.loads(json.dumps(known(finished.folder)))
    assert found["reliability"] == json.loads((finished.folder / "calibration_mle.json").read_text())
    none, *people = found["best_reliability"]
    assert none == pytest.approx({"weight": 0.5, "probability": 0.0, "people": 0.0, "captions": 8 * 5})
    assert {one["people"] for one in people} == {1.0}
    assert sum(one["weight"] for one in people) == pytest.approx(0.5)
    assert len(calibration_figure({"lstm": found}).axes) == 2

    config = json.loads((finished.folder / "config.json").read_text())
    took = dict.fromkeys(("pretrained", "pretrained_discriminator"), str(finished.folder))
    (tmp_path / "config.json").write_text(json.dumps({**config, **took}))
    assert known_by_judge(tmp_path) == {"judge_auc": found["kept_auc"], "judge_log_loss": found["log_loss"]}
    assert known_by_judge(finished.folder) == {}
