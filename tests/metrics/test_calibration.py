"""Confidence against a world where the probability of being right is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from gan_caption.errors import UserError
from gan_caption.metrics.calibration import cross_fitted, fitted, reliability_of


def world(count, seed=0):
    """Numbers, the probability that each is right, and whether it is."""
    rng = np.random.default_rng(seed)
    numbers = rng.normal(-2, 0.7, count)
    known = 1 / (1 + np.exp(-(5 + 2 * numbers)))
    return numbers, known, rng.random(count) < known


def test_the_known_curve_is_found():
    numbers, known, right = world(40000)
    told = fitted(numbers, right)
    assert (told.intercept, told.slope) == (pytest.approx(5, abs=0.15), pytest.approx(2, abs=0.06))
    assert told(numbers) == pytest.approx(known, abs=0.01)


@pytest.mark.parametrize("outlier", [0.0, -40.0, 2000.0])
@pytest.mark.parametrize("weights", [None, np.linspace(0.1, 3, 60)])
def test_it_is_scipys_maximum_of_the_likelihood_with_platts_targets(outlier, weights):
    numbers, _, right = world(60)
    numbers[0] += outlier
    count = right.sum()
    target = np.where(right, (count + 1) / (count + 2), 1 / (60 - count + 2))
    share = np.ones(60) if weights is None else weights

    def loss(w):
        logits = w[0] + w[1] * numbers
        return np.sum(share * (np.logaddexp(0, logits) - target * logits))

    best = minimize(loss, [5, 2], tol=1e-12, method="Nelder-Mead", options={"maxiter": 9999}).x
    told = fitted(numbers, right, weights)
    assert (told.intercept, told.slope) == pytest.approx(tuple(best), rel=1e-4, abs=1e-5)


def test_numbers_that_part_right_from_wrong_still_give_a_curve():
    told = fitted([-3.0, -2.0, -1.0, 0.0], [False, False, True, True])
    assert np.isfinite([told.intercept, told.slope]).all()
    assert told(np.array([-3.0]))[0] < 0.5 < told(np.array([0.0]))[0] < 1


def test_calibrated_probabilities_are_relied_on_and_the_raw_ones_are_not():
    numbers, known, right = world(20000, seed=1)
    told = reliability_of(cross_fitted(numbers, right, folds=5), right)
    assert told.ece < 0.015
    assert told.brier == pytest.approx((known * (1 - known)).mean(), abs=0.005), "the least there can be"
    assert reliability_of(np.exp(numbers), right).ece > 0.2, "a mean probability of words is no confidence"


def test_reliability_by_hand():
    told = reliability_of(np.array([0.2, 0.2, 0.9, 0.6]), np.array([False, True, True, False]))
    assert told.base == 0.5
    assert told.auc == pytest.approx((0.5 + 0 + 1 + 1) / 4)
    assert told.brier == pytest.approx((0.04 + 0.64 + 0.01 + 0.36) / 4)
    assert told.log_loss == pytest.approx(-np.log([0.8, 0.2, 0.9, 0.4]).mean())
    assert sum(count for *_, count in told.bins) == 4
    assert told.ece == pytest.approx((abs(0.2 - 0.5) * 2 + abs(0.6 - 0.0) + abs(0.9 - 1.0)) / 4)


def test_numbers_that_tell_nothing_have_an_auc_of_a_half():
    """The mean over many sets of 100: ranked by what was cross-fitted, it would be .45."""
    found = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        numbers, right = rng.normal(size=100), rng.random(100) < 0.6
        found.append(reliability_of(cross_fitted(numbers, right, folds=5), right, ranked_by=numbers).auc)
    assert np.mean(found) == pytest.approx(0.5, abs=0.025)


def test_equal_probabilities_are_relied_on_alike_in_whatever_order_they_came():
    right = np.array([True] * 60 + [False] * 40)
    assert reliability_of(np.full(100, 0.6), right).ece == pytest.approx(0)
    assert reliability_of(np.full(100, 0.6), right[::-1]).ece == pytest.approx(0)


@pytest.mark.parametrize(("right", "share"), [([True] * 3, 4 / 5), ([False] * 3, 1 / 5)])
def test_where_the_numbers_tell_nothing_the_curve_is_flat(right, share):
    told = fitted([1.0, 2.0, 3.0], right)
    assert told(np.array([-9.0, 9.0])) == pytest.approx([share, share])
    assert fitted([2.0, 2.0], [True, False])(np.array([5.0])) == pytest.approx([0.5])


def test_no_caption_is_judged_by_a_curve_that_saw_it():
    """Of two folds, the labels of one turned round turn the probabilities of the other alone."""
    numbers, _, right = world(200)
    before = cross_fitted(numbers, right, folds=2)
    fold = np.random.default_rng(0).permutation(200) % 2
    turned = np.where(fold == 0, ~right, right)
    after = cross_fitted(numbers, turned, folds=2)
    assert (after[fold == 0] == before[fold == 0]).all()
    assert (after[fold == 1] != before[fold == 1]).all()
    with pytest.raises(UserError, match="too few"):
        cross_fitted(numbers[:8], right[:8], folds=5)
