"""What a judge knows, against counting pairs by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as some

from gan_caption.metrics import separation as module
from gan_caption.metrics.separation import Separation, reliability


def separation(real: list[float], generated: list[float]) -> Separation:
    """That of these probabilities."""
    return module.separation(*([math.log(one / (1 - one)) for one in told] for told in (real, generated)))


PROBABILITIES = some.lists(some.sampled_from([0.1, 0.25, 0.5, 0.75, 0.9]), min_size=1, max_size=9)


def test_a_hand_worked_case():
    found = separation([0.9, 0.6, 0.5], [0.2, 0.6])
    assert found.accuracy == pytest.approx(((2 + 0.5) / 3 + 1 / 2) / 2)
    assert found.auc == pytest.approx((2 + 1.5 + 1) / 6)
    logs = [math.log(0.9), math.log(0.6), math.log(0.5)], [math.log(0.8), math.log(0.4)]
    assert found.log_loss == pytest.approx(-(sum(logs[0]) / 3 + sum(logs[1]) / 2) / 2)


def test_one_who_knows_nothing_and_one_who_knows_all():
    assert separation([0.5] * 3, [0.5] * 4) == pytest.approx((0.5, 0.5, math.log(2), 0.0))
    assert module.separation([math.inf] * 2, [-math.inf]) == pytest.approx((1.0, 1.0, 0.0, 0.0))
    assert module.separation([-math.inf], [math.inf]) == pytest.approx((0.0, 0.0, math.inf, 1.0))


def test_one_who_is_very_sure_still_tells_captions_apart():
    """Logits of 20 and 40, 17 and 19: as probabilities in float32 they would all be 1."""
    found = module.separation([20.0, 40.0], [17.0, 19.0])
    assert found.auc == 1.0
    assert found.accuracy == 0.5
    assert found.log_loss == pytest.approx((17 + 19) / 4, rel=1e-6)


@given(PROBABILITIES, PROBABILITIES)
def test_the_area_is_the_share_of_pairs_in_the_right_order(real, generated):
    pairs = [(one > other) + (one == other) / 2 for one in real for other in generated]
    assert separation(real, generated).auc == pytest.approx(sum(pairs) / len(pairs))


def test_both_kinds_are_needed():
    with pytest.raises(ValueError, match="0 real and 1 generated"):
        separation([], [0.5])


def test_the_calibration_error_of_a_hand_worked_case():
    """Of fifteen intervals .9 and .92 share one, .34 and .35 another, .05 is alone; each kind weighs a half in all."""
    high = (0.9 / 4 + 0.92 / 4 + 0.9 / 8) / (5 / 8)
    expected = 0.05 / 8 + 0.345 * 2 / 8 + (high - 4 / 5) * 5 / 8
    assert separation([0.9, 0.92], [0.9, 0.34, 0.35, 0.05]).ece == pytest.approx(expected)


def test_a_diagram_has_bins_of_equally_many_captions_however_near_their_probabilities_lie():
    """30 captions, from .500 on by .001: the 10 of people are the last ones, and two captions share a bin."""
    told = [0.5 + row / 1000 for row in range(30)]
    bins = reliability(told[20:], told[:20])
    assert [one.captions for one in bins] == [2] * 15
    assert [one.weight for one in bins] == pytest.approx([2 / 40] * 10 + [2 / 20] * 5)
    assert [one.probability for one in bins] == pytest.approx([0.5005 + row / 500 for row in range(15)])
    assert [one.people for one in bins] == pytest.approx([0.0] * 10 + [1.0] * 5)


def test_equal_probabilities_share_a_bin_whoever_wrote_the_captions():
    """One caption of people's three and one of two generated ones have .9: a third against a half."""
    ((weight, probability, people, captions),) = reliability([0.9] * 3, [0.9] * 2)
    assert (weight, probability, people, captions) == pytest.approx((1.0, 0.9, 0.5, 5))
    low, high = reliability([0.9, 0.2, 0.2], [0.2, 0.9])
    assert low == pytest.approx((2 / 6 + 1 / 4, 0.2, (2 / 6) / (2 / 6 + 1 / 4), 3))
    assert high == pytest.approx((1 / 6 + 1 / 4, 0.9, (1 / 6) / (1 / 6 + 1 / 4), 2))


def test_a_judge_that_is_too_sure_has_a_calibration_error_and_one_that_says_what_it_knows_has_none():
    told, wrong = [0.75] * 3 + [0.25], [0.75] + [0.25] * 3
    assert separation(told, wrong).ece == pytest.approx(0.0)
    sure = [[{0.75: 0.95, 0.25: 0.05}[one] for one in own] for own in (told, wrong)]
    assert separation(*sure).ece == pytest.approx(0.2)


def test_both_ends_of_the_scale_have_a_bin():
    assert [(one.probability, one.people) for one in reliability([1.0], [0.0])] == [(0.0, 0.0), (1.0, 1.0)]
