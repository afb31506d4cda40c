"""The Jensen-Shannon divergence against its definition."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gan_caption.metrics.divergence import jensen_shannon


def by_definition(p: dict[str, float], q: dict[str, float]) -> float:
    """(KL(p || m) + KL(q || m)) / 2 with m = (p + q) / 2."""
    both = p.keys() | q.keys()
    middle = {one: (p.get(one, 0) + q.get(one, 0)) / 2 for one in both}
    return sum(
        share * math.log(share / middle[one]) for law in (p, q) for one, share in law.items() if share
    ) / 2  # fmt: skip


def test_samples_in_exact_proportion_give_the_definition():
    p, q = {"a": 0.5, "b": 0.25, "c": 0.25}, {"a": 0.25, "b": 0.25, "d": 0.5}
    ratio = {"a": math.log(2), "b": 0.0, "c": math.inf, "d": -math.inf}
    found = jensen_shannon([ratio[one] for one in "aabc"], [ratio[one] for one in "abdd"])
    assert found == pytest.approx(by_definition(p, q))


def test_samples_of_another_law_count_by_their_weights():
    p, q = {"a": 0.5, "b": 0.25, "c": 0.25}, {"a": 0.25, "b": 0.25, "d": 0.5}
    ratio = {"a": math.log(2), "b": 0.0, "c": math.inf, "d": -math.inf}
    weights = np.array([1, 1, 2])  # one of each, as no law of these would draw them
    found = jensen_shannon([ratio[one] for one in "aabc"], [ratio[one] for one in "abd"], weights)
    assert found == pytest.approx(by_definition(p, q))


def test_its_bounds():
    assert jensen_shannon([0.0, 0.0], [0.0]) == pytest.approx(0)
    assert jensen_shannon([math.inf], [-math.inf]) == pytest.approx(math.log(2))
    assert math.isnan(jensen_shannon([0.0], [0.0, 31.0])), "nobody draws from q what is e^31 times as likely under p"
    assert jensen_shannon([0.0], [0.0, 31.0], np.array([1.0, 0.0])) == pytest.approx(0), "these are no samples of q"
    assert jensen_shannon([900.0], [-900.0]) == pytest.approx(math.log(2))  # nothing overflows
    with pytest.raises(ValueError, match="0 samples of p"):
        jensen_shannon(np.array([]), [1.0])
