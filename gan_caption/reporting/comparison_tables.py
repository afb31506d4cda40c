"""The tables of a comparison, for the page, as CSV and as LaTeX."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gan_caption.extras import require
from gan_caption.files import write_atomically
from gan_caption.reporting.equal_quality import FAMILIES, Verdict
from gan_caption.reporting.page import Cell, Row, Table
from gan_caption.reporting.summary import Estimate
from gan_caption.reporting.table import ROWS, between, shown
from gan_caption.training.identity import flattened

SUMMARY = (
    "cider_d", "bleu_4", "oracle_true", "sample_cider_d", "sample_oracle_true", "self_cider", "div_2", "mbleu_4",
    "lm_nll", "reverse_lm_nll", "taken_for_human", "recall_5",
)  # fmt: skip
"""The columns of the summary, where they are known."""
LOWER_IS_BETTER = frozenset({
    "mbleu_4", "self_bleu_4", "length_distance", "oracle_hallucinations", "oracle_outside",
    "sample_oracle_hallucinations", "sample_oracle_outside", "nll_per_token", "nll_per_caption", "lm_nll",
    "reverse_lm_nll", "median_rank",
})  # fmt: skip
NEITHER = frozenset({"length", "sample_length", "oracle_nll", "sample_oracle_nll", "verbatim", "sample_verbatim"})
SURE = 0.05
"""A corrected p below it marks a cell."""

Estimates = Mapping[str, Mapping[str, Estimate]]


def _between(metric: str, interval: tuple[float, float] | None, *, sign: str = "") -> str:
    return "" if interval is None else between(metric, interval, sign=sign)


def _direction(metric: str, estimate: Estimate) -> str:
    if estimate.difference is None or estimate.p_holm is None or estimate.p_holm >= SURE or metric in NEITHER:
        return ""
    return "up" if (estimate.difference.value > 0) != (metric in LOWER_IS_BETTER) else "down"


def summary_table(estimates: Estimates, systems: Sequence[str], humans: Mapping[str, float]) -> Table:
    """Return the table of the metrics of `SUMMARY`."""
    return metrics_table(estimates, SUMMARY, systems, humans)


def metrics_table(
    estimates: Estimates, metrics: Sequence[str], systems: Sequence[str], humans: Mapping[str, float]
) -> Table:
    """Return a row a system and a column a metric that is known, the intervals below the values."""
    metrics = [metric for metric in metrics if metric in estimates]
    rows = []
    for system in systems:
        cells = [Cell(system)]
        for metric in metrics:
            one = estimates[metric][system]
            arrow = {"up": " ▲", "down": " ▼", "": ""}[_direction(metric, one)]
            text = shown(metric, one.value) + arrow
            cells.append(Cell(text, _between(metric, one.interval), _direction(metric, one)))
        rows.append(Row(cells))
    scale = [Cell(shown(metric, humans[metric])) if metric in humans else Cell("") for metric in metrics]
    rows.append(Row([Cell("humans"), *scale], humans=True))
    return Table(["", *(ROWS[metric][0] for metric in metrics)], rows)


def full_table(estimates: Estimates, systems: Sequence[str], humans: Mapping[str, float]) -> Table:
    """Return a row a metric and a column a system; below a value its difference from the baseline and corrected p."""
    rows = []
    for metric, by_system in estimates.items():
        cells = [Cell(ROWS[metric][0])]
        for system in systems:
            one = by_system[system]
            note = _between(metric, one.interval)
            if one.difference is not None and one.p_holm is not None:
                note = (
                    f"{shown(metric, one.difference.value, sign='+')} "
                    f"({_between(metric, one.difference.interval, sign='+')}), p {one.p_holm:.3f}"
                )
            cells.append(Cell(shown(metric, one.value), note, _direction(metric, one)))
        cells.append(Cell(shown(metric, humans[metric]) if metric in humans else ""))
        rows.append(Row(cells))
    return Table(["", *systems, "humans"], rows)


def verdict_table(verdicts: Sequence[Verdict]) -> Table:
    """Return a row a verdict."""
    rows = []
    for one in verdicts:
        difference = "" if one.difference is None else f"{one.difference:+.3f}"
        interval = "" if one.interval is None else f"{one.interval[0]:+.3f} to {one.interval[1]:+.3f}"
        texts = (ROWS[one.quality][0], ROWS[one.diversity][0], FAMILIES[one.family], difference, interval, one.verdict)
        rows.append(Row([Cell(one.system), *map(Cell, texts)]))
    heads = ("", "quality", "diversity", "points", "diversity at equal quality", "95%", "verdict")
    return Table(heads, rows)


def configuration_table(configs: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return a row a setting in which systems differ and a column a system."""
    flat = {name: flattened(config) for name, config in configs.items()}
    keys = sorted({key for own in flat.values() for key in own})
    different = [key for key in keys if len({str(own.get(key, "")) for own in flat.values()}) > 1]
    rows = [Row([Cell(key), *(Cell(str(own.get(key, ""))) for own in flat.values())]) for key in different]
    return Table(["", *flat], rows)


def write_tables(
    folder: Path, estimates: Estimates, systems: Sequence[str], humans: Mapping[str, float], verdicts: Sequence[Verdict]
) -> None:
    """Write `metrics.csv` (all numbers, scale 0 to 1), `metrics.tex` (the summary) and `verdicts.csv`.

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
        "verdicts.csv": pandas.DataFrame([_told(one) for one in verdicts]).to_csv(index=False),
        "metrics.tex": _latex(summary_table(estimates, systems, humans)),
    }
    for name, text in texts.items():
        write_atomically(folder / name, lambda file, text=text: file.write(text.encode()))  # type: ignore[misc]


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
