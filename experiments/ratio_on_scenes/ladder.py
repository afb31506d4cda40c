"""What each discriminator of the ladder knows, as it learns, beside the best possible one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from experiments.study import cost_of, systems
from gan_caption.reporting.table import markdown
from gan_caption.training.records import METRICS, read_records

SHOWN = (200, 1000, 2000)
"""Steps of D."""


def table_of_rungs(runs: Mapping[str, Path]) -> str:
    """Return a Markdown table: a row a discriminator. AUC and log-loss of images that nobody learned from."""
    heads = ["discriminator", "minutes", *(f"AUC after {steps}" for steps in SHOWN), "log-loss, calibrated", "scale",
             "JSD of the policy", "JSD, resampled"]  # fmt: skip
    rows = [heads]
    for name, run in runs.items():
        told = [row for row in read_records(run / METRICS) if row["phase"] == "ratio" and "ratio/auc" in row]
        first = told[0]["step"] - told[0]["step"] % 100
        by_step = {row["step"] - first: row for row in told}
        found = systems(run)
        cells = [f"{by_step[steps]['ratio/auc']:.3f}" if steps in by_step else "" for steps in SHOWN]
        last = told[-1]
        rows.append([
            name, f"{cost_of(run):.0f}", *cells, f"{last['ratio/log_loss']:.4f}", f"{last['ratio/scale']:.2f}",
            f"{found['mle']['jsd']:.3f}", f"{found['resampling']['jsd']:.3f}",
        ])  # fmt: skip
    best = systems(next(iter(runs.values())))["mle"] if runs else {}
    if best:
        rows.append(["the best possible", "", *[f"{best['best_auc']:.3f}"] * len(SHOWN),
                     f"{best['best_log_loss']:.4f}", "1.00", f"{best['jsd']:.3f}", "0"])  # fmt: skip
    return markdown(rows)
