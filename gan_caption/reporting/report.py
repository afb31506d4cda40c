"""The report of a comparison: a folder with a page that opens offline, its figures, tables and images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from gan_caption.configuration.building import plain
from gan_caption.distributed.world import say
from gan_caption.errors import UserError
from gan_caption.evaluation.adversarial import enough_images
from gan_caption.evaluation.compared import Compared, compare
from gan_caption.evaluation.comparison import (
    NOT_OF_THE_METHOD,
    check_networks,
    choose_systems,
    comparable,
    language_model_asked,
    metrics_asked,
    run_tokenizers,
)
from gan_caption.evaluation.java import java_metrics
from gan_caption.evaluation.settings import ComparisonSettings
from gan_caption.evaluation.systems import System
from gan_caption.evaluation.text_metrics import language_model_metrics
from gan_caption.extras import require
from gan_caption.files import check_folder, is_taken, renewed_folder
from gan_caption.metrics.metric import Metrics, on_curves
from gan_caption.metrics.standard import catalogue
from gan_caption.reporting.cards import ORDERS, cards_of
from gan_caption.reporting.comparison_tables import (
    configuration_table,
    full_table,
    metrics_table,
    summary_table,
    verdict_table,
    write_tables,
)
from gan_caption.reporting.equal_quality import verdicts
from gan_caption.reporting.figures import learning_curves, quality_against_diversity, reliability_diagram, save
from gan_caption.reporting.page import Adversarial, Page, Picture, write_page
from gan_caption.reporting.results import evaluated
from gan_caption.reporting.sentences import about, description, findings, legend
from gan_caption.reporting.summary import summarise
from gan_caption.reporting.sweep import folders_of
from gan_caption.training.folders import write_json
from gan_caption.training.setup import choose_device, load_split, open_corpus, open_language_model, own_metrics
from gan_caption.untrusted.parsing import shown

PAGE, SETTINGS = "index.html", "settings.json"
JUDGED = ("taken_for_human", "recall_1", "recall_5", "recall_10", "median_rank")


def compare_runs(settings: ComparisonSettings, *, command: str) -> Path:
    """Evaluate runs alike where that was not done before, and write the report.

    Args:
        settings: of the comparison.
        command: what the user typed, for the report.

    Returns:
        the report's folder.

    Raises:
        UserError: the runs cannot be compared, something is missing, or `out` is a folder of something else.
    """
    # Missed before minutes of evaluation, not after.
    require("jinja2", "matplotlib", "pandas", "scipy", extra="report", what="reports")
    target = settings.out.resolve()
    if is_taken(target) and not all((target / name).exists() for name in (PAGE, SETTINGS)):
        raise UserError(f"out={settings.out} exists and holds no report: choose another folder")
    check_folder(target.parent, f"out={settings.out}")
    chosen = choose_systems(
        folders_of(settings.runs), baseline=settings.against, temperature=settings.validation.temperature,
        allow=settings.allow,
    )  # fmt: skip
    check_networks(chosen)
    tokenizers = run_tokenizers(chosen)
    tokenizer = next(iter(tokenizers.values()))
    java = java_metrics(settings.java_metrics, counted_by=tokenizer.counted_by)
    asked = metrics_asked(chosen, settings)
    settings = replace(settings, metrics=asked, language_model=language_model_asked(chosen, settings))
    judge = open_language_model(settings.language_model, tokenizer, device=choose_device(settings.device))
    own = own_metrics(asked)
    first = next(iter(chosen.values()))[0].settings
    first = first.cached_in(settings.cache, skip_unreadable=settings.skip_unreadable)
    corpus = open_corpus(replace(first, skip_missing=settings.skip_missing))
    split = load_split(corpus, settings.split, say)
    enough_images(min(len(split), settings.validation.images or len(split)), settings.judge)
    compared = compare(
        chosen, partial(evaluated, asked=settings, images=split.fingerprint), corpus, split,
        comparable(catalogue(*split.metrics, *own, *language_model_metrics(judge), quality=java), tokenizers.values()),
        tokenizers, settings=settings,
    )  # fmt: skip

    with renewed_folder(target, f"out={settings.out}") as folder:
        write_report(
            folder, compared, own=[metric.name for metric in own], settings=settings,
            commands=[*_commands(compared.systems), command],
        )  # fmt: skip
    print(f"\nThe report: {target / PAGE}", flush=True)
    return target


def write_report(
    folder: Path, compared: Compared, *, own: Sequence[str], settings: ComparisonSettings, commands: Sequence[str]
) -> None:
    """Write the page and what belongs to it.

    Args:
        folder: exists and is empty.
        compared: what there is to tell.
        own: names of the user's own metrics.
        settings: of the comparison.
        commands: that make all this again.
    """
    systems, humans, metrics = compared.systems, compared.humans, compared.metrics
    baseline, names = systems[0], [system.name for system in systems]
    estimates = summarise(systems, baseline, metrics)
    told = verdicts(systems, baseline, metrics)
    write_tables(folder, estimates, names, humans, told, metrics, own)
    drawn = learning_curves(systems, [metrics[name] for name in own])
    if drawn is not None:
        save(drawn, folder / "learning")
    reliable = reliability_diagram(systems)
    if reliable is not None:
        save(reliable, folder / "calibration")
    write_json(folder / SETTINGS, plain(settings))
    page = Page(
        title=" / ".join(names),
        description=description(systems, compared.split, settings, counted_by=compared.counted_by),
        summary=summary_table(estimates, names, humans, metrics, own),
        legend=legend(baseline),
        findings=findings(told, baseline.name, metrics),
        trade_offs=trade_offs(folder, systems, humans, metrics),
        verdicts=verdict_table(told, metrics),
        adversarial=Adversarial(about(compared.judgement), metrics_table(estimates, JUDGED, names, humans, metrics)),
        calibration=None if reliable is None else "calibration",
        learning=None if drawn is None else "learning",
        gallery=cards_of(folder, systems, compared.split, settings.gallery),
        orders=ORDERS,
        everything=full_table(estimates, names, humans, metrics),
        differences=configuration_table(
            {system.name: _settings(system) for system in systems if not system.runs[0].borrowed}
        ),
        borrowed=[system.name for system in systems if system.runs[0].borrowed],
        commands=commands,
    )
    write_page(folder / PAGE, page)


def trade_offs(folder: Path, systems: Sequence[System], humans: Mapping[str, float], metrics: Metrics) -> list[Picture]:
    """Draw each quality against each diversity that the curves know."""
    known = systems[0].runs[0].curve[0].values if systems[0].runs[0].curve else {}
    pictures = []
    for quality in on_curves(metrics, "quality"):
        for diversity in on_curves(metrics, "diversity"):
            if quality.name in known and diversity.name in known:
                file = f"{quality.name}-{diversity.name}"
                save(quality_against_diversity(systems, humans, quality=quality, diversity=diversity), folder / file)
                pictures.append(Picture(file, f"{quality.label} against {diversity.label}"))
    return pictures


def _settings(system: System) -> dict[str, Any]:
    return {key: value for key, value in system.runs[0].config.items() if key not in NOT_OF_THE_METHOD}


def _commands(systems: Sequence[System]) -> list[str]:
    """Return the commands of all runs, each once."""
    commands = [
        run.command or f"# {shown(run.folder)}: it does not tell its command" for s in systems for run in s.runs
    ]
    return list(dict.fromkeys(commands))
