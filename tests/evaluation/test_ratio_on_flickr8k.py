"""What the study of the ratio on photographs makes of what it measured, by hand."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from PIL import Image

from experiments.ratio import evaluator_of, table_of_trials
from experiments.ratio_on_flickr8k.arms import BLIND, BLINKS, EBM, MODELS, MORE, RIVAL
from experiments.ratio_on_flickr8k.captioners import found_by_another, taught
from experiments.ratio_on_flickr8k.figures import systems_figure
from experiments.ratio_on_flickr8k.measure import TRIED, Found, Measure, Point, _another_word, _mixed, knows, nll_of
from experiments.ratio_on_flickr8k.people import STRATA, People, at_equal_diversity, standardised, stratified
from experiments.ratio_on_flickr8k.run import JUDGE, MLE, PLANTED, Judge, Study, choose, compare, main, place, tune
from experiments.ratio_on_flickr8k.verdict import (
    differences,
    power,
    systems_of,
    table_beside,
    table_of_likelihoods,
    table_of_places,
    table_of_planted,
    table_of_systems,
)
from experiments.ratio_on_flickr8k.words import unsupported
from experiments.records import Wanted
from gan_caption.configuration.launching import conf_dir
from gan_caption.evaluation.judge_network import JudgeSettings
from gan_caption.evaluation.result_files import read_results
from gan_caption.evaluation.trained import open_run
from gan_caption.experiment import run_experiment
from gan_caption.metrics.bootstrap import Difference
from tests.evaluation.test_ratio_on_scenes import cells
from tests.tiny_runs import TINY, composed

SHORT, LONG = STRATA[0] - 1, STRATA[-1] + 3
BOTH = [[SHORT, LONG], [SHORT, LONG]]


def people(short: int, long: int, level: float = 0.6) -> People:
    """Who write so many short captions and so many long ones, two an image."""
    return People([[SHORT] * short + [LONG] * long], np.array([level - 0.1, level + 0.1, np.nan]))


def point(*, auc=(0.6, 0.6), self_cider=0.5, temperature=1.0, lm=3.0) -> Point:
    corpus = {"lm_nll": lm, "reverse_lm_nll": 4.0}
    told = None if auc is None else list(auc)
    return Point(temperature, 1.0, self_cider, cider_d=0.5, unsupported=1.25, corpus=corpus, auc=told)


def known(*points: Point, nll=3.0) -> Found:
    return Found(list(points), cider_d=0.5, unsupported=1.25, people=0.6, minutes=3.4, nll=nll)


def test_captions_are_weighed_by_length_as_people_write():
    """Short captions are worth 4 and long ones 1; who writes short ones gains nothing by that."""
    mostly_short = ([[SHORT, SHORT], [SHORT, LONG]], ((4, 4), (4, 1)))
    mostly_long = ([[SHORT, LONG], [LONG, LONG]], ((4, 1), (1, 1)))
    for lengths, values in (mostly_short, mostly_long):
        assert standardised(lengths, values, people(1, 3)) == pytest.approx(0.25 * 4 + 0.75 * 1)
    only_short = [[SHORT, SHORT], [SHORT, SHORT]]
    assert standardised(only_short, ((4, 4), (2, 2)), people(1, 3)) == pytest.approx(3)


@pytest.mark.parametrize(("level", "worth"), [(0.2, 2), (0.4, 1.5), (0.6, 1), (0.9, math.nan), (0.0, math.nan)])
def test_points_are_joined_over_diversity_and_not_beyond(level, worth):
    warm, cold = ((1, 1), (1, 1)), ((3, 3), (1, 1))
    scale = people(1, 1, level)
    found = at_equal_diversity([standardised(BOTH, own, scale) for own in (warm, cold)], [0.6, 0.2], scale)
    assert found == pytest.approx(worth, nan_ok=True)


def test_strata_hold_their_lower_ends():
    lengths = [SHORT, *STRATA, LONG]
    sums, counts = stratified([lengths[:3], lengths[3:]], [range(3), range(3, 6)])
    assert counts.tolist() == [1, 1, 1, 1, 2]
    assert sums.tolist() == [0, 1, 2, 3, 4 + 5]


def test_the_best_point_is_the_one_nearest_to_people_of_those_that_were_judged():
    found = known(point(auc=(0.3, 0.5), temperature=0.7), point(auc=None, temperature=0.85, lm=9.0),
                  point(auc=(0.5, 0.7), temperature=1.0), point(auc=(0.55, 0.55), temperature=1.2, lm=2.0))  # fmt: skip
    assert found.aucs == pytest.approx({(0.7, 1.0): 0.4, (1.0, 1.0): 0.6, (1.2, 1.0): 0.55})
    assert found.best.place == (1.2, 1.0)
    assert Found.of(asdict(found)) == found, "as a record keeps it"
    table = table_of_places({"GOLD": found})
    assert list(cells(table, "GOLD").items()) == [
        ("temperature, top-p", "GOLD"), ("0.7/1", "0.400"), ("1/1", "0.600"), ("1.2/1", "0.550"), ("chosen", "1.2/1"),
    ]  # fmt: skip
    row = cells(table_of_systems(systems_of({"GOLD": {0: found}})), "GOLD")
    assert (row["temperature, top-p"], row["LM, nats"]) == ("1.2/1", "2.000")
    assert row["Self-CIDEr reached"] == "0.50 to 0.50"


def test_random_logits_deviate_as_the_discriminators(tmp_path):
    """Half of the captions at logit -1 and half at 3: the deviation is 2."""
    odds = [1 / (1 + math.exp(-logit)) for logit in (-1, 3)]
    bins = [{"weight": 0.5, "probability": one, "people": one, "captions": 10} for one in odds]
    (tmp_path / "calibration_mle.json").write_text(json.dumps(bins))
    records = [{"phase": "ratio", "step": step, **{f"ratio/{name}": step / 10 for name in ("log_loss", "auc", "ece")}}
               for step in (5, 6)]  # fmt: skip
    (tmp_path / "metrics.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in records))
    told = knows(tmp_path)
    assert (told["deviation"], told["auc"], told["reliability"]) == (pytest.approx(2.0), 0.6, bins)


def test_a_point_that_was_measured_before_a_stop_is_read_again(tmp_path, monkeypatch):
    measure = object.__new__(Measure)
    measure.run, measure.split, measure.judge = tmp_path, "val", JUDGE
    asked = []

    def measured(self, phase, place, **how):
        asked.append((place, how, self.judge))
        return point(temperature=place[0])

    monkeypatch.setattr(Measure, "at", measured)
    for judged in (True, True, False):
        assert measure.once("mle", (0.7, 1.0), judged=judged, limits=False) == point(temperature=0.7)
    assert measure.once("mle", (0.85, 1.0), judged=False, limits=False) == point(temperature=0.85)
    measure.judge = replace(JUDGE, epochs=1)
    measure.once("mle", (0.85, 1.0), judged=False, limits=False)
    assert [(place[0], how["judged"], judge.epochs) for place, how, judge in asked] == [
        (0.7, True, 8), (0.7, False, 8), (0.85, False, 8), (0.85, False, 1),
    ]  # fmt: skip


def test_what_is_planted_is_a_share_of_spoiled_captions():
    rng = np.random.default_rng(0)
    good, bad = [f"good {row}" for row in range(1000)], ["bad 0", "bad 1"]
    assert _mixed(good, bad, 0.0, rng) == good
    assert set(_mixed(good, bad, 1.0, rng)) == set(bad)
    spoiled = sum(text in bad for text in _mixed(good, bad, 0.25, rng)) / 1000
    assert spoiled == pytest.approx(0.25, abs=0.05)
    told = {_another_word("a dog runs", ["cat"], rng) for _ in range(50)}
    assert told == {"cat dog runs", "a cat runs", "a dog cat"}


def test_words_that_no_reference_has():
    references = [["two dogs running", "a dog runs on grass"], ["a man"]]
    captions = [["a dog is running", "the dogs run with a ball", ""], ["two men"]]
    assert unsupported(captions, references) == [[0, 1, 0], [2]]


def test_the_smallest_difference_that_would_be_seen():
    told = [Difference(0.0, (-half, half), 1.0) for half in (0.0098, 0.0196, 0.0392)]
    assert "difference of 0.028 in AUC" in power(told)  # (1.96 + .84) standard errors of .01


WIDE = 12.7062 * 0.05
"""Half of the interval of two seeds that differ by .1: Student's t with one degree of freedom."""


def measured(**aucs):
    """Of each system by seed, one point that has the same AUC on every image."""
    return {name: {seed: known(point(auc=(one, one))) for seed, one in own.items()} for name, own in aucs.items()}


def test_systems_are_compared_on_the_seeds_that_more_maximum_likelihood_has_as_well():
    """Of both seeds, images alike: GOLD is .1 nearer to people, and EBM nearer by .05 and by .15."""
    told = measured(GOLD={0: 0.6, 1: 0.7, 2: 0.9}, EBM={0: 0.65, 1: 0.65}, late={2: 0.1}) | {
        MORE.name: measured(more={0: 0.7, 1: 0.8, 3: 0.5})["more"]
    }
    systems = systems_of(told)
    assert {name: list(one.runs) for name, one in systems.items()} == {
        "GOLD": [0, 1], "EBM": [0, 1], MORE.name: [0, 1, 3],
    }  # fmt: skip
    assert systems["GOLD"].mean_auc == pytest.approx(0.65)
    found = differences(systems)
    assert list(found) == ["GOLD", "EBM"]
    assert (found["GOLD"].value, *found["GOLD"].interval) == pytest.approx([-0.1] * 3)
    assert (found["EBM"].value, *found["EBM"].interval) == pytest.approx([-0.1, -0.1 - WIDE, -0.1 + WIDE], abs=1e-4)
    table = table_of_systems(systems)
    row = cells(table, "GOLD")
    assert (row["seeds"], row["minutes"]) == ("2", "3")
    assert row["judge's AUC"] == f"0.650 ({0.65 - WIDE:.3f} to {0.65 + WIDE:.3f})"
    assert row[f"AUC less that of {MORE.name}"] == "-0.100 (-0.100 to -0.100)"
    assert row["p (Holm)"] == f"{2 * 2 / 1001:.3f}", "no draw of a thousand is on the other side; two arms are asked"
    assert (row["CIDEr-D x 100"], row["unsupported words a caption"]) == ("50.0 ± 0.0", "1.25 ± 0.00")
    assert (row["LM, nats"], row["reverse LM, nats"], row["Self-CIDEr reached"]) == ("3.000 ± 0.000", "4.000 ± 0.000",
                                                                                    "0.50 to 0.50")  # fmt: skip
    more = cells(table, MORE.name)
    assert (more["p (Holm)"], more["minutes"]) == ("", "3")
    assert "People's Self-CIDEr, at which CIDEr-D and unsupported words are compared, is 0.600." in table
    # EBM's interval is the wider one, and taken for 1.96 standard errors to each side, of which 2.8 are seen.
    assert f"A difference of {2.8 * WIDE / 1.96:.3f} in AUC" in table


def test_where_no_point_is_as_varied_as_people_the_cell_says_so():
    lacking = replace(known(point()), cider_d=math.nan)
    table = table_of_systems(systems_of({"GOLD": {0: known(point()), 1: lacking}, "EBM": {0: lacking, 1: lacking}}))
    assert cells(table, "GOLD")["CIDEr-D x 100"] == "50.0 (1 of 2 seeds)"
    assert cells(table, "EBM")["CIDEr-D x 100"] == "-"


def test_what_differs_from_the_residual_ebm_is_compared_with_it():
    """On the seeds that both have: of three with random logits the first two, by .1 and .2; of 50 candidates one."""
    ebm = measured(ebm={0: 0.6, 1: 0.5})["ebm"]
    told = measured(random={0: 0.7, 1: 0.7, 2: 0.9}, many={1: 0.45}, late={2: 0.6})
    table = table_beside(ebm, told)
    random, many = cells(table, "random"), cells(table, "many")
    assert (random["seeds"], random["judge's AUC"]) == ("2", "0.700 (0.700 to 0.700)")
    assert random[f"AUC less that of {EBM.name}"] == f"+0.150 ({0.15 - WIDE:+.3f} to {0.15 + WIDE:+.3f})"
    assert (many["seeds"], many["minutes"]) == ("1", "3")
    assert many[f"AUC less that of {EBM.name}"] == "-0.050 (-0.050 to -0.050)"
    assert "late" not in table
    assert table_beside(ebm, measured(late={2: 0.6})) == ""


def test_peoples_nll_is_compared_seed_by_seed():
    ebm = {seed: known(point(), nll=nll) for seed, nll in enumerate((3.0, 3.2))}
    told = {
        "blind": {seed: known(point(), nll=nll) for seed, nll in enumerate((2.9, 3.1))},
        "most probable": {seed: known(point(), nll=math.nan) for seed in (0, 1)},
    }
    table = table_beside(ebm, told)
    assert cells(table, "blind")[f"NLL less that of {EBM.name}"] == "-0.100 ± 0.000"
    assert cells(table, "most probable")["people's NLL, nats a token"] == "-"
    assert (
        cells(table_of_systems(systems_of({EBM.name: ebm})), EBM.name)["people's NLL, nats a token"] == "3.100 ± 1.271"
    )


def test_peoples_nll_is_told_by_seed_and_paired_with_what_is_asked():
    """Of seeds 1 and 2, that both have, blind costs .1 and .2 less; of seed 1 alone another one costs .3 more."""
    measured = {
        "baseline": {seed: known(point(), nll=nll) for seed, nll in enumerate((3.0, 3.1, 3.2))},
        "blind": {seed: replace(known(point(), nll=nll), known=0.8) for seed, nll in ((1, 3.0), (2, 3.0))},
        "another": {1: replace(known(point(), nll=3.4), known=0.7)},
        "most probable": {0: known(point(), nll=math.nan)},
    }
    table = table_of_likelihoods(measured, ["baseline", "another", "not run"])
    blind, another = cells(table, "blind"), cells(table, "another")
    assert [blind[f"seed {seed}"] for seed in (0, 1, 2)] == ["", "3.000", "3.000"]
    assert blind["less baseline"].startswith("-0.150 ± ")
    assert blind["less baseline"].endswith("(2)")
    assert blind["less another"] == "-0.400 (1)"
    assert (another["less baseline"], another["less another"]) == ("+0.300 (1)", "")
    assert (blind["its D's AUC"], another["its D's AUC"], cells(table, "baseline")["its D's AUC"]) == (
        "0.800 ± 0.000", "0.700", "",
    )  # fmt: skip
    assert "most probable" not in table


@pytest.mark.parametrize(
    ("system", "nll"),
    [({}, 2.5), ({"limit_nll_per_token_low": 2.4, "limit_nll_per_token_high": 2.45}, 2.5),
     ({"limit_nll_per_token_low": 2.0, "limit_nll_per_token_high": 9.0}, math.nan)],
)  # fmt: skip
def test_an_nll_whose_bounds_lie_apart_is_not_known(tmp_path, system, nll):
    told = {"title": "a run", "systems": {"resampling": {"nll_per_token": 2.5, **system}}, "humans": {}}
    (tmp_path / "results.json").write_text(json.dumps(told))
    assert nll_of(tmp_path, "resampling") == pytest.approx(nll, nan_ok=True)


def test_without_more_maximum_likelihood_nothing_is_compared():
    systems = systems_of(measured(GOLD={0: 0.6}))
    assert differences(systems) == {}
    table = table_of_systems(systems)
    assert "four of five" not in table
    assert cells(table, "GOLD")["judge's AUC"] == "0.600 (0.600 to 0.600)"
    assert len(systems_figure(systems).axes) == 1


def test_one_seed_has_no_p():
    """Its interval is over images alone: captioners of other seeds may lie elsewhere."""
    row = cells(table_of_systems(systems_of(measured(GOLD={0: 0.6}) | {MORE.name: {0: known(point())}})), "GOLD")
    assert (row["seeds"], row["p (Holm)"]) == ("1", "")


def test_the_figure_has_the_endpoint_and_its_difference():
    told = measured(GOLD={0: 0.6, 1: 0.7}) | {MORE.name: measured(more={0: 0.7, 1: 0.8})["more"]}
    endpoint, difference = systems_figure(systems_of(told)).axes
    for axes, even, values in ((endpoint, 0.5, [0.65, 0.75]), (difference, 0, [-0.1])):
        assert set(axes.lines[0].get_xdata()) == {even}
        assert axes.containers[0][0].get_xdata().tolist() == pytest.approx(values)
    bars = [segment[:, 0].tolist() for segment in endpoint.containers[0][2][0].get_segments()]
    assert bars[0] == pytest.approx([0.65 - WIDE, 0.65 + WIDE], abs=1e-4)
    assert [label.get_text() for label in endpoint.get_yticklabels()] == ["GOLD", MORE.name]


def test_what_was_planted_and_what_was_tried():
    planted = table_of_planted({0: {"temperature 1": 0.6}, 1: {"temperature 1": 0.8}})
    assert cells(planted, "temperature 1")["judge's AUC"].startswith("0.700 ± ")
    trials = table_of_trials({"GOLD": {"3e-5": 0.61, "1e-4": 0.6}, "DDO": {"1e-4": 0.7}}, ("3e-5", "1e-4"))
    assert list(cells(trials, "GOLD").values()) == ["GOLD", "0.6100", "0.6000"]
    assert list(cells(trials, "DDO").values()) == ["DDO", "", "0.7000"]


def phases_of(overrides):
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return compose("config", [one for one in overrides if not one.startswith("pretrained")]).phases


def test_matching_comes_before_the_ratio(tmp_path):
    """After it, D's logit would be that of pairs that belong together: the ratio of people to the policy no more."""
    study = Study("full", ["data=flickr8k"], workers=0, records=tmp_path)
    for rung in study.discriminators:
        phases = list(phases_of(study.discriminator(rung, 0, tmp_path)))
        assert phases[phases.index("ratio") - 1] == ("matching" if rung.matching else "mle")


def test_the_discriminator_without_the_image_is_of_the_chosen_kind(tmp_path):
    study = Study("full", ["data=flickr8k"], workers=0, records=tmp_path)
    for rung, kind in zip(study.discriminators, ("lstm", "likelihood_ratio"), strict=True):
        told = study.arm(BLIND, 0, tmp_path, tmp_path, chosen=Judge(rung, 0.5), rate=None)
        place = "discriminator@discriminator.discriminator"
        assert {f"{place}=blind", f"{place}.discriminator={kind}", "discriminator_training.steps=1000"} <= set(told)
        assert not any("pretrained_discriminator" in one for one in told)


def test_two_language_models_learn_as_long_as_the_discriminator_without_the_image(tmp_path):
    """The same start, batches, steps and choice of the best step: what each learns from alone is another."""
    study = Study("full", ["data=flickr8k"], workers=0, records=tmp_path)
    judge = Judge(study.discriminators[1], 0.5)
    blind, models = (
        phases_of(study.arm(arm, 0, tmp_path, tmp_path, chosen=judge, rate=None))["ratio"] for arm in (BLIND, MODELS)
    )
    assert set(models) == set(blind)
    assert {key for key in blind if blind[key] != models[key]} == {"trainer"}
    trainers = blind["trainer"], models["trainer"]
    assert [key for key in trainers[0] if trainers[0][key] != trainers[1].get(key)] == ["objective"]


def test_the_rival_at_equal_compute_makes_as_many_passes_as_the_discriminator(tmp_path):
    """1,000 steps of D of 900 passes; an update of maximum likelihood has 300. Its rate is that of the short one."""
    study = Study("full", ["data=flickr8k"], workers=0, records=tmp_path)
    told = study.arm(RIVAL, 0, tmp_path, tmp_path, chosen=Judge(study.discriminators[1], 0.5), rate="3e-5")
    phase = phases_of(told)["policy_gradient"]
    steps = phases_of(study.discriminator(study.discriminators[1], 0, tmp_path))["ratio"]["steps"]
    assert (phase.steps * 300, phase.images_per_batch * phase.captions_per_image) == (steps * 900, 100)
    assert phase.learning_rate == 3e-5


def test_the_discriminator_that_blinks_has_both_remedies(tmp_path):
    study = Study("full", ["data=flickr8k"], workers=0, records=tmp_path)
    told = study.arm(BLINKS, 0, tmp_path, tmp_path, chosen=Judge(study.discriminators[1], 0.5), rate=None)
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        made = compose("config", [one for one in told if not one.startswith("pretrained")])
    blinking = made.discriminator.discriminator
    assert blinking._target_.endswith("BlinkingDiscriminator")
    assert blinking.closed == 0.5
    assert blinking.discriminator._target_.endswith("LikelihoodRatioDiscriminator")
    assert (made.phases.ratio.averaging, made.phases.ratio.steps, made.phases.ratio.patience) == (0.98, 1000, 0)


def test_each_seed_has_a_judge_of_its_own(tmp_path):
    study = Study("full", ["data=flickr8k"], workers=0, records=tmp_path)
    assert [study.judge_of(seed).seed for seed in (study.tuning, 0, 1)] == [0, 0, 1]
    assert study.how(study.tuning) == study.how(0) != study.how(1)


def test_tables_are_made_of_records_alone(tmp_path, capsys):
    """A study of one seed, as another machine left it: it is chosen, tuned, placed and compared."""
    study = Study("quick", ["data=flickr8k"], workers=0, records=tmp_path / "records")
    (judge,) = study.discriminators

    def keep(name, overrides, found, how=""):
        how = how if name.startswith("discriminator") else f"{study.how(0)}{how}"
        study.records.keep(Wanted(name, 0, overrides, measure=dict, how=how), found, base="abc")

    keep(f"discriminator, {judge.name}", study.discriminator(judge, 0, tmp_path),
         {"log_loss": 0.68, "auc": 0.57, "ece": 0.01, "deviation": 0.634, "minutes": 10.0})  # fmt: skip
    given = Judge(judge, 0.634)

    def told_on(split):
        return (tmp_path / f"table_{split}.md").read_text().split("\n\n")

    judged_at = f", judged at {(1.2, 1.0)}"
    best = {MLE: 0.7, "more maximum likelihood": 0.69, EBM.name: 0.65, "KL policy gradient, beta 1": 0.6}
    for name, auc in {**best, "EBM, random logits": 0.8}.items():
        arm = next((arm for arm in (*study.arms, *study.beside) if arm.name == name), None)
        rate = study.rates[0] if arm is not None and arm.learns else None
        own = study.baseline(0) if arm is None else study.arm(arm, 0, tmp_path, tmp_path, chosen=given, rate=rate)
        worse, chosen = point(auc=(0.9, 0.9)), point(auc=(auc, auc), temperature=1.2)
        if name in best:
            keep(f"{name}, all points", own, asdict(known(worse, chosen)))
        keep(name, own, asdict(known(replace(worse, auc=None), chosen)), judged_at)
        if rate is not None:
            keep(f"{name}, rate {rate}", own, asdict(known(chosen)), f", trials at {TRIED}")
    assert "phases.resampling.decoding.judge.std=0.63" in own, "the discriminator's own deviation"
    keep(PLANTED, study.baseline(0), {"temperature 1": 0.7})
    chosen = choose(study)
    rates = tune(study, chosen)
    assert (chosen, rates) == (given, {"more maximum likelihood": "3e-5", "KL policy gradient, beta 1": "3e-5"})
    places = place(study, chosen, rates)
    assert places == dict.fromkeys(best, (1.2, 1.0))
    compare(study, chosen, rates, places)
    table, *_, beside, likelihoods, differences_of_baselines = told_on("val")
    assert cells(likelihoods, EBM.name)["seed 0"] == "3.000"
    assert cells(beside, "EBM, random logits")[f"AUC less that of {EBM.name}"].startswith("+0.150")
    assert cells(table, "KL policy gradient, beta 1")["minutes"] == "13", "3.4 and its discriminator's 10"
    assert cells(table, "KL policy gradient, beta 1")[f"AUC less that of {MORE.name}"].startswith("-0.090")
    assert cells(differences_of_baselines, "temperature 1")["judge's AUC"].startswith("0.700")
    assert {path.name for path in tmp_path.iterdir()} == {
        "records", "discriminators.md", "tuning.md", "places.md", "table_val.md", "figure_val.png",
    }  # fmt: skip
    study.splits = Study("test", ["data=flickr8k"], workers=0, records=tmp_path).splits
    keep(f"{MLE}, test", study.baseline(0), asdict(known(point(auc=(0.66, 0.66), temperature=1.2))), judged_at)
    compare(study, chosen, rates, places)
    table, *_ = told_on("test")
    assert cells(table, MLE)["judge's AUC"].startswith("0.660"), "that of dev was .7"


def test_a_test_split_that_is_not_there_is_told_before_anything_is_trained(tmp_path):
    (tmp_path / "Flicker8k_Dataset").mkdir()
    for split, name in {"train": "a", "dev": "b"}.items():
        Image.new("RGB", (4, 4)).save(tmp_path / "Flicker8k_Dataset" / f"{name}.jpg")
        (tmp_path / f"Flickr_8k.{split}Images.txt").write_text(f"{name}.jpg\n")
    (tmp_path / "Flickr8k.token.txt").write_text("a.jpg#0\tA dog .\nb.jpg#0\tA cat .\n")
    with pytest.raises(SystemExit, match=r"testImages.txt: there is no such file"):
        main("test", "data=flickr8k", f"data.root={tmp_path}", f"records={tmp_path / 'records'}")
    assert not (tmp_path / "records").exists()


@pytest.fixture(scope="module")
def captioners(tmp_path_factory):
    """Of maximum likelihood, without an encoder: two of other seeds, and one with another word."""
    home = tmp_path_factory.mktemp("captioners")
    tiny = [one for one in TINY if not one.startswith(("encoder.", "phases.words."))]
    sizes = ("data=oracle", "encoder=none", "generator=lstm", "data.length=4", "max_length=5")
    asked = ("+experiment=mle", "holdout.check=0.3", *sizes, f"outputs={home}/outputs", f"cache={home}/cache")
    others = ((0, 12), (1, 12), (1, 13))
    made = (composed(*tiny, *asked, f"seed={seed}", f"data.words={words}") for seed, words in others)
    return [run_experiment(config, data="oracle").folder for config in made]


def test_another_captioner_is_a_discriminator(captioners):
    """Its logit is a line in log p_other - log p_ref, each captioner's own score, with the slope of Platt's fit."""
    trained, other, given = (open_run(run, device="cpu") for run in (*captioners[:2], captioners[1]))
    trained.load("mle")
    other.load("mle")
    found = taught(trained, given)
    evaluator = evaluator_of(trained, "val", samples_per_image=5)
    drawn = evaluator.sample(trained.captioner, evaluator.sampling)
    theirs, own = (np.array(evaluator.scored(one.captioner, drawn, evaluator.sampling)) for one in (other, trained))
    ratios, judged = (theirs - own).ravel(), np.array(evaluator.judged(found, drawn)).ravel()
    assert ratios.std() > 0.01, "they are two"
    np.testing.assert_allclose(judged, found.scale.item() * ratios + found.shift.item(), atol=1e-4)
    assert found.scale != 1


def test_a_captioner_of_other_words_judges_nothing(captioners):
    trained, _, other = (open_run(run, device="cpu") for run in captioners)
    with pytest.raises(ValueError, match="the same vocabulary"):
        taught(trained, other)


def test_what_another_captioner_resamples_is_measured(captioners):
    """As an arm is: a point that its judge was asked at, people's NLL, and what it knows of the policy's samples."""
    base, run, _ = captioners
    judge = JudgeSettings(folds=2, epochs=1, hidden=8, embedding=4, batch_captions=64, learning_rate=1e-3)
    told = Found.of(found_by_another(run, base, "val", judge, (1.0, 1.0)))
    (only,) = told.points
    assert only.place == (1.0, 1.0)
    assert len(only.auc) == 8
    assert [len(list(folder.glob("samples_resampled_by_*"))) for folder in (base, run)] == [1, 0], "they are the base's"
    assert math.isnan(told.cider_d)
    assert 0 < told.known < 1
    plain = read_results(base, base)["systems"]["mle"]["nll_per_token"]
    assert told.nll == pytest.approx(plain, abs=0.5)
    assert told.nll != plain
