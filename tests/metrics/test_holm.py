"""Holm's correction against statsmodels, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from gan_caption.metrics.holm import holm


def test_by_hand():
    """Three times .02; twice .03, which is no more than that; .9 as it is."""
    assert holm({"c": 0.9, "a": 0.02, "b": 0.03}) == pytest.approx({"c": 0.9, "a": 0.06, "b": 0.06})
    assert list(holm({"c": 0.9, "a": 0.02})) == ["c", "a"]
    assert holm({"a": 0.6, "b": 0.7}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}


@pytest.mark.parametrize("count", [1, 2, 7, 30])
def test_as_statsmodels_has_it(count, monkeypatch):
    monkeypatch.setattr("gc.collect", lambda: 0)  # statsmodels' does it each time, which takes seconds among many tests
    rng = np.random.default_rng(count)
    for _ in range(20):
        values = rng.choice([0.001, 0.01, 0.04, rng.random(), 1.0], size=count)  # with ties
        told = holm({str(row): value for row, value in enumerate(values)})
        assert list(told.values()) == pytest.approx(multipletests(values, method="holm")[1].tolist())


def test_what_is_not_known_stays_unknown_and_counts():
    told = holm({"a": float("nan"), "b": 0.01, "c": 0.04})
    assert np.isnan(told["a"])
    assert (told["b"], told["c"]) == pytest.approx((0.03, 0.08))
    waiting = holm({"b": 0.01, "c": 0.04}, asked=["a", "b"])
    assert np.isnan(waiting["a"])
    assert (waiting["b"], waiting["c"]) == pytest.approx((0.03, 0.08))
