"""What the study of methods on photographs makes of its numbers, by hand."""

from __future__ import annotations

import math

import pytest

from experiments.flickr8k.verdict import PEOPLE, height, heights_of, table_of_beams, table_of_samples


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


def test_seeds_are_paired():
    base = {0: run(points=((0.5, 0.4), (0.9, 0.2))), 1: run(points=((0.5, 0.5), (0.9, 0.3)))}
    own = {1: run(points=((0.5, 0.52), (0.9, 0.32))), 2: run()}
    assert heights_of(own, base) == pytest.approx([2.0])


def test_the_difference_of_beams_is_that_of_the_same_images():
    found = {
        "maximum likelihood": {0: run(each=(0.4, 0.6)), 1: run(each=(0.2, 0.8))},
        "nsc": {0: run(each=(0.5, 0.7)), 1: run(each=(0.3, 0.9))},
    }
    told = row_of(table_of_beams(found), "nsc")
    assert told[1] == "2"
    assert told[-2].startswith("+10.0 (+10.0 to +10.0)")  # each image of each seed gained as much
    assert row_of(table_of_beams(found), "maximum likelihood")[-2:] == ["", ""]


def test_people_stand_below_the_systems_once():
    humans = {"cider_d": 0.9, "chair_references_i": 0.02, "sample_cider_d": 0.9, "self_cider": 0.8}
    found = {"maximum likelihood": {0: run(), 1: run(humans=humans)}, "nsc": {0: run(humans=humans)}}
    assert row_of(table_of_beams(found), PEOPLE)[3] == "90.0"
    assert row_of(table_of_samples(found), PEOPLE)[2:4] == ["90.0", "0.800"]
    assert PEOPLE not in table_of_beams({"maximum likelihood": {0: run()}})
