"""What each discriminator of the ladder knows, as it learns, beside the best possible one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.study import cost_of, systems
from gan_caption.reporting.table import markdown
from gan_caption.training.records import METRICS, read_records

SHOWN = (200, 1000, 1900)
"""Steps of D; the last look of all is at the weights that are kept."""


def known(run: Path) -> dict[str, Any]:
    """Return what a run's discriminator knows of images that nobody learned from, and what resampling by it brings."""
    told = [row for row in read_records(run / METRICS) if row["phase"] == "ratio" and "ratio/auc" in row]
    first = told[0]["step"] - told[0]["step"] % 100
    by_step = {row["step"] - first: row["ratio/auc"] for row in told}
    found = systems(run)
    return {
        "minutes": cost_of(run),
        "auc": {str(steps): by_step[steps] for steps in SHOWN if steps in by_step},
        **{name: told[-1][f"ratio/{name}"] for name in ("log_loss", "scale", "ece")},
        "kept_auc": told[-1]["ratio/auc"],
        **{name: found["mle"][name] for name in ("jsd", "best_auc", "best_log_loss")},
        "resampled": found["resampling"]["jsd"],
    }


def table_of_rungs(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a Markdown table: a row a discriminator, see `known`."""
    heads = ["discriminator", "minutes", *(f"AUC after {steps}" for steps in SHOWN), "AUC, as kept",
             "log-loss, calibrated", "scale", "calibration error", "JSD of the policy", "JSD, resampled"]  # fmt: skip
    rows = [heads]
    for name, rung in found.items():
        cells = [f"{rung['auc'][str(steps)]:.3f}" if str(steps) in rung["auc"] else "" for steps in SHOWN]
        rows.append([
            name, f"{rung['minutes']:.0f}", *cells, f"{rung['kept_auc']:.3f}", f"{rung['log_loss']:.4f}",
            f"{rung['scale']:.2f}", f"{rung['ece']:.3f}", f"{rung['jsd']:.3f}", f"{rung['resampled']:.3f}",
        ])  # fmt: skip
    if found:
        best = next(iter(found.values()))
        rows.append(["the best possible", "", *[f"{best['best_auc']:.3f}"] * (len(SHOWN) + 1),
                     f"{best['best_log_loss']:.4f}", "1.00", "0", f"{best['jsd']:.3f}", "0"])  # fmt: skip
    return markdown(rows)
