"""How much worse captioners are on other images than at home, and whether one loses less than another.

A loss is home less away where more is better, away less home where less is: above 0 whoever is worse away. Images at
home and away are others, and are drawn independently; systems are paired, each draw giving all of them the same images
of both places and the same seeds. So what makes one place harder for all (its photographs, its references, the
n-grams that CIDEr-D finds rare there) is in every loss, and leaves the difference of two losses.

Shapes: S seeds, N images at home, M away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gan_caption.errors import UserError
from gan_caption.metrics.bootstrap import Difference, drawn_means, image_weights, seed_weights
from gan_caption.metrics.metric import Better
from gan_caption.metrics.ngrams import Score

DRAWS = 2000


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
    if (one := _sizes(system)) != (other := _sizes(baseline)):
        raise UserError(f"paired losses need the same seeds and images: (seeds, home, away) are {one} and {other}")
    drawn = _drawn_losses(system, better, draws, seed) - _drawn_losses(baseline, better, draws, seed)
    losses = zip(system.losses(better), baseline.losses(better), strict=True)
    return Difference.of([own - other for own, other in losses], drawn)


def _drawn_losses(system: Moved, better: Better, draws: int, seed: int) -> np.ndarray:
    """Return the loss in every draw, (B,); the draws depend on S, N, M, B and `seed` only."""
    seeds, home, away = _sizes(system)
    shares = seed_weights(seeds, draws=draws, seed=seed)
    at_home = drawn_means(system.home, image_weights(home, draws=draws, seed=seed), shares)
    when_away = drawn_means(system.away, image_weights(away, draws=draws, seed=seed + 2), shares)
    return _sign(better) * (at_home - when_away)


def _sizes(system: Moved) -> tuple[int, int, int]:
    return len(system.home), len(system.home[0].per_image), len(system.away[0].per_image)


def _sign(better: Better) -> int:
    if better == "neither":
        raise UserError("a metric of which neither more nor less is better knows no loss")
    return 1 if better == "higher" else -1
