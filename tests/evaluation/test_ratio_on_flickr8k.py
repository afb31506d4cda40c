"""What the study of the ratio on photographs makes of what it measured, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.ratio_on_flickr8k.arms import MORE
from experiments.ratio_on_flickr8k.figures import systems_figure
from experiments.ratio_on_flickr8k.measure import Point
from experiments.ratio_on_flickr8k.verdict import (
    STRATA,
    AtEqualDiversity,
    People,
    cross_fitted,
    differences,
    power,
    stratified,
    systems_of,
    table_of_planted,
    table_of_systems,
    table_of_trials,
)
from experiments.ratio_on_flickr8k.words import unsupported
from gan_caption.metrics.bootstrap import Difference
from tests.evaluation.test_ratio_on_scenes import cells

SHORT, LONG = STRATA[0] - 1, STRATA[-1] + 3
PEOPLE = People([[SHORT, LONG], [SHORT, LONG]], np.array([0.5, 0.7]))


def point(*, auc=(0.6, 0.6), self_cider=(0.5, 0.5), cider_d=((0.0, 0.0), (0.0, 0.0)), lengths=None) -> Point:
    told = lengths or [[SHORT, LONG], [SHORT, LONG]]
    return Point(1.0, 1.0, list(auc), list(self_cider), [list(own) for own in cider_d], [[0, 0], [0, 0]], told,
                 {"lm_nll": 3.0, "reverse_lm_nll": 4.0})  # fmt: skip


def test_captions_are_weighed_by_length_as_people_write():
    """Short captions are worth 4 and long ones 1; who writes short ones gains nothing by that."""
    shares = np.array([0.25, 0, 0, 0, 0.75])
    mostly_short = point(cider_d=((4, 4), (4, 1)), lengths=[[SHORT, SHORT], [SHORT, LONG]])
    mostly_long = point(cider_d=((4, 1), (1, 1)), lengths=[[SHORT, LONG], [LONG, LONG]])
    for one in (mostly_short, mostly_long):
        assert AtEqualDiversity.of([one], [one.cider_d], shares, 0.5).corpus == pytest.approx(0.25 * 4 + 0.75 * 1)
    only_short = point(cider_d=((4, 4), (2, 2)), lengths=[[SHORT, SHORT], [SHORT, SHORT]])
    assert AtEqualDiversity.of([only_short], [only_short.cider_d], shares, 0.5).corpus == pytest.approx(3)


def test_points_are_joined_over_diversity():
    shares = np.array([0.5, 0, 0, 0, 0.5])
    cold = point(self_cider=(0.1, 0.3), cider_d=((3, 3), (1, 1)))
    warm = point(self_cider=(0.6, 0.6), cider_d=((1, 1), (1, 1)))
    for level, worth in ((0.2, 2), (0.4, 1.5), (0.6, 1), (0.9, 1), (0.0, 2)):
        score = AtEqualDiversity.of([warm, cold], [warm.cider_d, cold.cider_d], shares, level)
        assert score.corpus == pytest.approx(worth)
    drawn = AtEqualDiversity.of([warm, cold], [warm.cider_d, cold.cider_d], shares, 0.35)
    # The first image alone lies at .1 and 3, the second at .3 and 1; the warm point is the same for both.
    assert drawn.resampled(np.array([[2.0, 0.0], [0.0, 2.0]])) == pytest.approx([3 - 2 * 0.5, 1])


def test_strata_hold_their_lower_ends():
    lengths = [SHORT, *STRATA, LONG]
    assert stratified(lengths, np.ones(len(lengths))).tolist() == [1, 1, 1, 1, 2]
    assert stratified(lengths, range(len(lengths))).tolist() == [0, 1, 2, 3, 4 + 5]


def test_each_half_is_measured_where_the_other_half_is_best():
    first, second = np.array_split(np.random.default_rng(0).permutation(10), 2)
    good_for_first, good_for_second = (np.full(10, 0.9) for _ in range(2))
    good_for_first[first], good_for_second[second] = 0.5, 0.5
    points = [point(auc=good_for_first), point(auc=good_for_second)]
    score, chosen = cross_fitted(points)
    assert score.per_image.tolist() == [0.9] * 10, "what is best on the images that chose it is not reported"
    assert chosen == points[::-1]
    score, chosen = cross_fitted(points, [point(auc=[0.2] * 4), point(auc=[0.6] * 4)])
    assert score.per_image.tolist() == good_for_second.tolist()
    assert chosen == points[1:]


def test_words_that_no_reference_has():
    references = [["two dogs running", "a dog runs on grass"], ["a man"]]
    captions = [["a dog is running", "the dogs run with a ball", ""], ["two men"]]
    assert unsupported(captions, references) == [[0, 1, 0], [2]]


def test_the_smallest_difference_that_would_be_seen():
    told = [Difference(0.0, (-half, half), 1.0) for half in (0.0098, 0.0196, 0.0392)]
    assert "difference of 0.028 in AUC" in power(told)  # (1.96 + .84) standard errors of .01


def measured(**aucs):
    """Of each system by seed, one point that has the same AUC on every image."""
    return {name: {seed: [point(auc=(one, one))] for seed, one in own.items()} for name, own in aucs.items()}


def test_systems_are_compared_on_the_seeds_that_all_have():
    """Of both seeds, images alike: whatever is drawn, GOLD is .1 nearer to people, and EBM nearer by .05 and by .15."""
    told = measured(GOLD={0: 0.6, 1: 0.7, 2: 0.9}, EBM={0: 0.65, 1: 0.65}) | {
        MORE.name: measured(more={0: 0.7, 1: 0.8, 3: 0.5})["more"]
    }
    systems = systems_of(told, PEOPLE)
    assert systems["GOLD"].mean_auc == pytest.approx(0.65)
    found = differences(systems)
    assert list(found) == ["GOLD", "EBM"]
    assert (found["GOLD"].value, *found["GOLD"].interval) == pytest.approx([-0.1] * 3)
    assert (found["EBM"].value, *found["EBM"].interval) == pytest.approx([-0.1, -0.15, -0.05])
    table = table_of_systems(systems, PEOPLE, {"GOLD": 3.4})
    row = cells(table, "GOLD")
    assert (row["seeds"], row["minutes"], row["judge's AUC"]) == ("2", "3", "0.650 (0.600 to 0.700)")
    assert row[f"AUC less that of {MORE.name}"] == "-0.100 (-0.100 to -0.100)"
    assert row["p (Holm)"] == f"{2 * 2 / 1001:.3f}", "no draw of a thousand is on the other side; two arms are asked"
    assert (row["LM, nats"], row["reverse LM, nats"], row["Self-CIDEr reached"]) == ("3.000 ± 0.000", "4.000 ± 0.000",
                                                                                    "0.50 to 0.50")  # fmt: skip
    assert cells(table, MORE.name)["p (Holm)"] == ""
    assert "People's Self-CIDEr, at which CIDEr-D and unsupported words are compared, is 0.600." in table
    # EBM's interval is the wider one: .1 = 2 x 1.96 standard errors, of which 2.8 are seen.
    assert f"A difference of {2.8 * 0.1 / (2 * 1.96):.3f} in AUC" in table


def test_without_more_maximum_likelihood_nothing_is_compared():
    systems = systems_of(measured(GOLD={0: 0.6}), PEOPLE)
    assert differences(systems) == {}
    table = table_of_systems(systems, PEOPLE, {})
    assert "four of five" not in table
    assert cells(table, "GOLD")["judge's AUC"] == "0.600 (0.600 to 0.600)"
    assert len(systems_figure(systems).axes) == 1


def test_systems_without_a_common_seed_are_told():
    with pytest.raises(SystemExit, match="no seed is finished in all arms"):
        systems_of(measured(GOLD={0: 0.6}, DDO={1: 0.6}), PEOPLE)


def test_the_figure_has_the_endpoint_and_its_difference():
    told = measured(GOLD={0: 0.6, 1: 0.7}) | {MORE.name: measured(more={0: 0.7, 1: 0.8})["more"]}
    endpoint, difference = systems_figure(systems_of(told, PEOPLE)).axes
    for axes, even, values in ((endpoint, 0.5, [0.65, 0.75]), (difference, 0, [-0.1])):
        assert set(axes.lines[0].get_xdata()) == {even}
        assert axes.containers[0][0].get_xdata().tolist() == pytest.approx(values)
    bars = [segment[:, 0].tolist() for segment in endpoint.containers[0][2][0].get_segments()]
    assert bars[0] == pytest.approx([0.6, 0.7])
    assert [label.get_text() for label in endpoint.get_yticklabels()] == ["GOLD", MORE.name]


def test_what_was_planted_and_what_was_tried():
    planted = table_of_planted({0: {"temperature 1": 0.6}, 1: {"temperature 1": 0.8}})
    assert cells(planted, "temperature 1")["judge's AUC"].startswith("0.700 ± ")
    trials = table_of_trials({"GOLD": {"3e-5": 0.61, "1e-4": 0.6}, "DDO": {"1e-4": 0.7}}, ("3e-5", "1e-4"))
    assert list(cells(trials, "GOLD").values()) == ["GOLD", "0.6100", "0.6000"]
    assert list(cells(trials, "DDO").values()) == ["DDO", "", "0.7000"]
