"""What the study of the ratio on photographs makes of what it measured, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.ratio_on_flickr8k.measure import Point
from experiments.ratio_on_flickr8k.verdict import STRATA, AtEqualDiversity, cross_fitted, power, stratified
from experiments.ratio_on_flickr8k.words import unsupported
from gan_caption.metrics.bootstrap import Difference

SHORT, LONG = STRATA[0] - 1, STRATA[-1] + 3


def point(*, auc=(0.6, 0.6), self_cider=(0.5, 0.5), cider_d=((0.0, 0.0), (0.0, 0.0)), lengths=None) -> Point:
    told = lengths or [[SHORT, LONG], [SHORT, LONG]]
    return Point(1.0, 1.0, list(auc), list(self_cider), [list(own) for own in cider_d], [[0, 0], [0, 0]], told, {})


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
