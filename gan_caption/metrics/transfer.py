"""How much worse captioners are on other images than at home, and whether one loses less than another.

A loss is home less away where more is better, away less home where less is: above 0 whoever is worse away. Images at
home and away are others, and are drawn independently; systems are paired, each draw giving all of them the same images
of both places and the same seeds. So what makes one place harder for all (its photographs, its references, the
n-grams that CIDEr-D finds rare there) is in every loss, and leaves the difference of two losses where it takes as much
from all. Where it takes a share, as another scale does, it leaves the difference of two losses in proportion: whoever
is worse by a tenth in both places loses less by the one, and as much by the other. Only a system of which both are
told loses less.

Shapes: S seeds, N images at home, M away.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gan_caption.errors import UserError
from gan_caption.metrics.bootstrap import Difference, drawn_means, image_weights, seed_weights
from gan_caption.metrics.metric import Better
from gan_caption.metrics.ngrams import Score

DRAWS = 2000
LEAST = 1e-6
"""Of the values of which logarithms are taken."""


@dataclass(frozen=True)
class Moved:
    """A metric of one system in two places."""

    home: Sequence[Score]
    """(S,) of N images."""
    away: Sequence[Score]
    """(S,) of M images."""

    def __post_init__(self) -> None:
        if len(self.home) != len(self.away):
            raise UserError(f"the same seeds are needed at home ({len(self.home)}) and away ({len(self.away)})")

    def is_known(self) -> bool:
        """Tell whether there is a value in both places: nobody hallucinates who names nothing."""
        return bool(np.isfinite([score.corpus for score in (*self.home, *self.away)]).all())

    def at_home(self) -> float:
        """Return the mean over seeds at home."""
        return float(np.mean([score.corpus for score in self.home]))

    def when_away(self) -> float:
        """Return the mean over seeds away."""
        return float(np.mean([score.corpus for score in self.away]))

    def losses(self, better: Better) -> list[float]:
        """Return how much worse it is away with each seed, by which values are better."""
        places = zip(self.home, self.away, strict=True)
        return [worse_by(home.corpus, away.corpus, better) for home, away in places]


def worse_by(home: float, away: float, better: Better) -> float:
    """Return how much worse a value away is than one at home, by which values are better."""
    return _sign(better) * (home - away)


def loss(system: Moved, *, better: Better, draws: int = DRAWS, seed: int = 0) -> Difference:
    """Return how much worse a system is away, with its 95% interval over seeds and images; see `paired_difference`.

    Args:
        system: its scores.
        better: which values of the metric are better, "higher" or "lower".
        draws: B.
        seed: of the bootstrap.
    """
    return Difference.of(system.losses(better), _drawn_losses(system, better, draws, seed))


def difference_of_losses(
    system: Moved, baseline: Moved, *, better: Better, draws: int = DRAWS, seed: int = 0
) -> Difference:
    """Return how much more a system loses than the baseline, paired; below 0: it loses less.

    Args:
        system: its scores.
        baseline: the other's, of the same seeds and images.
        better: which values of the metric are better, "higher" or "lower".
        draws: B.
        seed: of the bootstrap.

    Raises:
        UserError: seeds or images differ in number.
    """
    _check_paired(system, baseline)
    drawn = _drawn_losses(system, better, draws, seed) - _drawn_losses(baseline, better, draws, seed)
    losses = zip(system.losses(better), baseline.losses(better), strict=True)
    return Difference.of([own - other for own, other in losses], drawn)


def difference_in_proportion(
    system: Moved, baseline: Moved, *, better: Better, draws: int = DRAWS, seed: int = 0
) -> Difference:
    """Return how much more of what it has at home a system loses than the baseline, paired; below 0: it loses less.

    In natural logarithms: -.1 says that what is left away, as a share of what is at home, is a tenth more than the
    baseline's. A scale that one place has and the other has not leaves it. A value below `LEAST` counts as that, so
    that who has lost everything has lost the most. Arguments are those of `difference_of_losses`.

    Returns:
        the difference; all of it NaN where some value is below 0, of which there are no shares.

    Raises:
        UserError: seeds or images differ in number.
    """
    _check_paired(system, baseline)
    seeds, home, away = _sizes(system)
    at_home, abroad = image_weights(home, draws=draws, seed=seed), image_weights(away, draws=draws, seed=seed + 2)
    parts = seed_weights(seeds, draws=draws, seed=seed).T
    by_seed, drawn = np.zeros(seeds), np.zeros(draws)
    for one, sign in ((system, 1), (baseline, -1)):
        for own, (here, there) in enumerate(zip(one.home, one.away, strict=True)):
            by_seed[own] += sign * _share(here.corpus, there.corpus, better)
            drawn += sign * parts[own] * _share(here.resampled(at_home), there.resampled(abroad), better)
    if not np.isfinite(by_seed).all():
        return Difference(math.nan, (math.nan, math.nan), math.nan)
    return Difference.of(by_seed.tolist(), drawn)


def p_of_both(plain: Difference, in_proportion: Difference) -> float:
    """Return the p of a difference of losses being there by both accounts; 1 where these contradict each other.

    Of a claim that two tests must support the larger p is one (the intersection-union test, Berger 1982).
    """
    if math.isnan(plain.p) or math.isnan(in_proportion.p):
        return math.nan
    return max(plain.p, in_proportion.p) if plain.value * in_proportion.value > 0 else 1.0


def _share(home: float | np.ndarray, away: float | np.ndarray, better: Better) -> np.ndarray:
    """Return how much of a value at home is lost away, in logarithms."""
    return _sign(better) * (_log(home) - _log(away))


def _log(values: float | np.ndarray) -> np.ndarray:
    """Return logarithms, NaN of what is below 0."""
    values = np.asarray(values, dtype=np.float64)
    return np.where(values < 0, math.nan, np.log(np.maximum(values, LEAST)))


def _drawn_losses(system: Moved, better: Better, draws: int, seed: int) -> np.ndarray:
    """Return the loss in every draw, (B,); the draws depend on S, N, M, B and `seed` only."""
    seeds, home, away = _sizes(system)
    shares = seed_weights(seeds, draws=draws, seed=seed)
    at_home = drawn_means(system.home, image_weights(home, draws=draws, seed=seed), shares)
    when_away = drawn_means(system.away, image_weights(away, draws=draws, seed=seed + 2), shares)
    return _sign(better) * (at_home - when_away)


def _check_paired(system: Moved, baseline: Moved) -> None:
    if (one := _sizes(system)) != (other := _sizes(baseline)):
        raise UserError(f"paired losses need the same seeds and images: (seeds, home, away) are {one} and {other}")


def _sizes(system: Moved) -> tuple[int, int, int]:
    return len(system.home), len(system.home[0].per_image), len(system.away[0].per_image)


def _sign(better: Better) -> int:
    if better == "neither":
        raise UserError("a metric of which neither more nor less is better knows no loss")
    return 1 if better == "higher" else -1
