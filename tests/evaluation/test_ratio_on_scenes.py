"""What the study of the ratio on scenes makes of its numbers, by hand."""

from __future__ import annotations

import math

import pytest

from experiments.ratio_on_scenes.measure import matched


def test_lengths_weigh_as_people_have_them():
    """Of 3 words half are true, of 5 all; people write 1 of 3, 3 of 5, and 7 words, which nobody sampled."""
    values, lengths = [1.0, 0.0, 1.0, 0.0], [3, 3, 5, 9]
    assert matched(values, lengths, {3: 1, 5: 3, 7: 10}) == pytest.approx((1 * 0.5 + 3 * 1.0) / 4)


def test_lengths_that_nobody_writes_tell_nothing():
    assert math.isnan(matched([1.0, 0.0], [20, 21], {3: 1, 5: 3}))
