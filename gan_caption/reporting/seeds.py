"""Runs that differ only in their seed, summed up: means with intervals, and paired differences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from gan_caption.extras import require
from gan_caption.metrics.bootstrap import over_seeds
from gan_caption.metrics.metric import Metrics, rounded
from gan_caption.reporting.table import markdown


def interval(values: Sequence[float], *, level: float = 0.95) -> tuple[float, float]:
    """Return the mean of independent runs and the half-width of its Student t interval.

    Args:
        values: one number a run.
        level: of confidence.

    Returns:
        mean and half-width; the half-width of a single run is NaN.

    Raises:
        UserError: scipy is missing.
    """
    require("scipy", extra="report", what="intervals")  # also where there is one value, and another time are several
    (low, high), _ = over_seeds(values, level=level)
    return sum(values) / len(values), (high - low) / 2


def across_seeds(runs: Sequence[Mapping[str, Mapping[str, float]]], metrics: Metrics) -> str:
    """Return a Markdown table: a row a metric, a column a system, and with two systems their paired difference.

    Args:
        runs: for every seed, the values by system and metric, the baseline first, as `results.json` has them.
        metrics: in the order of the rows; one that no run has is left out. What a system does not have on every seed,
            or what is NaN there, is "-".
    """
    names = list(dict.fromkeys(name for run in runs for name in run))
    paired = len(names) == 2
    heads = ["", *names, *([f"{names[1]} - {names[0]}, paired"] if paired else [])]
    rows = []
    for key, metric in metrics.items():
        if not any(key in own for run in runs for own in run.values()):
            continue
        columns = [[run.get(name, {}).get(key, math.nan) * metric.factor for run in runs] for name in names]
        cells = [_cell(values, metric.decimals) for values in columns]
        if paired:
            cells.append(_cell([b - a for a, b in zip(*columns, strict=True)], metric.decimals, sign="+"))
        rows.append([metric.label, *cells])
    return markdown([heads, *rows])


def _cell(values: Sequence[float], decimals: int, *, sign: str = "") -> str:
    return "-" if any(map(math.isnan, values)) else with_interval(values, decimals, sign=sign)


def with_interval(values: Sequence[float], decimals: int, *, sign: str = "") -> str:
    """Return a mean with its 95% interval as tables show it; of one value the value alone. See `interval`."""
    mean, half = interval(values)
    return rounded(mean, decimals, sign=sign) + ("" if math.isnan(half) else f" ± {half:.{decimals}f}")
