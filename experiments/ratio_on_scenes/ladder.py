"""What each discriminator of the ladder knows, as it learns, beside the best possible one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.ratio import evaluator_of
from experiments.study import cost_of, systems
from gan_caption.evaluation.result_files import calibration_file
from gan_caption.evaluation.trained import open_run
from gan_caption.metrics.separation import probabilities, reliability
from gan_caption.reporting.table import markdown
from gan_caption.training.records import METRICS, read_records

EVERY = 100
"""Steps of D between two looks at it."""
SHOWN = (200, 1000, 1900)
"""Steps of the table; the last look of all is at the weights that are kept."""


def known(run: Path) -> dict[str, Any]:
    """Return what a run's discriminator knows of images that nobody learned from, and what resampling by it brings.

    "auc", "kept_auc", "log_loss", "scale" and "ece" are of the images on which it is calibrated; the "reliability" of
    its probabilities, and the best possible one's, of the test images.
    """
    by_step, last = looks(read_records(run / METRICS))
    found = systems(run)
    return {
        "minutes": cost_of(run),
        "auc": by_step,
        **{name: last[f"ratio/{name}"] for name in ("log_loss", "scale", "ece")},
        "kept_auc": last["ratio/auc"],
        **{name: found["mle"][name] for name in ("jsd", "best_auc", "best_log_loss")},
        "resampled": found["resampling"]["jsd"],
        "reliability": json.loads((run / calibration_file("mle")).read_text()),
        "best_reliability": best_reliability(run),
    }


def looks(records: Sequence[Mapping[str, Any]]) -> tuple[dict[str, float], Mapping[str, Any]]:
    """Return the AUC by D's steps, texts as JSON has them, and what was logged last, of the weights that are kept.

    Args:
        records: of a run; those between two looks repeat what the last one saw.
    """
    phases = [row["phase"] for row in records]
    place = phases.index("ratio")
    before = records[place - 1]["step"] if place else 0
    *told, last = [row for row in records if row["phase"] == "ratio" and "ratio/auc" in row]
    by_step = {row["step"] - before: row["ratio/auc"] for row in told}
    return {str(step): auc for step, auc in by_step.items() if step % EVERY == 0}, last


def best_reliability(run: Path) -> list[dict[str, float]]:
    """Return the bins of the exact ratio to the policy, on samples of its own of the test images."""
    trained = open_run(run, device="auto")
    trained.load("mle")
    evaluator = evaluator_of(trained, "test", samples_per_image=trained.settings.validation.samples_per_image)
    sampler = evaluator.sampler("mle")
    samples = evaluator.sample(trained.captioner, sampler)
    people, policy = (
        probabilities(evaluator.log_ratios(trained.captioner, captions, sampler)).tolist()
        for captions in (evaluator.people(evaluator.samples_per_image), samples)
    )
    return [one._asdict() for one in reliability(people, policy)]


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
    for of, best in best_possible(found).items():
        rows.append([of, "", *[f"{best['best_auc']:.3f}"] * (len(SHOWN) + 1),
                     f"{best['best_log_loss']:.4f}", "1.00", "0", f"{best['jsd']:.3f}", "0"])  # fmt: skip
    return markdown(rows)


def best_possible(found: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Return the best possible discriminator, as the first of the rungs has it that were taught against one policy.

    Its name says which, where they were taught against several: a policy that is trained again elsewhere is not quite
    the same.
    """
    policies: dict[float, Mapping[str, Any]] = {}
    for rung in found.values():
        policies.setdefault(rung["best_auc"], rung)
    own = [f", policy of JSD {one['jsd']:.3f}" if len(policies) > 1 else "" for one in policies.values()]
    return {f"the best possible{of}": one for of, one in zip(own, policies.values(), strict=True)}
