"""The numbers of a comparison: each metric of each system with its interval, and against the baseline."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gan_caption.evaluation.systems import System
from gan_caption.metrics.bootstrap import Difference, mean_interval, paired_difference
from gan_caption.metrics.holm import holm
from gan_caption.metrics.metric import Metrics
from gan_caption.metrics.standard import STANDARD
from gan_caption.reporting.seeds import interval


@dataclass(frozen=True)
class Estimate:
    """A metric of a system."""

    value: float
    """The mean over seeds."""
    interval: tuple[float, float] | None
    """95%: over seeds and images where it is known image by image, of Student's t over seeds otherwise; None for one
    seed of the latter."""
    difference: Difference | None = None
    """From the baseline, paired by seed and image; None for the baseline, and where there are no images to pair."""
    p_holm: float | None = None
    """The difference's p, corrected for how many systems were compared."""


def summarise(
    systems: Sequence[System], baseline: System, metrics: Metrics = STANDARD
) -> dict[str, dict[str, Estimate]]:
    """Return estimates by metric and system.

    The p of a metric's differences are corrected by Holm's method (1979) for the number of systems beside the baseline.

    Args:
        systems: the baseline among them.
        baseline: what the others are compared with.
        metrics: in the order of tables. Of those that are known image by image, what some run does not know is left
            out; of the others, what no run knows, and a system without a value has NaN.

    Raises:
        UserError: scipy is missing.
    """
    table: dict[str, dict[str, Estimate]] = {}
    for metric in metrics:
        if all(metric in run.scores for system in systems for run in system.runs):
            table[metric] = corrected({system.name: _by_image(system, baseline, metric) for system in systems})
            continue
        values = {system.name: [run.values.get(metric, math.nan) for run in system.runs] for system in systems}
        if not all(math.isnan(value) for own in values.values() for value in own):
            table[metric] = {name: _by_seed(own) for name, own in values.items()}
    return table


def _by_image(system: System, baseline: System, metric: str) -> Estimate:
    scores = system.scores(metric)
    value = sum(score.corpus for score in scores) / len(scores)
    between = None if system is baseline else paired_difference(scores, baseline.scores(metric), draws=2000)
    return Estimate(value, mean_interval(scores), between)


def _by_seed(values: Sequence[float]) -> Estimate:
    mean, half = interval(values)
    return Estimate(mean, None if math.isnan(half) else (mean - half, mean + half))


def corrected(estimates: Mapping[str, Estimate]) -> dict[str, Estimate]:
    """Return the estimates with p corrected by Holm's method for how many of them there are."""
    asked = {name: one.difference.p for name, one in estimates.items() if one.difference}
    adjusted = holm(asked)
    return {name: replace(one, p_holm=adjusted.get(name)) for name, one in estimates.items()}
