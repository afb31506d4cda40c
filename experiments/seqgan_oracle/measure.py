"""What is kept of a run: both NLLs, as it stands and at other temperatures, on the test split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.seqgan_oracle.curves import curve_of
from experiments.study import cost_of, evaluate, systems, trained

ORACLE, UNSEEN = "sample_oracle_nll_per_token", "nll_per_token"
SHOWN = {ORACLE: 3, UNSEEN: 3, "discriminator_auc": 3}
"""Metrics of the table, and their decimals."""
Found = Mapping[str, Any]
"""Of a run, "minutes"; "rows": metrics by what they are of; of an arm also its curve, see `curves`."""


def as_it_stands(run: Path) -> Found:
    """Measure what maximum likelihood left."""
    return _found(run, {"": systems(run)["mle"]})


def at_temperatures(temperatures: Sequence[float], run: Path) -> Found:
    """Measure what maximum likelihood left, and its samples at other temperatures."""
    others = {f" at temperature {one:g}": _sampled(run, "test", one)["mle"] for one in temperatures if one != 1}
    return _found(run, {"": systems(run)["mle"], **others})


def followed(temperatures: Sequence[float], run: Path) -> Found:
    """Measure what an arm left, also at that of these temperatures whose two NLLs have the least sum on validation."""
    system = trained(run)
    rows = {"": systems(run)[system]}
    if len(temperatures) > 1:
        by_temperature = {one: _sampled(run, "val", one)[system] for one in temperatures}
        best = min(by_temperature, key=lambda one: by_temperature[one][ORACLE] + by_temperature[one][UNSEEN])
        rows[", at its best temperature"] = _sampled(run, "test", best)[system]
    if run.name.startswith("leakgan"):
        rows[": its own mle"] = systems(run)["mle"]
        rows[", logits x 1.5 (as published)"] = _sampled(run, "test", 1 / 1.5)[system]
    return {**_found(run, rows), **curve_of(run, system)}


def _found(run: Path, rows: Mapping[str, Mapping[str, float]]) -> Found:
    kept = (*SHOWN, "temperature")
    return {
        "minutes": cost_of(run),
        "rows": {row: {one: found[one] for one in kept if one in found} for row, found in rows.items()},
    }


def _sampled(run: Path, split: str, temperature: float) -> dict[str, dict[str, float]]:
    """Return the metrics of a run's systems, written and judged at a temperature."""
    found = evaluate(
        run, f"split={split}", "validation.samples_per_image=2", "validation.batch_images=500",
        f"validation.temperature={temperature:.4g}",
    )  # fmt: skip
    return {system: {**metrics, "temperature": temperature} for system, metrics in found.items()}
