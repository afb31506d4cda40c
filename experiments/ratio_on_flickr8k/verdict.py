"""What the measured systems are worth, with intervals over images and seeds.

Shapes: N images, K samples an image, P points of a grid, S strata of length, B bootstrap draws.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median_high

import numpy as np

from experiments.ratio_on_flickr8k.arms import MORE
from experiments.ratio_on_flickr8k.measure import Point
from experiments.study import holm, seen
from gan_caption.metrics.bootstrap import Difference, mean_interval, paired_difference
from gan_caption.metrics.ngrams import Score
from gan_caption.reporting.seeds import with_interval
from gan_caption.reporting.table import markdown

STRATA = (8, 10, 12, 14)
"""A caption's stratum is the number of these that its words reach."""

Measured = Mapping[str, Mapping[int, Sequence[Point]]]
"""By system and seed."""


@dataclass(frozen=True)
class People:
    """The scale and the standard."""

    lengths: Sequence[Sequence[int]]
    """Of each image's captions, in words."""
    self_cider: np.ndarray
    """(N,) of each image's captions; NaN where there are not as many as samples."""

    @property
    def level(self) -> float:
        """Their mean Self-CIDEr."""
        return float(np.nanmean(self.self_cider))

    @property
    def strata(self) -> np.ndarray:
        """(S,) shares of the strata of length."""
        every = [length for own in self.lengths for length in own]
        counted = stratified(every, np.ones(len(every)))
        shares: np.ndarray = counted / counted.sum()
        return shares


@dataclass(frozen=True)
class AtEqualDiversity(Score):
    """A mean over captions where Self-CIDEr is a given one and lengths are distributed as people's.

    At each point the captions of a stratum of length count together as much as people's do (direct standardisation); a
    stratum without captions is left out. Between points it is joined by straight lines over Self-CIDEr, and beyond the
    last ones it stays.
    """

    sums: np.ndarray
    """(P, N, S), of the captions' values."""
    counts: np.ndarray
    """(P, N, S) captions."""
    diversity: np.ndarray
    """(P, N) Self-CIDEr."""
    shares: np.ndarray
    """(S,) of people's captions."""
    level: float
    """The Self-CIDEr."""

    @classmethod
    def of(  # type: ignore[override]
        cls, points: Sequence[Point], values: Sequence[Sequence[Sequence[float]]], shares: np.ndarray, level: float
    ) -> AtEqualDiversity:
        """Make it of points and their captions' values, (P, N, K)."""
        pairs = [list(zip(point.lengths, own, strict=True)) for point, own in zip(points, values, strict=True)]
        sums = np.array([[stratified(*pair) for pair in one] for one in pairs])
        counts = np.array([[stratified(lengths, np.ones(len(lengths))) for lengths, _ in one] for one in pairs])
        diversity = np.array([point.self_cider for point in points])
        made = cls(0.0, np.zeros(sums.shape[1]), sums, counts, diversity, shares, level)
        corpus = float(made.resampled(np.ones((1, sums.shape[1])))[0])
        return cls(corpus, made.per_image, sums, counts, diversity, shares, level)

    def resampled(self, weights: np.ndarray) -> np.ndarray:
        """Return the value of other corpora made of the same images, (B,) float64; see `Score.resampled`."""
        sums, counts = (np.einsum("bn,pns->bps", weights, one) for one in (self.sums, self.counts))
        there = counts > 0
        shares = there * self.shares
        means = np.divide(sums, counts, out=np.zeros_like(sums), where=there)
        quality = (means * shares).sum(2) / shares.sum(2).clip(min=1e-12)  # (B, P)
        diversity = weights @ self.diversity.T / weights.sum(1)[:, None]
        told = []
        for own, across in zip(quality, diversity, strict=True):
            order = across.argsort()
            told.append(np.interp(self.level, across[order], own[order]))
        return np.array(told)


def stratified(lengths: Sequence[int], values: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return the sums (S,) of captions' values by stratum of length."""
    strata = np.searchsorted(STRATA, lengths, side="right")
    return np.bincount(strata, weights=np.asarray(values, float), minlength=len(STRATA) + 1)


def cross_fitted(points: Sequence[Point], chosen_on: Sequence[Point] | None = None) -> tuple[Score, list[Point]]:
    """Return the judge's AUC at the point that is nearest to .5 on other images, and these points.

    Args:
        points: of N images.
        chosen_on: the same points measured on another split, which chooses; None: each half of the images is measured
            at the point that the other half chooses.
    """
    auc = np.array([point.auc for point in points])  # (P, N)
    if chosen_on is not None:
        best = int(np.abs(np.array([np.mean(point.auc) for point in chosen_on]) - 0.5).argmin())
        return Score.of(auc[best]), [points[best]]
    halves = np.array_split(np.random.default_rng(0).permutation(auc.shape[1]), 2)
    found, chosen = np.zeros(auc.shape[1]), []
    for half, other in (halves, halves[::-1]):
        best = int(np.abs(auc[:, other].mean(1) - 0.5).argmin())
        found[half] = auc[best, half]
        chosen.append(points[best])
    return Score.of(found), chosen


@dataclass(frozen=True)
class System:
    """What a system is worth; scores by seed."""

    auc: list[Score]
    """Of the judge, at its own best points."""
    points: list[list[Point]]
    """These points: one of each half of the images, or one of all."""
    cider_d: list[Score]
    """At people's diversity and lengths."""
    unsupported: list[Score]
    """Words a caption, the same."""
    reached: list[float]
    """Self-CIDEr of each seed and temperature."""

    @classmethod
    def of(cls, runs: Sequence[Sequence[Point]], people: People, chosen_on: Sequence[Sequence[Point]] | None) -> System:
        """Sum up the points of each seed; see `table_of_systems`."""
        fitted = [cross_fitted(own, chosen_on[row] if chosen_on else None) for row, own in enumerate(runs)]
        curves = [[point for point in own if point.top_p == 1] for own in runs]
        at_level = partial(AtEqualDiversity.of, shares=people.strata, level=people.level)
        return cls(
            [score for score, _ in fitted],
            [chosen for _, chosen in fitted],
            [at_level(curve, [point.cider_d for point in curve]) for curve in curves],
            [at_level(curve, [point.unsupported for point in curve]) for curve in curves],
            [float(np.mean(point.self_cider)) for curve in curves for point in curve],
        )

    @property
    def mean_auc(self) -> float:
        """Over seeds."""
        return float(np.mean([score.corpus for score in self.auc]))

    @property
    def cells(self) -> list[str]:
        """Return what a table shows besides differences."""
        places = sorted({(point.temperature, point.top_p) for own in self.points for point in own})
        models = (
            [float(np.mean([point.corpus[name] for point in own])) for own in self.points]
            for name in ("lm_nll", "reverse_lm_nll")
        )
        return [
            ", ".join(f"{temperature:g}/{top_p:g}" for temperature, top_p in places), _between(self.auc, 3),
            _between(self.cider_d, 1, factor=100), _between(self.unsupported, 2),
            *(with_interval(values, 3) for values in models),
            f"{min(self.reached):.2f} to {max(self.reached):.2f}",
        ]  # fmt: skip


HEADS = (
    "temperature, top-p", "judge's AUC", "CIDEr-D x 100", "unsupported words a caption", "LM, nats",
    "reverse LM, nats", "Self-CIDEr reached",
)  # fmt: skip


def systems_of(measured: Measured, people: People, chosen_on: Measured | None = None) -> dict[str, System]:
    """Sum up the systems, of the seeds that all have.

    Args:
        measured: at every point.
        people: the scale.
        chosen_on: the same systems on the split that chooses their points; None: see `cross_fitted`.

    Raises:
        SystemExit: no seed is finished in all of them.
    """
    seeds = sorted(set.intersection(*(set(runs) for runs in measured.values())))
    if not seeds:
        raise SystemExit("no seed is finished in all arms that have any: full goes on with them")
    return {
        name: System.of(
            [runs[seed] for seed in seeds], people, [chosen_on[name][seed] for seed in seeds] if chosen_on else None
        )
        for name, runs in measured.items()
    }


def differences(systems: Mapping[str, System]) -> dict[str, Difference]:
    """Return each system's AUC less that of more maximum likelihood; nothing where that is not finished."""
    if MORE.name not in systems:
        return {}
    more = systems[MORE.name].auc
    return {name: paired_difference(system.auc, more) for name, system in systems.items() if name != MORE.name}


def table_of_systems(systems: Mapping[str, System], people: People, minutes: Mapping[str, float]) -> str:
    """Return a Markdown table: a row a system, at its own best point and at people's diversity and lengths.

    Args:
        systems: by name.
        people: the scale.
        minutes: that each system took after the baseline, its discriminator counted.
    """
    compared = differences(systems)
    p = holm({name: one.p for name, one in compared.items()})
    rows = [["", "seeds", "minutes", *HEADS, f"AUC less that of {MORE.name}", "p (Holm)"]]
    for name, system in systems.items():
        took = f"{minutes[name]:.0f}" if name in minutes else ""
        tested = [_difference(compared[name]), f"{p[name]:.3f}"] if name in compared else ["", ""]
        rows.append([name, str(len(system.auc)), took, *system.cells, *tested])
    note = f"People's Self-CIDEr, at which CIDEr-D and unsupported words are compared, is {people.level:.3f}."
    return "\n\n".join([markdown(rows), note, power(list(compared.values()))])


def power(compared: Sequence[Difference]) -> str:
    """Say how large a difference would have been seen in four of five studies, by the intervals found."""
    if not compared:
        return ""
    median = median_high(seen(one.interval) for one in compared)
    return (
        f"A difference of {median:.3f} in AUC would have been seen in four of five studies (before Holm's correction)."
    )


def table_of_planted(planted: Mapping[int, Mapping[str, float]]) -> str:
    """Return a Markdown table: what the judge says of systems whose order is known, over seeds."""
    names = list(next(iter(planted.values()), {}))
    rows = [["planted", "judge's AUC"]]
    rows += [[name, with_interval([own[name] for own in planted.values()], 3)] for name in names]
    return markdown(rows)


def table_of_trials(trials: Mapping[str, Mapping[str, float]], tried: Sequence[str]) -> str:
    """Return a Markdown table: what each trial reached on dev, one seed."""
    rows = [["", *tried]]
    rows += [[name, *(f"{own[one]:.4f}" if one in own else "" for one in tried)] for name, own in trials.items()]
    return markdown(rows)


def _between(scores: Sequence[Score], decimals: int, *, factor: float = 1) -> str:
    low, high = (end * factor for end in mean_interval(scores))
    value = factor * math.fsum(score.corpus for score in scores) / len(scores)
    return f"{value:.{decimals}f} ({low:.{decimals}f} to {high:.{decimals}f})"


def _difference(one: Difference) -> str:
    return f"{one.value:+.3f} ({one.interval[0]:+.3f} to {one.interval[1]:+.3f})"
