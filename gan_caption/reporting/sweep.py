"""Sweeps: what each run of one was worth, and the table at its end."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gan_caption.configuration.jobs import Job
from gan_caption.configuration.overrides import command, setting
from gan_caption.errors import UserError
from gan_caption.evaluation.comparison import choose_systems
from gan_caption.evaluation.result_files import read_results
from gan_caption.evaluation.trained import last_of_the_policy
from gan_caption.metrics.metric import Metric, Metrics, choose
from gan_caption.metrics.standard import STANDARD
from gan_caption.reporting.results import metrics_of
from gan_caption.reporting.table import markdown
from gan_caption.training.checkpoint import load_state
from gan_caption.training.folders import BASELINE, inside, read_settings, write_text, write_values
from gan_caption.untrusted.parsing import parse_json

RUNS, TABLE = "runs.json", "table.md"
"""In a sweep's folder."""
_KEYS = ("search_metric", "diversity_metric")
RUINED = -1.0
"""Of a run whose last phase left no healthy weights, or none with a value of what is sought: below every other."""


@dataclass(frozen=True)
class Sought:
    """What a search looks at."""

    quality: Metric = STANDARD["cider_d"]
    """It seeks the best of this one ..."""
    diversity: Metric = STANDARD["div_2"]
    """... where this one is good enough."""


@dataclass(frozen=True)
class Trial:
    """A finished run, as a search sees it: by its validation images alone."""

    folder: str
    """The run folder."""
    name: str
    """Of the experiment."""
    seed: int
    """Of the training."""
    quality: float | None
    """What was sought (CIDEr-D, 0 to 10) of the weights that the last phase left; None where they are not healthy."""
    diversity: float | None
    """What has a floor (Div-2, 0 to 1) of the same."""
    ended: str
    """In words: finished, stopped early after so many steps, or without healthy weights."""
    value: float
    """What a search maximises."""
    sought: tuple[str, str] = ("cider_d", "div_2")
    """The names of the metrics that these are of: what was sought, and what has a floor."""
    temperature: float = 1.0
    """Of the samples that the run measures."""

    def __float__(self) -> float:
        """Return the value, which is what Hydra's sweepers ask for."""
        return self.value


def trial_of(
    folder: Path,
    *,
    floor: float | None,
    sought: tuple[str, str] | None = None,
    allow: str | Sequence[str] = (),
) -> Trial:
    """Return what a finished run is worth to a search.

    Args:
        folder: of the run.
        floor: of the diversity; None: none.
        sought: names of the metrics of quality and diversity, which may be others than when the run was made; None:
            the run's own.
        allow: packages of your own whose classes the run may name.

    Raises:
        UserError: the folder holds no run, its checkpoint is damaged, a metric is unknown or was not validated, or what
            is sought is below 0.
    """
    settings = read_settings(folder, allow=allow)
    state = load_state(inside(folder, "checkpoints/last.pt"))
    phase = last_of_the_policy(settings)
    left = {} if phase is None else state.selected.get(phase, {})
    ended = f"stopped early, after {state.stopped[phase]} steps" if phase in state.stopped else "finished"
    names = sought or (settings.search_metric, settings.diversity_metric)
    chosen = metrics_sought(names, metrics_of(read_results(folder, folder)))
    for key, metric in zip(_KEYS, (chosen.quality, chosen.diversity), strict=True):
        if left and metric.name not in left:
            raise UserError(f"{key}={metric.name}: validation measures {', '.join(sorted(left))}; name one of them")
    return Trial(
        folder=str(folder),
        name=settings.name,
        seed=settings.seed,
        quality=left.get(chosen.quality.name),
        diversity=left.get(chosen.diversity.name),
        ended=f"{ended}{_lacking(left, chosen)}",
        value=value_of(left, floor=floor, sought=chosen),
        sought=names,
        temperature=settings.validation.temperature,
    )


def _lacking(left: Mapping[str, float], sought: Sought) -> str:
    """Say why a run is worth nothing to a search, where it is."""
    if not left:
        return ": no healthy weights"
    unknown = [one.name for one in (sought.quality, sought.diversity) if math.isnan(left[one.name])]
    return f": no value of {', '.join(unknown)}" if unknown else ""


def metrics_sought(names: Sequence[str], measured: Metrics) -> Sought:
    """Return what a search looks at.

    Args:
        names: of the metrics of quality and diversity.
        measured: what a run measured.

    Raises:
        UserError: one is none of these, or a metric of which neither more nor less is better.
    """
    found = []
    for key, name in zip(_KEYS, names, strict=True):
        try:
            found.append(choose(measured, name))
        except ValueError as error:
            raise UserError(f"{key}={error}") from error
    return Sought(*found)


def value_of(validation: Mapping[str, float], *, floor: float | None, sought: Sought = Sought()) -> float:
    """Return what a search maximises.

    It is the quality (CIDEr-D) where the diversity (Div-2) is good enough; where lower quality is better, 1 / (1 +
    quality). Elsewhere it is -gap / (1 + gap), with what the diversity lacks: a run above the floor is worth more than
    any below it, and below it the search is told the way up.

    Args:
        validation: metrics of the weights that a run left; {} where it left no healthy ones, which is worth -1.
        floor: the least diversity; where lower is better, the most; None: none.
        sought: which metrics are meant.

    Raises:
        UserError: the quality is below 0, and could not be told from a lack of diversity.
    """
    if not validation:
        return RUINED
    diversity, quality = validation[sought.diversity.name], validation[sought.quality.name]
    if math.isnan(diversity) or math.isnan(quality):
        return RUINED
    if floor is not None:
        gap = floor - diversity if sought.diversity.better == "higher" else diversity - floor
        if gap > 0:
            return -gap / (1 + gap)
    if quality < 0:
        raise UserError(f"search_metric={sought.quality.name}: it is {quality:.4g}; what is sought is 0 or more")
    return quality if sought.quality.better == "higher" else 1 / (1 + quality)


def write_summary(folder: Path, jobs: Sequence[Job]) -> None:
    """Write a sweep's runs as a table and as JSON, and print the table and the command that compares them.

    Args:
        folder: of the sweep.
        jobs: its runs; the result of each that did not fail is a `Trial`, as JSON has it.
    """
    trials = [None if job.failure is not None else Trial(**job.result) for job in jobs]
    rows = [
        {"overrides": job.overrides, **(_row(trial, folder) if trial else {"failure": job.failure})}
        for job, trial in zip(jobs, trials, strict=True)
    ]
    write_values(folder / RUNS, rows)
    first = next((trial for trial in trials if trial), None)
    sought = Sought()
    if first:
        sought = metrics_sought(first.sought, metrics_of(read_results(Path(first.folder), Path(first.folder))))
    table = summary(jobs, trials, sought)
    write_text(folder / TABLE, f"{table}\n")
    print(f"\n{table}\n\nThe table is in {folder / TABLE}", flush=True)
    if _can_be_compared([trial for trial in trials if trial]):
        # A baseline that they share is sampled once, and so are all.
        apart = len({trial.temperature for trial in trials if trial}) > 1
        alike = [setting("validation.temperature", 1)] if apart else []
        own = [one for one in jobs[0].overrides if one.startswith("allow=")]  # whoever reads them needs the same word
        together = command("compare", [setting("runs", folder), *own, *alike, setting("out", folder / "report")])
        print(f"To compare the runs: {together}", flush=True)


def _can_be_compared(trials: Sequence[Trial]) -> bool:
    """Tell whether there is something to compare: not where all are maximum likelihood of one name, say."""
    try:
        choose_systems([trial.folder for trial in trials], baseline=BASELINE)
    except UserError:
        return False
    return True


def _row(trial: Trial, sweep: Path) -> dict[str, Any]:
    """Return a trial for a file in the sweep's folder: where the run lies is told from there, as both may be moved."""
    return {**asdict(trial), "folder": os.path.relpath(trial.folder, sweep)}


def summary(jobs: Sequence[Job], trials: Sequence[Trial | None], sought: Sought = Sought()) -> str:
    """Return a Markdown table: a run a row, the highest value first, failures last; a column a setting that varies."""
    settings = [{key: value for key, _, value in (one.partition("=") for one in job.overrides)} for job in jobs]
    keys = list(dict.fromkeys(key for own in settings for key in own))
    varying = [key for key in keys if len({own.get(key) for own in settings}) > 1]
    both = (sought.quality, sought.diversity)
    labels = [f"val {metric.label.removeprefix('samples: ')}" for metric in both]
    heads = [*(key.lstrip("+") for key in varying), *labels, "value", "end"]
    order = sorted(range(len(jobs)), key=lambda index: _rank(trials[index]))
    rows = []
    for index in order:
        trial = trials[index]
        own = [_short(settings[index].get(key, "")) for key in varying]
        if trial is None:
            rows.append([*own, "-", "-", "-", "failed: " + str(jobs[index].failure).partition("\n")[0]])
            continue
        measured = [
            "-" if value is None else metric.shown(value)
            for metric, value in zip(both, (trial.quality, trial.diversity), strict=True)
        ]
        rows.append([*own, *measured, f"{trial.value:.4f}", trial.ended])
    return markdown([heads, *rows])


def _rank(trial: Trial | None) -> tuple[bool, float]:
    return trial is None, 0.0 if trial is None else -trial.value


def _short(value: str) -> str:
    """Round a number that a search drew; `runs.json` has all its digits."""
    try:
        return value if len(value) < 7 or value.isdecimal() or "_" in value else f"{float(value):.4g}"
    except ValueError:
        return value


def folders_of(runs: str | Path | Sequence[str | Path]) -> list[str]:
    """Return run folders: those given, or the finished runs of a sweep where its folder is given.

    Raises:
        UserError: that folder holds no sweep that has ended, or its list of runs is damaged.
    """
    if not isinstance(runs, str | Path):
        return list(map(str, runs))
    path = Path(runs) / RUNS
    if not path.exists():
        raise UserError(
            f"runs={runs} is not the folder of a sweep that has ended (no {RUNS}): give one, or a list of run "
            "folders, runs=[outputs/a,outputs/b]"
        )
    try:
        told = parse_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}): give a list of run folders") from error
    if not isinstance(told, list) or not all(isinstance(row, dict) for row in told):
        raise UserError(f"{path} is no list of a sweep's runs: give a list of run folders")
    found = list(dict.fromkeys(str(row["folder"]) for row in told if "folder" in row))  # a search may ask twice
    there = [os.path.normpath(path.parent / folder) for folder in found]
    # Once it was told from where the sweep was started.
    return [one if Path(one).is_dir() else folder for one, folder in zip(there, found, strict=True)]
