"""Tables as text: systems side by side, what one file of captions is worth, the points of a curve."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from gan_caption.evaluation.curve_files import CurvePoint
from gan_caption.evaluation.scores import Scores
from gan_caption.metrics.metric import Metrics


def comparison(
    systems: Mapping[str, Mapping[str, float]],
    metrics: Metrics,
    *,
    intervals: Mapping[str, tuple[float, float]] | None = None,
    humans: Mapping[str, float] | None = None,
) -> str:
    """Return a Markdown table: a row a metric, a column a system, and the difference where there are two.

    Args:
        systems: name -> values by metric, the baseline first.
        metrics: in the order of the rows; one that no system has is left out.
        intervals: by metric, of the difference between two systems.
        humans: by metric, what humans score.
    """
    names = list(systems)
    paired = len(names) == 2
    heads = ["", *names, *(["difference"] if paired else [])]
    heads += ["95% over images"] if paired and intervals is not None else []
    heads += ["humans"] if humans is not None else []
    rows = []
    unknown = math.nan
    for key, metric in metrics.items():
        if not any(key in systems[name] for name in names):
            continue
        values = [systems[name].get(key, unknown) for name in names]
        cells = [metric.shown(value) for value in values]
        if paired:
            cells.append(metric.shown(values[1] - values[0], sign="+"))
        if paired and intervals is not None:
            cells.append(metric.between(intervals.get(key, (unknown, unknown)), sign="+"))
        if humans is not None:
            cells.append(metric.shown(humans.get(key, unknown)))
        rows.append([metric.label, *cells])
    return markdown([heads, *rows])


def scores_table(scores: Scores, metrics: Metrics) -> str:
    """Return a Markdown table: a row a metric, with its interval and what humans score."""
    rows = [["", "value", "95% over images", "humans"]]
    values = scores.values
    for name, metric in metrics.items():
        if name not in values:
            continue
        interval = metric.between(scores.intervals[name]) if name in scores.intervals else "-"
        human = metric.shown(scores.humans[name]) if name in scores.humans else "-"
        rows.append([metric.label, metric.shown(values[name]), interval, human])
    return markdown(rows)


def curve_table(points: Sequence[CurvePoint], metrics: Metrics) -> str:
    """Return a Markdown table: a row a point, the means over images; a metric that a point lacks is left open."""
    names = list(dict.fromkeys(name for point in points for name in point.values))
    rows = [["temperature", "top-p", *(metrics[name].label for name in names)]]
    for point in points:
        cells = [metrics[name].shown(point.values[name].mean()) if name in point.values else "-" for name in names]
        rows.append([f"{point.temperature:g}", f"{point.top_p:g}", *cells])
    return markdown(rows)


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Lay out rows of cells, the heads first, as a Markdown table that reads well as plain text too."""
    rows = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [rows[0], ["-" * width for width in widths], *rows[1:]]
    return "\n".join(f"| {' | '.join(_padded(line, widths))} |" for line in lines)


def _padded(cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    """Fill the cells up to their widths: the first to the right, the numbers to the left."""
    return [cells[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True))]
