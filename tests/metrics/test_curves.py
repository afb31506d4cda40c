"""Diversity at equal quality, on curves whose difference is known."""

from __future__ import annotations

import numpy as np
import pytest

from gan_caption.errors import UserError
from gan_caption.metrics.curves import ALIKE, BELOW, CROSSES, DOMINATES, Curve, at_equal_quality


def curve(quality, diversity, *, seeds=1, images=200, noise=0.0, seed=0):
    """A curve whose images scatter around the given points, with their mean exactly there."""
    rng = np.random.default_rng(seed)
    made = []
    for points in (quality, diversity):
        scatter = noise * rng.standard_normal((seeds, len(points), images))
        scatter -= scatter.mean((0, 2), keepdims=True)
        made.append(np.array(points)[None, :, None] + scatter)
    return Curve(*made)


LINE = ([1.0, 0.8, 0.4], [0.2, 0.4, 0.8])  # diversity = 1.2 - quality


def test_a_shifted_curve_dominates_by_the_shift():
    told = at_equal_quality(curve(LINE[0], [0.3, 0.5, 0.9], noise=0.1), curve(*LINE, noise=0.1, seed=1))
    assert told.difference == pytest.approx(np.full(21, 0.1))
    assert told.mean == pytest.approx(0.1)
    assert told.interval[0] < 0.1 < told.interval[1]
    assert told.verdict == DOMINATES
    assert at_equal_quality(curve(*LINE, noise=0.1), curve(LINE[0], [0.3, 0.5, 0.9], noise=0.1)).verdict == BELOW


def test_only_qualities_that_both_reach_are_compared():
    # The system lies on the same line, from quality .9 to .6; it has nothing to say of .4.
    told = at_equal_quality(curve([0.9, 0.6], [0.3, 0.6]), curve(*LINE))
    assert told.levels[[0, -1]] == pytest.approx([0.6, 0.9])
    assert told.difference == pytest.approx(np.zeros(21), abs=1e-9)
    assert told.verdict == ALIKE
    with pytest.raises(UserError, match="no quality is reached by both: 2 to 3 against"):
        at_equal_quality(curve([3.0, 2.0], [0.1, 0.2]), curve(*LINE))


def test_worse_and_less_diverse_points_do_not_count_against_a_curve():
    # From the second to the third point quality falls and diversity with it: nobody has to decode there.
    told = at_equal_quality(curve([1.0, 0.8, 0.7, 0.4], [0.2, 0.4, 0.1, 0.8]), curve([1.0, 0.8, 0.4], [0.2, 0.4, 0.8]))
    assert (told.difference <= 1e-9).all()
    level = np.abs(told.levels - 0.7).argmin()
    # Between .7 (.1) and .4 (.8) the line reaches 0.4 again at .571: until there, .4 of the second point stands.
    assert told.difference[level] == pytest.approx(0.4 - 0.5, abs=1e-6)


def test_curves_that_cross_and_curves_that_only_scatter():
    crossing = at_equal_quality(curve(LINE[0], [0.5, 0.5, 0.5], noise=0.05), curve(*LINE, noise=0.05, seed=1))
    assert crossing.verdict == CROSSES
    assert crossing.difference[0] == pytest.approx(-0.3)
    assert crossing.difference[-1] == pytest.approx(0.3)
    scattered = at_equal_quality(curve(*LINE, noise=2.0), curve(LINE[0], [0.21, 0.41, 0.81], noise=2.0, seed=1))
    assert scattered.verdict == ALIKE


def test_intervals_are_as_wide_as_the_means_scatter():
    # One point each, the same quality everywhere: the interval is that of a mean of 400 differences.
    rng = np.random.default_rng(0)
    flat = np.ones((1, 1, 400))
    one, other = rng.standard_normal((2, 1, 1, 400))
    told = at_equal_quality(Curve(flat, one), Curve(flat, other), draws=4000)
    half = 1.96 * (one - other).std(ddof=1) / 20
    assert told.mean == pytest.approx((one - other).mean())
    assert (told.interval[1] - told.interval[0]) / 2 == pytest.approx(half, rel=0.1)


def test_intervals_at_the_highest_level_cover_the_difference_as_often_as_they_say():
    # Two systems alike in law: the difference is 0. Half of the draws end before the highest level.
    rng, runs, covered = np.random.default_rng(0), 500, 0
    for _ in range(runs):
        quality, diversity = (
            np.array(points)[None, :, None] + 0.5 * rng.standard_normal((2, 3, 100)) for points in LINE
        )
        system, baseline = (Curve(quality[[one]], diversity[[one]]) for one in range(2))
        told = at_equal_quality(system, baseline, levels=3, draws=300)
        covered += told.low[-1] <= 0 <= told.high[-1]
    assert covered / runs == pytest.approx(0.95, abs=0.03)  # 3 standard errors


def test_seeds_that_differ_widen_the_interval():
    quality = np.ones((3, 1, 100))
    same = at_equal_quality(Curve(quality, np.full((3, 1, 100), 0.5)), Curve(quality, np.zeros((3, 1, 100))))
    assert same.interval == pytest.approx((0.5, 0.5))
    differing = np.array([0.2, 0.5, 0.8])[:, None, None] * np.ones((3, 1, 100))
    told = at_equal_quality(Curve(quality, differing), Curve(quality, np.zeros((3, 1, 100))))
    assert told.mean == pytest.approx(0.5)
    half = 4.302653 * 0.3 / 3**0.5  # Student's t with 2 degrees of freedom
    assert told.interval == pytest.approx((0.5 - half, 0.5 + half))


def test_unpaired_curves_are_refused():
    with pytest.raises(UserError, match="1 seeds and 200 images against 2 and 200"):
        at_equal_quality(curve(*LINE), curve(*LINE, seeds=2))
