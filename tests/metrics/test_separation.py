"""What a judge knows, against counting pairs by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as some

from gan_caption.metrics.separation import separation

PROBABILITIES = some.lists(some.sampled_from([0.1, 0.25, 0.5, 0.75, 0.9]), min_size=1, max_size=9)


def test_a_hand_worked_case():
    found = separation([0.9, 0.6, 0.5], [0.2, 0.6])
    assert found.accuracy == pytest.approx(((2 + 0.5) / 3 + 1 / 2) / 2)
    assert found.auc == pytest.approx((2 + 1.5 + 1) / 6)
    logs = [math.log(0.9), math.log(0.6), math.log(0.5)], [math.log(0.8), math.log(0.4)]
    assert found.log_loss == pytest.approx(-(sum(logs[0]) / 3 + sum(logs[1]) / 2) / 2)


def test_one_who_knows_nothing_and_one_who_knows_all():
    assert separation([0.5] * 3, [0.5] * 4) == pytest.approx((0.5, 0.5, math.log(2)))
    assert separation([1.0, 1.0], [0.0]) == (1.0, 1.0, 0.0)
    assert separation([0.0], [1.0]) == (0.0, 0.0, math.inf)


@given(PROBABILITIES, PROBABILITIES)
def test_the_area_is_the_share_of_pairs_in_the_right_order(real, generated):
    pairs = [(one > other) + (one == other) / 2 for one in real for other in generated]
    assert separation(real, generated).auc == pytest.approx(sum(pairs) / len(pairs))


def test_both_kinds_are_needed():
    with pytest.raises(ValueError, match="0 real and 1 generated"):
        separation([], [0.5])
