"""The tables of a comparison, for the page, as CSV and as LaTeX."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from gan_caption.extras import require
from gan_caption.files import write_atomically
from gan_caption.metrics.metric import Metric, Metrics
from gan_caption.metrics.standard import STANDARD
from gan_caption.reporting.equal_quality import FAMILIES, Verdict
from gan_caption.reporting.page import Cell, Row, Table
from gan_caption.reporting.summary import Estimate
from gan_caption.training.identity import flattened

SUMMARY = (
    "cider_d", "bleu_4", "oracle_true", "sample_cider_d", "sample_oracle_true", "self_cider", "div_2", "mbleu_4",
    "pretrained_lm_nll", "sample_pretrained_lm_nll", "lm_nll", "reverse_lm_nll", "taken_for_human", "recall_5",
)  # fmt: skip
"""The columns of the summary, where they are known."""
SURE = 0.05
"""A corrected p below it marks a cell."""

Estimates = Mapping[str, Mapping[str, Estimate]]


def _direction(metric: Metric, estimate: Estimate) -> str:
    sure = estimate.p_holm is not None and estimate.p_holm < SURE
    if estimate.difference is None or not sure or metric.better == "neither":
        return ""
    return "up" if metric.beats(estimate.difference.value, 0) else "down"


def _between(metric: Metric, interval: tuple[float, float] | None) -> str:
    return "" if interval is None else metric.between(interval)


def summary_table(
    estimates: Estimates,
    systems: Sequence[str],
    humans: Mapping[str, float],
    metrics: Metrics = STANDARD,
    own: Sequence[str] = (),
) -> Table:
    """Return the table of the metrics of `SUMMARY`, and of the user's own."""
    return metrics_table(estimates, [*SUMMARY, *own], systems, humans, metrics)


def metrics_table(
    estimates: Estimates, names: Sequence[str], systems: Sequence[str], humans: Mapping[str, float], metrics: Metrics
) -> Table:
    """Return a row a system and a column a metric that is known, the intervals below the values."""
    shown = [metrics[name] for name in names if name in estimates]
    rows = []
    for system in systems:
        cells = [Cell(system)]
        for metric in shown:
            one = estimates[metric.name][system]
            arrow = {"up": " ▲", "down": " ▼", "": ""}[_direction(metric, one)]
            cells.append(Cell(metric.shown(one.value) + arrow, _between(metric, one.interval), _direction(metric, one)))
        rows.append(Row(cells))
    scale = [Cell(_human(metric, humans)) for metric in shown]
    rows.append(Row([Cell("humans"), *scale], humans=True))
    return Table(["", *(metric.label for metric in shown)], rows)


def _human(metric: Metric, humans: Mapping[str, float]) -> str:
    return metric.shown(humans[metric.name]) if metric.name in humans else ""


def full_table(estimates: Estimates, systems: Sequence[str], humans: Mapping[str, float], metrics: Metrics) -> Table:
    """Return a row a metric and a column a system; below a value its difference from the baseline and corrected p."""
    rows = []
    for name, by_system in estimates.items():
        metric = metrics[name]
        cells = [Cell(metric.label)]
        for system in systems:
            one = by_system[system]
            note = _between(metric, one.interval)
            if one.difference is not None and one.p_holm is not None:
                note = (
                    f"{metric.shown(one.difference.value, sign='+')} "
                    f"({metric.between(one.difference.interval, sign='+')}), p {one.p_holm:.3f}"
                )
            cells.append(Cell(metric.shown(one.value), note, _direction(metric, one)))
        rows.append(Row([*cells, Cell(_human(metric, humans))]))
    return Table(["", *systems, "humans"], rows)


def verdict_table(verdicts: Sequence[Verdict], metrics: Metrics) -> Table:
    """Return a row a verdict."""
    rows = []
    for one in verdicts:
        diversity = metrics[one.diversity]
        difference = "" if one.difference is None else diversity.shown(one.difference, sign="+")
        interval = "" if one.interval is None else diversity.between(one.interval, sign="+")
        axes = (metrics[one.quality].label, diversity.label)
        texts = (*axes, FAMILIES[one.family], difference, interval, one.verdict)
        rows.append(Row([Cell(one.system), *map(Cell, texts)]))
    heads = ("", "quality", "diversity", "points", "diversity at equal quality", "95%", "verdict")
    return Table(heads, rows)


def configuration_table(configs: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return a row a setting in which systems differ and a column a system."""
    flat = {
        name: {key: value for key, value in flattened(config).items() if value is not None}  # as where it was not there
        for name, config in configs.items()
    }
    keys = sorted({key for own in flat.values() for key in own})
    different = [key for key in keys if len({str(own.get(key, "")) for own in flat.values()}) > 1]
    rows = [Row([Cell(key), *(Cell(str(own.get(key, ""))) for own in flat.values())]) for key in different]
    return Table(["", *flat], rows)


def write_tables(
    folder: Path,
    estimates: Estimates,
    systems: Sequence[str],
    humans: Mapping[str, float],
    verdicts: Sequence[Verdict],
    metrics: Metrics = STANDARD,
    own: Sequence[str] = (),
) -> None:
    """Write `metrics.csv` (all numbers, in the metrics' own units, not times 100), `metrics.tex` and `verdicts.csv`.

    Raises:
        UserError: pandas is missing.
    """
    require("pandas", extra="report", what="reports")
    import pandas

    records = [
        _record(metric, system, by_system[system]) for metric, by_system in estimates.items() for system in systems
    ]
    records += [
        {"metric": metric, "system": "humans", "value": humans[metric]} for metric in estimates if metric in humans
    ]
    texts = {
        "metrics.csv": pandas.DataFrame.from_records(records).to_csv(index=False),
        "verdicts.csv": pandas.DataFrame([_told(one) for one in verdicts], columns=_TOLD).to_csv(index=False),
        "metrics.tex": _latex(summary_table(estimates, systems, humans, metrics, own)),
    }
    for name, text in texts.items():
        write_atomically(folder / name, lambda file, text=text: file.write(text.encode()))  # type: ignore[misc]


_TOLD = [*(field.name for field in fields(Verdict) if field.name != "interval"), "low", "high"]
"""Of a verdict, the columns of `verdicts.csv`, whose heads are there without verdicts as well."""


def _told(verdict: Verdict) -> dict[str, Any]:
    told = dict(vars(verdict))
    low, high = told.pop("interval") or (None, None)
    return {**told, "low": low, "high": high}


def _record(metric: str, system: str, one: Estimate) -> dict[str, Any]:
    low, high = one.interval or (None, None)
    record: dict[str, Any] = {"metric": metric, "system": system, "value": one.value, "low": low, "high": high}
    if one.difference is not None:
        record |= {
            "difference": one.difference.value,
            "difference_low": one.difference.interval[0],
            "difference_high": one.difference.interval[1],
            "p": one.difference.p,
            "p_holm": one.p_holm,
        }
    return record


def _latex(table: Table) -> str:
    import pandas

    arrows = str.maketrans({"▲": "+", "▼": "-"})
    rows = [[cell.text.translate(arrows) for cell in row.cells] for row in table.rows]
    text: str = pandas.DataFrame(rows, columns=list(table.heads)).to_latex(index=False, escape=True)
    return text
