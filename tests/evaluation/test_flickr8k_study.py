"""What the study of methods on photographs makes of its numbers, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from experiments.flickr8k.verdict import (
    PEOPLE,
    height,
    heights_of,
    lines,
    smoothly,
    table_of_beams,
    table_of_likelihoods,
    table_of_samples,
)


def curve(*points):
    return [{"self_cider": x, "sample_cider_d": y} for x, y in points]


def run(*, each=(0.4, 0.6), points=((0.5, 0.4), (0.9, 0.2)), **more):
    metrics = {"cider_d": sum(each) / len(each), "sample_cider_d": 0.2, "self_cider": 0.9}
    return {"minutes": 1.0, "metrics": metrics, "cider_d": list(each), "curve": curve(*points), **more}


def row_of(table, name):
    (line,) = [line for line in table.splitlines() if line.startswith(f"| {name} ")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_curve_is_compared_where_both_are_diverse_alike():
    """Colder by itself is no higher: both lie on one line. Of two parallel lines the upper one lies .1 higher."""
    line = curve((0.5, 0.5), (0.9, 0.1))
    assert height(curve((0.6, 0.4), (0.7, 0.3)), line) == pytest.approx(0)
    assert height(curve((0.7, 0.4), (0.9, 0.2)), line) == pytest.approx(0.1)
    assert height(curve((0.2, 0.9), (0.7, 0.4)), line) == pytest.approx(0.1)  # from .5 to .7 alone
    assert math.isnan(height(curve((0.91, 0.4), (0.95, 0.2)), line))


def test_points_that_are_joined_smoothly_follow_a_bend():
    """Of a parabola, whose lines lie below it; where a curve has a point, both have its value."""
    x = np.linspace(0, 1, 5)
    levels = np.linspace(0.3, 0.7, 9)
    bent = -((levels - 0.2) ** 2)
    off = [np.abs(join(levels, x, -((x - 0.2) ** 2)) - bent).max() for join in (lines, smoothly)]
    assert off[1] < off[0] / 3
    assert smoothly(x, x, x**3) == pytest.approx(x**3)
    steep = [{"self_cider": 0.5 + one / 10, "sample_cider_d": 0.4 - one**2 / 50} for one in range(4)]
    flat = curve((0.5, 0.1), (0.8, 0.1))
    assert height(steep, flat, smoothly) > height(steep, flat, lines) + 1e-3


@pytest.mark.parametrize("join", [lines, smoothly])
def test_points_that_are_equally_diverse_count_as_the_best_of_them(join):
    twice = curve((0.5, 0.3), (0.5, 0.5), (0.9, 0.1))
    assert height(twice, curve((0.5, 0.5), (0.9, 0.1)), join) == pytest.approx(0)


def test_who_shares_no_seed_with_the_baseline_is_not_compared():
    """The baseline is known by its name, wherever it stands."""
    found = {"nsc": {0: run(each=(0.5, 0.7))}, "maximum likelihood": {0: run()}, "late": {7: run()}}
    for table in (table_of_beams(found, "maximum likelihood"), table_of_samples(found, "maximum likelihood")):
        assert row_of(table, "late")[-2:] == row_of(table, "maximum likelihood")[-2:] == ["", ""]
    assert row_of(table_of_beams(found, "maximum likelihood"), "nsc")[-2].startswith("+10.0")
    assert row_of(table_of_beams(found, "not there"), "nsc")[-2:] == ["", ""]


def test_seeds_are_paired():
    base = {0: run(points=((0.5, 0.4), (0.9, 0.2))), 1: run(points=((0.5, 0.5), (0.9, 0.3)))}
    own = {1: run(points=((0.5, 0.52), (0.9, 0.32))), 2: run()}
    assert heights_of(own, base) == pytest.approx([2.0])


def test_the_difference_of_beams_is_that_of_the_same_images():
    found = {
        "maximum likelihood": {0: run(each=(0.4, 0.6)), 1: run(each=(0.2, 0.8))},
        "nsc": {0: run(each=(0.5, 0.7)), 1: run(each=(0.3, 0.9))},
    }
    told = row_of(table_of_beams(found, "maximum likelihood"), "nsc")
    assert told[1] == "2"
    assert told[-2].startswith("+10.0 (+10.0 to +10.0)")  # each image of each seed gained as much
    assert row_of(table_of_beams(found, "maximum likelihood"), "maximum likelihood")[-2:] == ["", ""]


def test_what_peoples_captions_cost_is_paired_by_seed():
    def costs(nll, **bounds):
        return {"metrics": {"nll_per_token": nll, **{f"limit_nll_per_token_{end}": own for end, own in bounds.items()}}}

    found = {
        "maximum likelihood": {0: costs(2.0), 1: costs(2.5), 2: costs(2.9)},
        "residual EBM": {0: costs(1.8, low=1.7, high=1.9), 1: costs(2.4, low=2.3, high=2.5)},
        "nsc": {1: costs(2.75)},
    }
    table = table_of_likelihoods(found, "maximum likelihood")
    # -.2 and -.1: their mean, 12.706 standard errors of .05, and t = 3 of one degree of freedom
    assert row_of(table, "residual EBM")[3:] == ["2.0000 to 2.2000", "-0.1500 ± 0.6353", "0.205"]
    assert row_of(table, "nsc")[2:] == ["2.7500", "", "+0.2500", ""]
    assert row_of(table, "maximum likelihood")[3:] == ["", "", ""]


def test_people_stand_below_the_systems_once():
    humans = {"cider_d": 0.9, "chair_references_i": 0.02, "sample_cider_d": 0.9, "self_cider": 0.8,
              "length": 11.4, "sample_length": 10.9}  # fmt: skip
    found = {"maximum likelihood": {0: run(), 1: run(humans=humans)}, "nsc": {0: run(humans=humans)}}
    row = row_of(table_of_beams(found, "maximum likelihood"), PEOPLE)
    assert (row[3], row[5]) == ("90.0", "10.9"), "words of all their captions, not of the first ones"
    assert row_of(table_of_samples(found, "maximum likelihood"), PEOPLE)[2:4] == ["90.0", "0.800"]
    assert PEOPLE not in table_of_beams({"maximum likelihood": {0: run()}}, "maximum likelihood")
