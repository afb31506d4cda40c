"""Intervals against those that theory gives."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from gan_caption.errors import UserError
from gan_caption.metrics import bleu
from gan_caption.metrics.bootstrap import image_interval, image_weights, mean_interval, paired_difference
from gan_caption.metrics.ngrams import Score


def score_of(values):
    return Score(float(np.mean(values)), np.asarray(values))


def test_every_draw_has_as_many_images():
    weights = image_weights(7, draws=50)
    assert weights.shape == (50, 7)
    assert (weights.sum(1) == 7).all()
    assert weights.mean() == pytest.approx(1)
    assert (image_weights(7, seed=1) == image_weights(7, seed=1)).all()
    with pytest.raises(ValueError, match="read-only"):  # whoever asks again is given the same
        weights[0, 0] = 3


def test_where_nothing_is_known_there_is_no_p():
    """Nobody names an object, say: the share of wrong ones has no value."""
    lacking = Score(float("nan"), np.full(30, np.nan))
    told = paired_difference([lacking], [lacking])
    assert np.isnan([told.value, *told.interval, told.p]).all()


def test_the_interval_is_scipys():
    values = np.random.default_rng(0).exponential(size=300)
    low, high = image_interval(score_of(values), image_weights(300, draws=5000))
    told = stats.bootstrap((values,), np.mean, n_resamples=5000, method="percentile", rng=np.random.default_rng(1))
    assert (low, high) == pytest.approx((told.confidence_interval.low, told.confidence_interval.high), abs=0.01)


def test_pairing_takes_out_what_images_share():
    rng = np.random.default_rng(0)
    easy = rng.standard_normal(400)
    own, other = easy + 0.1 + 0.1 * rng.standard_normal(400), easy
    told = paired_difference([score_of(own)], [score_of(other)])
    assert told.value == pytest.approx((own - other).mean())
    half = 1.96 * (own - other).std(ddof=1) / 20
    assert told.interval == pytest.approx((told.value - half, told.value + half), abs=0.003)
    assert told.p == pytest.approx(2 / 1001)
    same = paired_difference([score_of(own)], [score_of(own)])
    assert same.p == 1
    assert same.interval == (0, 0)


def test_p_values_are_uniform_where_there_is_no_difference():
    rng = np.random.default_rng(1)
    told = [
        paired_difference([score_of(rng.standard_normal(60))], [score_of(rng.standard_normal(60))], draws=400).p
        for _ in range(300)
    ]
    assert stats.kstest(told, "uniform").pvalue > 0.01


def test_seeds_are_the_outer_level():
    images = np.zeros(50)
    told = paired_difference([score_of(images + s) for s in (0.2, 0.5, 0.8)], [score_of(images)] * 3, draws=4000)
    assert told.value == pytest.approx(0.5)
    half = 4.302653 * 0.3 / 3**0.5  # Student's t with 2 degrees of freedom; the draws alone give .2 to .8
    assert told.interval == pytest.approx((0.5 - half, 0.5 + half))
    assert told.p == pytest.approx(stats.ttest_rel([0.2, 0.5, 0.8], [0, 0, 0]).pvalue)


def test_few_seeds_are_seldom_sure_of_what_is_not_there():
    """Runs that differ by their seeds alone: the signs of three agree in a quarter of the cases."""
    rng, sure = np.random.default_rng(2), 0
    for _ in range(400):
        own, other = (rng.standard_normal((3, 1)) + 0.1 * rng.standard_normal((3, 40)) for _ in range(2))
        told = paired_difference([*map(score_of, own)], [*map(score_of, other)], draws=200)
        sure += told.p < 0.05
        assert (told.p < 0.05) <= (not told.interval[0] <= 0 <= told.interval[1])
    assert stats.binomtest(sure, 400, 0.05, alternative="greater").pvalue > 0.01


def test_images_are_the_inner_level():
    """Seeds that agree closely know nothing of other images: there the draws are less sure than Student's t."""
    images = np.random.default_rng(3).standard_normal(30)
    told = paired_difference([score_of(images + s) for s in (0.3, 0.31, 0.32)], [score_of(0 * images)] * 3, draws=4000)
    half = 1.96 * images.std() / 30**0.5
    value = images.mean() + 0.31
    assert told.interval == pytest.approx((value - half, value + half), abs=0.03)


def test_a_pooled_metric_is_pooled_in_every_draw():
    candidates, references = ["a b c d", "a x", "y"], [["a b c d"], ["a b"], ["z z z"]]
    one = bleu(candidates, references).order(1)
    told = paired_difference([one], [bleu(["q", "q", "q"], references).order(1)], draws=200)
    assert told.value == pytest.approx(one.corpus, abs=1e-6)
    assert told.interval[0] < told.value <= told.interval[1]


def test_of_one_image_nothing_is_known():
    told = paired_difference([score_of([1.0])], [score_of([0.0])])
    assert told.value == 1.0
    assert np.isnan([*told.interval, told.p, *mean_interval([score_of([1.0])])]).all()


def test_unpaired_systems_are_refused():
    with pytest.raises(UserError, match="2 and 1 seeds"):
        paired_difference([score_of([1.0])] * 2, [score_of([1.0])])
    with pytest.raises(UserError, match=r"\[1, 2\] images"):
        paired_difference([score_of([1.0])], [score_of([1.0, 2.0])])
