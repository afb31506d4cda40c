"""The report of a comparison: a folder with a page that opens offline, its figures, tables and images."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gan_caption.data.corpus import Split
from gan_caption.distributed.world import say
from gan_caption.errors import UserError
from gan_caption.evaluation.adversarial import Judgement, JudgeSettings, enough_images, judge
from gan_caption.evaluation.comparison import (
    NOT_OF_THE_METHOD,
    choose_systems,
    evaluated,
    measure,
    pooled_features,
    tokenized,
    with_judgement,
    with_language_models,
)
from gan_caption.evaluation.java import check_java_metrics
from gan_caption.evaluation.scores import human_scores
from gan_caption.evaluation.systems import System
from gan_caption.extras import require
from gan_caption.metrics import DocumentFrequencies
from gan_caption.reporting.comparison_tables import (
    SURE,
    configuration_table,
    full_table,
    metrics_table,
    summary_table,
    verdict_table,
    write_tables,
)
from gan_caption.reporting.equal_quality import DIVERSITIES, QUALITIES, Verdict, verdicts
from gan_caption.reporting.figures import learning_curves, quality_against_diversity, save
from gan_caption.reporting.page import Adversarial, Card, Page, Picture, Said, write_page
from gan_caption.reporting.results import decoder_name
from gan_caption.reporting.summary import summarise
from gan_caption.reporting.sweep import folders_of
from gan_caption.reporting.table import ROWS
from gan_caption.training.folders import write_json
from gan_caption.training.progress import Progress
from gan_caption.training.setup import build_part, load_split

PAGE = "index.html"
JUDGED = ("taken_for_human", "recall_1", "recall_5", "recall_10", "median_rank")


def compare_runs(settings: Mapping[str, Any], *, command: str) -> Path:
    """Evaluate runs alike where that was not done before, and write the report.

    Args:
        settings: resolved, as `conf/compare.yaml` lays it out.
        command: what the user typed, for the report.

    Returns:
        the report's folder.

    Raises:
        UserError: the runs cannot be compared, something is missing, or `out` is a folder of something else.
    """
    # Missed before minutes of evaluation, not after.
    require("jinja2", "matplotlib", "pandas", "scipy", "statsmodels", extra="report", what="reports")
    target = Path(settings["out"])
    if target.exists() and not (target / PAGE).exists():
        raise UserError(f"out={target} exists and holds no report: choose another folder")
    try:
        asked = JudgeSettings(**settings["judge"])
    except (TypeError, ValueError) as error:
        raise UserError(f"judge: {error}") from error
    check_java_metrics(settings["java_metrics"])
    chosen = choose_systems(folders_of(settings["runs"]), baseline=settings["baseline"])
    config = {**next(iter(chosen.values()))[0].config, "allow": settings["allow"]}
    corpus = build_part(config, "data")
    split = load_split(corpus, settings["split"], say)
    enough_images(len(split), asked)
    pooled = pooled_features(next(iter(chosen.values()))[0], split, settings)
    references = tokenized(split)
    systems = [
        System(
            name, [measure(run, evaluated(run, settings), split, references, settings["java_metrics"]) for run in runs]
        )
        for name, runs in chosen.items()
    ]
    with Progress(phase="adversarial evaluation", total=asked.folds) as progress:
        judgement = judge(
            pooled, references, {system.name: _captions(system) for system in systems},
            settings=asked, progress=lambda done, _: progress.update(done),
        )  # fmt: skip
    systems, humans = with_judgement(systems, judgement)
    say("language models, bootstrap, curves")
    training = [text for own in tokenized(load_split(corpus, "train", say)) for text in own]
    systems, more = with_language_models(systems, references, training)
    humans |= more
    humans |= human_values(split, references, settings["validation"]["samples_per_image"])

    aside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    aside.mkdir(parents=True)
    try:
        commands = [*_commands(systems), command]
        write_report(aside, systems, humans, split, judgement, settings=settings, commands=commands)
        if target.exists():
            shutil.rmtree(target)
        os.replace(aside, target)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    print(f"\nThe report: {target / PAGE}", flush=True)
    return target


def human_values(split: Split, references: Sequence[Sequence[str]], samples: int) -> dict[str, float]:
    """Return what humans score, by metric, with how much of it is true where the corpus knows."""
    humans = human_scores(references, DocumentFrequencies.of(references), samples)
    shares = split.true_share(references)
    if shares is not None:
        humans["oracle_true"] = humans["sample_oracle_true"] = sum(shares) / len(shares)
    return humans


def write_report(
    folder: Path,
    systems: Sequence[System],
    humans: Mapping[str, float],
    split: Split,
    judgement: Judgement,
    *,
    settings: Mapping[str, Any],
    commands: Sequence[str],
) -> None:
    """Write the page and what belongs to it.

    Args:
        folder: exists and is empty.
        systems: the baseline first.
        humans: what humans score, by metric.
        split: the images.
        judgement: of the adversarial evaluation.
        settings: of the comparison.
        commands: that make all this again.
    """
    baseline = systems[0]
    names = [system.name for system in systems]
    estimates = summarise(systems, baseline)
    told = verdicts(systems, baseline)
    write_tables(folder, estimates, names, humans, told)
    pictures = []
    for quality in QUALITIES:
        for diversity in DIVERSITIES:
            if baseline.runs[0].curve and quality in baseline.runs[0].curve[0].values:
                figure = quality_against_diversity(systems, humans, quality=quality, diversity=diversity)
                save(figure, folder / f"{quality}-{diversity}")
                pictures.append(Picture(f"{quality}-{diversity}", f"{ROWS[quality][0]} against {ROWS[diversity][0]}"))
    drawn = learning_curves(systems)
    if drawn is not None:
        save(drawn, folder / "learning")
    write_json(folder / "settings.json", dict(settings))
    page = Page(
        title=" / ".join(names),
        description=description(systems, split, settings),
        summary=summary_table(estimates, names, humans),
        legend=legend(baseline),
        findings=findings(told, baseline.name),
        trade_offs=pictures,
        verdicts=verdict_table(told),
        adversarial=Adversarial(about(judgement), metrics_table(estimates, JUDGED, names, humans)),
        learning=None if drawn is None else "learning",
        gallery=gallery(folder, systems, split, settings["gallery"]),
        orders={
            "disagreement": "disagreement in CIDEr-D",
            "gain": "gain over the baseline in CIDEr-D",
            "loss": "loss against the baseline",
            "position": "order of the data",
        },
        everything=full_table(estimates, names, humans),
        differences=configuration_table({system.name: _settings(system) for system in systems}),
        commands=commands,
    )
    write_page(folder / PAGE, page)


def description(systems: Sequence[System], split: Split, settings: Mapping[str, Any]) -> str:
    """Say in a sentence what was compared on what."""
    seeds = [run.seed for run in systems[0].runs]
    told = f"seeds {', '.join(map(str, seeds))}" if len(seeds) > 1 else f"seed {seeds[0]} only"
    return (
        f"{len(split)} {split.name} images; {told}; decoded by {decoder_name(settings)}; "
        f"{settings['validation']['samples_per_image']} samples an image for variety."
    )


def legend(baseline: System) -> str:
    """Say what the intervals and marks mean."""
    said = (
        "Below each value its 95% interval: a bootstrap over images and, outside of it, over seeds; Student's t over "
        "seeds where a number is known of the corpus only. "
        f"▲ better and ▼ worse than {baseline.name}: paired by image and seed, p below {SURE} after Holm's correction "
        "for the number of systems. Humans: each against the others of the same images, who are one fewer. "
    )
    if len(baseline.runs) == 1:
        said += "With one seed the intervals know nothing of how much training varies: they are too narrow. "
    elif len(baseline.runs) < 5:
        said += f"{len(baseline.runs)} seeds say little of another one: the intervals are rather too narrow. "
    return said


def about(judgement: Judgement) -> str:
    """Say how good the network is that judged, on images that it had not seen."""
    share = {name: f"{100 * value:.1f}%" for name, value in judgement.accuracy.items()}
    return (
        "A network that no system was trained against learned to tell human captions from those of other images and "
        "from the systems' own, cross-fitted: it judges images that it has not seen. There it is right about "
        f"{share['human']} of human captions, {share['other_image']} of captions of other images and "
        f"{share['generated']} of generated ones (balanced accuracy {share['balanced']}; 50% is guessing). "
        "The image of a caption is searched by the same network before it has seen a generated caption, among "
        f"{judgement.candidates:.0f} images, where guessing has the median rank {(judgement.candidates + 1) / 2:.1f}."
    )


def findings(told: Sequence[Verdict], baseline: str) -> list[str]:
    """Return the verdicts in words, a line a system and axes, for the temperatures."""
    lines = []
    for one in told:
        if one.family != "temperature":
            continue
        axes = f"({ROWS[one.quality][0]} against {ROWS[one.diversity][0]})"
        if one.difference is None or one.interval is None:
            lines.append(f"{one.system} and {baseline} have no quality in common {axes}.")
            continue
        verb = {"dominates": "dominates", "below": "lies below", "crosses": "crosses"}.get(one.verdict)
        said = f"{one.system} {verb} {baseline}" if verb else f"{one.system} and {baseline} cannot be told apart"
        between = f"{one.interval[0]:+.3f} to {one.interval[1]:+.3f}"
        lines.append(f"{said} {axes}: diversity at equal quality {one.difference:+.3f} ({between}).")
    return lines


def gallery(folder: Path, systems: Sequence[System], split: Split, count: int) -> list[Card]:
    """Save the first images of the split, and return a card each.

    Args:
        folder: of the report; the images go to its `images/`.
        systems: the baseline first; cards show their first seed, and the others' captions in short.
        split: the images.
        count: how many.
    """
    (folder / "images").mkdir()
    cards = []
    for index in range(min(count, len(split))):
        name = f"images/{index}.jpg"
        image = split.image(index)
        image.thumbnail((320, 320))
        image.save(folder / name, quality=88)
        rows = [_said(system, index) for system in systems]
        ciders = [row.cider or 0.0 for row in rows]
        more = [
            f"{system.name}, seed {run.seed}: {run.captions[index]}" for system in systems for run in system.runs[1:]
        ]
        gain = sum(ciders[1:]) / max(1, len(ciders) - 1) - ciders[0]
        order = {"disagreement": max(ciders) - min(ciders), "gain": gain, "loss": -gain, "position": -index}
        item = split.items[index]
        cards.append(Card(item.image_id, name, rows, more, item.captions, order))
    return cards


def _said(system: System, index: int) -> Said:
    run = system.runs[0]
    true = bool(run.scores["oracle_true"].per_image[index] > 0) if "oracle_true" in run.scores else None
    bars = {} if run.judged is None else {"judge": float(1 / (1 + np.exp(-run.judged[index])))}
    bars |= {} if run.opinions is None else {"its D": run.opinions[index]}
    who = system.name if len(system.runs) == 1 else f"{system.name}, seed {run.seed}"
    return Said(who, run.captions[index], float(run.scores["cider_d"].per_image[index]) * 100, true, bars)


def _captions(system: System) -> list[list[str]]:
    """Return of each image what every seed says."""
    return [list(own) for own in zip(*(run.captions for run in system.runs), strict=True)]


def _settings(system: System) -> dict[str, Any]:
    return {key: value for key, value in system.runs[0].config.items() if key not in NOT_OF_THE_METHOD}


def _commands(systems: Sequence[System]) -> list[str]:
    """Return the commands of all runs, each once."""
    commands = [run.command or f"# {run.folder}: it does not tell its command" for s in systems for run in s.runs]
    return list(dict.fromkeys(commands))
