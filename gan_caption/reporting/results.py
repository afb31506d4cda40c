"""What was measured is told: a table on the screen and in a file, and `results.json` for programs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gan_caption.configuration.building import Part
from gan_caption.data.oracle import OracleSplit
from gan_caption.data.scenes.corpus import SceneSplit
from gan_caption.distributed import world
from gan_caption.distributed.world import say
from gan_caption.errors import UserError
from gan_caption.evaluation.comparison import Chosen
from gan_caption.evaluation.result_files import read_results
from gan_caption.evaluation.results import Results, code_of, evaluation_folder, measure_run
from gan_caption.evaluation.settings import EvaluationSettings, SeveralSettings
from gan_caption.metrics.metric import Metric, Metrics
from gan_caption.metrics.standard import catalogue
from gan_caption.reporting.table import comparison, curve_table
from gan_caption.training.folders import RESULTS, has_finished, left_digest, write_text, write_values

TABLE = "table.md"
"""In the folder of a run or of an evaluation."""
_KEPT = ("name", "label", "factor", "decimals", "better", "of")
"""Of a metric, in `results.json`."""


def evaluate_run(asked: EvaluationSettings) -> dict[str, dict[str, float]]:
    """Evaluate a run as `measure_run` does, write what was found beside its captions, and print it.

    Returns:
        values by the phase that left the weights and by metric.
    """
    return tell(measure_run(asked))


def evaluated(chosen: Chosen, asked: SeveralSettings, *, images: str, data: Part | None = None) -> Path:
    """Return the folder of a run's evaluation, made where it was not made before of the same with the same settings.

    Args:
        chosen: the weights.
        asked: how they are measured.
        images: the fingerprint of the split that is asked for, as it is now.
        data: other data than the run's own.
    """
    own = EvaluationSettings(
        run=chosen.folder, weights=chosen.phase, data=data, split=asked.split, device=asked.device,
        allow=asked.allow, cache=asked.cache, skip_unreadable=asked.skip_unreadable,
        skip_missing=asked.skip_missing, decoding=asked.decoding, curve=asked.curve, metrics=asked.metrics,
        validation=asked.validation.of(chosen.settings.validation), language_model=asked.language_model,
        java_metrics=[],
    )  # fmt: skip
    folder = evaluation_folder(own)
    code = code_of(chosen.settings.metrics if asked.metrics is None else asked.metrics)
    if not _is_of_today(folder, chosen, images, code):
        say(f"evaluating {chosen.folder} ({chosen.phase})" + (f" on {data.name}" if data else ""))
        evaluate_run(own)
    return folder


def _is_of_today(folder: Path, chosen: Chosen, images: str, code: str) -> bool:
    """Tell whether an evaluation is there, of the weights that the run has now, by metrics written as they are now.

    And of images of the same names. What is on the photographs is not looked at: where files changed, delete the
    evaluation.
    """
    if not has_finished(folder):
        return False
    results = read_results(chosen.folder, folder)
    if chosen.phase not in results["systems"]:
        return False
    made_of = results.get("made_of")
    if not isinstance(made_of, Mapping):
        return not code  # written before these were told
    weights = left_digest(chosen.folder, chosen.phase)
    return bool(
        made_of.get(chosen.phase) == weights and made_of.get("images") == images and made_of.get("metrics", "") == code
    )


def tell(results: Results) -> dict[str, dict[str, float]]:
    """Write results to their folder as a table and as JSON, print the table, and return the values by system."""
    if not world.is_main():
        return results.systems
    curves = [
        f"{name}, {results.samples_per_image} samples an image:\n\n{curve_table(curve, results.metrics)}"
        for name, curve in results.curves.items()
    ]
    table = comparison(results.systems, results.metrics, intervals=results.intervals, humans=results.humans)
    told = "\n\n".join([results.title, table, *curves])
    measured = [
        {key: getattr(metric, key) for key in _KEPT}
        for name, metric in results.metrics.items()
        if any(name in values for values in results.systems.values())
    ]
    write_text(results.folder / TABLE, f"{told}\n")
    write_values(
        results.folder / RESULTS,  # last, because a run that has it has finished
        {
            "title": results.title,
            "systems": results.systems,
            "humans": results.humans,
            "metrics": measured,
            **({"made_of": results.made_of} if results.made_of else {}),
        },
    )
    print(f"\n{told}\n\nEverything is in {results.folder}", flush=True)
    return results.systems


def tell_again(folder: Path) -> dict[str, dict[str, float]]:
    """Print the table of a run that has finished, and return its values, as `tell` did."""
    told = (folder / TABLE).read_text(encoding="utf-8").rstrip()
    if world.is_main():
        print(f"\n{told}\n\nFinished before: everything is in {folder}", flush=True)
    systems: dict[str, dict[str, float]] = read_results(folder, folder)["systems"]
    return systems


def metrics_of(results: Mapping[str, Any]) -> Metrics:
    """Return the metrics that a `results.json` has values of, as it describes them, without their functions.

    Raises:
        UserError: it describes something else.
    """
    if "metrics" not in results:  # written when there were no others than these
        others = (*SceneSplit("", ()).metrics, *OracleSplit("", ()).metrics)
        return catalogue(*{metric.name: metric for metric in others}.values())
    try:
        return {row["name"]: Metric(**{key: row[key] for key in _KEPT}) for row in results["metrics"]}
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{RESULTS}: {str(error)[:300]}: its metrics are not described. Delete it: evaluate writes an evaluation's "
            "anew, and train with resume=auto a run's own"
        ) from error
