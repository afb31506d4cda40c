"""Losses away from home against hand-worked ones, and intervals against what theory says they cover."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from gan_caption.errors import UserError
from gan_caption.metrics.bootstrap import Difference
from gan_caption.metrics.chair import PooledShare
from gan_caption.metrics.ngrams import Score
from gan_caption.metrics.transfer import LEAST, Moved, difference_in_proportion, difference_of_losses, loss, p_of_both


def moved(home, away):
    """One row a seed."""
    return Moved(*([Score.of(np.array(row, float)) for row in there] for there in (home, away)))


GAN = moved([[0.9, 0.7], [0.7, 0.5]], [[0.5, 0.5, 0.2], [0.3, 0.3, 0.6]])  # .7 at home, .4 away
MLE = moved([[0.8, 1.0], [0.6, 1.0]], [[0.5, 0.4, 0.3], [0.5, 0.2, 0.5]])  # .85 and .4


def test_hand_worked_losses():
    assert loss(GAN, better="higher").value == pytest.approx(0.3)
    assert loss(MLE, better="higher").value == pytest.approx(0.45)
    assert difference_of_losses(GAN, MLE, better="higher").value == pytest.approx(-0.15)


def test_where_less_is_better_more_away_is_the_loss():
    """As of hallucinations: signs turn, and the ends of the interval change places."""
    higher, lower = (difference_of_losses(GAN, MLE, better=better) for better in ("higher", "lower"))
    assert lower.value == -higher.value
    assert lower.interval == pytest.approx((-higher.interval[1], -higher.interval[0]))
    assert loss(GAN, better="lower").value == pytest.approx(-0.3)


def test_a_pooled_share_loses_by_its_counts():
    share = PooledShare.of_counts
    one = Moved(
        [share(np.array([1.0, 0.0]), np.array([4.0, 4.0]))], [share(np.array([2.0, 1.0]), np.array([4.0, 2.0]))]
    )
    assert loss(one, better="lower").value == pytest.approx(3 / 6 - 1 / 8)


def test_the_interval_of_a_loss_is_that_of_two_independent_means():
    rng = np.random.default_rng(0)
    home, away = rng.exponential(size=400), rng.exponential(size=250) / 2
    told = loss(moved([home], [away]), better="higher", draws=8000)
    half = 1.96 * np.sqrt(home.var(ddof=1) / 400 + away.var(ddof=1) / 250)
    assert told.interval == pytest.approx((told.value - half, told.value + half), abs=0.012)


def test_equally_many_images_in_both_places_are_drawn_independently():
    """Were the same rows drawn, these two would cancel: the interval would have no width."""
    values = np.random.default_rng(0).standard_normal(300)
    low, high = loss(moved([values], [values]), better="higher", draws=4000).interval
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(2 * values.var() / 300), rel=0.08)


def test_systems_are_paired_in_both_places():
    rng = np.random.default_rng(1)
    home, away = rng.standard_normal(300) * 5, rng.standard_normal(200) * 5
    more = [0.1 * rng.standard_normal(300), 0.1 * rng.standard_normal(200)]
    own = moved([home + more[0]], [away - 1 + more[1]])
    told = difference_of_losses(own, moved([home], [away]), better="higher")
    half = 1.96 * np.sqrt(more[0].var() / 300 + more[1].var() / 200)
    assert told.value == pytest.approx(1 + more[0].mean() - more[1].mean())
    assert told.interval == pytest.approx((told.value - half, told.value + half), abs=0.003)


def test_intervals_cover_and_p_is_uniform_where_nobody_loses_more():
    rng = np.random.default_rng(2)
    covered, ps = [], []
    for _ in range(300):
        home, away = rng.standard_normal((2, 80)), rng.standard_normal((2, 60))
        home[1] += 0.7  # one is better everywhere, which is no difference of losses
        away[1] += 0.7
        told = difference_of_losses(
            moved([home[0]], [away[0]]), moved([home[1]], [away[1]]), better="higher", draws=400
        )
        covered.append(told.interval[0] <= 0 <= told.interval[1])
        ps.append(told.p)
    assert 0.91 <= np.mean(covered) <= 0.98
    assert stats.kstest(ps, "uniform").pvalue > 0.01


def test_losses_in_proportion_by_hand():
    """By seed .4 are left of .8 and of .6, and of .9 and of .8."""
    told = difference_in_proportion(GAN, MLE, better="higher")
    by_seed = [math.log(0.8 / 0.4) - math.log(0.9 / 0.4), math.log(0.6 / 0.4) - math.log(0.8 / 0.4)]
    assert told.value == pytest.approx(np.mean(by_seed))
    assert difference_in_proportion(GAN, MLE, better="lower").value == pytest.approx(-told.value)


def test_another_scale_away_and_a_system_that_is_worse_in_both_places():
    """It keeps as large a share as the baseline: of the plain losses alone it would be said to lose less."""
    rng = np.random.default_rng(3)
    home, away = rng.exponential(size=(3, 200)), 0.25 * rng.exponential(size=(3, 150))
    baseline, worse = moved(home, away), moved(0.9 * home, 0.9 * away)
    plain, share = (one(worse, baseline, better="higher") for one in (difference_of_losses, difference_in_proportion))
    assert plain.interval[1] < 0
    assert (share.value, *share.interval) == pytest.approx((0, 0, 0), abs=1e-12)


def test_of_two_accounts_the_less_certain_counts_and_none_where_they_disagree():
    plain, share = Difference(-0.1, (-0.2, -0.05), 0.001), Difference(-0.3, (-0.5, 0.1), 0.2)
    assert p_of_both(plain, share) == p_of_both(share, plain) == 0.2
    assert p_of_both(plain, Difference(0.3, (0.1, 0.5), 0.01)) == 1
    assert math.isnan(p_of_both(plain, Difference(math.nan, (math.nan, math.nan), math.nan)))


def test_seeds_of_other_levels_that_keep_as_much_lose_as_much_in_every_draw():
    """Their logarithms are averaged over seeds, in the draws as in the value; those of means would not be 0."""
    level = np.array([0.1, 0.3, 0.5, 0.9, 2.0])[:, None]
    kept = np.array([0.6, 0.58, 0.56, 0.54, 0.45])[:, None]
    own, baseline = (moved(level + np.zeros((5, 20)), share * level + np.zeros((5, 30))) for share in (kept, 0.5))
    told = difference_in_proportion(own, baseline, better="higher")
    by_seed = np.log(0.5 / kept)[:, 0]
    assert told.value == pytest.approx(by_seed.mean())
    low, high = stats.ttest_1samp(by_seed, 0).confidence_interval(0.95)
    assert told.interval == pytest.approx((low, high), abs=0.02)


def test_the_interval_in_proportion_is_that_of_the_delta_method():
    rng = np.random.default_rng(4)
    home, away = 1 + rng.exponential(size=400), 1 + rng.exponential(size=300)
    told = difference_in_proportion(moved([home], [away]), moved([[1.0] * 400], [[1.0] * 300]), better="higher")
    half = 1.96 * np.sqrt(home.var() / 400 / home.mean() ** 2 + away.var() / 300 / away.mean() ** 2)
    assert told.value == pytest.approx(math.log(home.mean() / away.mean()))
    assert told.interval == pytest.approx((told.value - half, told.value + half), abs=0.006)


def test_who_loses_everything_loses_the_most():
    own, baseline = moved([[0.9, 0.9]] * 2, [[0.0, 0.0]] * 2), moved([[0.9, 0.9]] * 2, [[0.4, 0.4]] * 2)
    told = difference_in_proportion(own, baseline, better="higher")
    assert told.value == pytest.approx(math.log(0.4 / LEAST))
    assert p_of_both(difference_of_losses(own, baseline, better="higher"), told) < 0.01


def test_below_nothing_there_is_no_share():
    own, baseline = moved([[1.0, 1.0]], [[-1.0, -1.0]]), moved([[1.0, 1.0]], [[1.0, 1.0]])
    assert math.isnan(difference_in_proportion(own, baseline, better="higher").value)


def test_seeds_go_with_both_places():
    """A seed that is .3 better at home and away alike loses nothing by being drawn."""
    level = np.array([0.0, 0.3, 0.6])
    one = moved(level[:, None] + np.zeros((3, 20)), level[:, None] - 0.1 + np.zeros((3, 30)))
    assert loss(one, better="higher").interval == pytest.approx((0.1, 0.1))


def test_what_cannot_be_paired_is_refused():
    with pytest.raises(UserError, match=r"home \(2\) and away \(1\)"):
        moved([[1.0], [2.0]], [[1.0]])
    with pytest.raises(UserError, match=r"\(2, 2, 3\) and \(1, 2, 2\)"):
        difference_of_losses(GAN, moved([[1.0, 1.0]], [[1.0, 1.0]]), better="higher")
    with pytest.raises(UserError, match="knows no loss"):
        loss(GAN, better="neither")
