"""From weights to a table: what a run left is decoded, measured and written down."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from gan_caption.data.corpus import Corpus
from gan_caption.discriminators.base import Discriminator
from gan_caption.distributed import world
from gan_caption.distributed.world import say
from gan_caption.encoders.base import Encoder
from gan_caption.errors import UserError
from gan_caption.evaluation.curve import grid, sample_curve
from gan_caption.evaluation.curve_files import curve_table, write_curve
from gan_caption.evaluation.evaluator import Evaluator, build_evaluator
from gan_caption.evaluation.java import check_java_metrics
from gan_caption.evaluation.scores import Scores
from gan_caption.evaluation.trained import open_run
from gan_caption.metrics.bootstrap import paired_difference
from gan_caption.reporting.table import comparison
from gan_caption.text.vocabulary import Vocabulary
from gan_caption.training.checkpoint import load_state, load_weights
from gan_caption.training.folders import best_weights, inside, numbered, read_json, write_json, write_text
from gan_caption.training.identity import configuration_hash, same_settings
from gan_caption.training.networks import Captioner
from gan_caption.training.progress import Progress
from gan_caption.training.setup import (
    build_discriminator,
    build_part,
    load_split,
    open_features,
    training_captions,
)
from gan_caption.training.validation import Evaluation


def evaluate_run(settings: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Evaluate a finished (or stopped) run, on its own data or on other photographs.

    The vocabulary, the encoder and the generator are the run's own, whatever the data.

    Args:
        settings: resolved, as `conf/evaluate.yaml` lays it out.

    Returns:
        metrics by the phase that left the weights.
    """
    folder = Path(settings["run"])
    points = curve_points(settings)
    check_java_metrics(settings["java_metrics"])
    own_data = settings.get("data") is None
    replaced = ("decoding", "device", "cache", "skip_unreadable", "allow", "validation")
    run = open_run(folder, {key: settings[key] for key in replaced})
    config, encoder, vocabulary = run.config, run.encoder, run.vocabulary
    weights = left_weights(folder, config)
    if settings["weights"] is not None:
        if settings["weights"] not in weights:
            raise UserError(f"weights={settings['weights']}: this run has {sorted(weights) or 'none yet'}")
        weights = {settings["weights"]: weights[settings["weights"]]}
    if not weights:
        raise UserError(f"run={folder}: no phase has validated yet, there are no weights to evaluate")

    # What counts as learned by heart is what the run was trained on.
    training = load_split(build_part(config, "data"), "train", say) if own_data else None
    corpus: Corpus = build_part(config if own_data else settings, "data")
    known = set() if training is None else {text for own in training_captions(training) for text in own}
    split = load_split(corpus, settings["split"], say)
    source = open_features(config, encoder, split, device=run.device)
    evaluator = build_evaluator(config, source, vocabulary, known, device=run.device)
    title = f"{folder.name}: {len(source.split)} {split.name} images, {decoder_name(config)}"
    target = evaluation_folder(settings)
    if world.is_main():
        target.mkdir(exist_ok=True)
        write_json(target / "config.json", dict(settings))
    discriminator = left_discriminator(folder, config, encoder, vocabulary, device=run.device)
    return compare_weights(
        run.captioner, weights, evaluator, folder=target, title=title, points=points, discriminator=discriminator,
        java=settings["java_metrics"],
    )  # fmt: skip


def left_weights(folder: Path, config: Mapping[str, Any]) -> dict[str, Path]:
    """Return the weights that a run has left so far, by phase in the order of its schedule."""
    weights = {phase: best_weights(folder, phase) for phase in config["phases"]}
    return {phase: path for phase, path in weights.items() if inside(folder, path.relative_to(folder)).exists()}


def evaluation_folder(settings: Mapping[str, Any]) -> Path:
    """Return where an evaluation with these settings is written: a folder within the run's.

    Raises:
        UserError: an earlier evaluation's configuration is damaged.
    """
    asked = _of_any_run(settings)
    first = Path(settings["run"]) / f"evaluation-{settings['split']}-{configuration_hash(asked)}"

    def is_own(folder: Path) -> bool:  # two settings may share their hash
        told = folder / "config.json"
        return not told.exists() or same_settings(_of_any_run(read_json(told)), asked)

    return next(filter(is_own, numbered(first)))


def _of_any_run(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key != "run"}


def left_discriminator(
    folder: Path, config: Mapping[str, Any], encoder: Encoder, vocabulary: Vocabulary, *, device: torch.device
) -> Discriminator | None:
    """Return the discriminator as the run left it; None where the run has none.

    Raises:
        UserError: the run's checkpoint is missing or damaged.
    """
    discriminator = build_discriminator(config, encoder, vocabulary, device=device)
    if discriminator is None:
        return None
    state = load_state(inside(folder, "checkpoints/last.pt"), vocabulary=vocabulary.fingerprint)
    prefix = "discriminator."
    own = {name.removeprefix(prefix): value for name, value in state.networks.items() if name.startswith(prefix)}
    discriminator.load_state_dict(own)
    return discriminator


def curve_points(settings: Mapping[str, Any]) -> list[tuple[float, float]]:
    """Return (temperature, top-p) of each point that an evaluation shall sample; none with `curve=null`.

    Raises:
        UserError: a point cannot be sampled with.
    """
    if not settings["curve"]:
        return []
    try:
        return grid(settings["curve"]["temperatures"], settings["curve"]["top_p"])
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"curve={settings['curve']}: {error}; give curve.temperatures=[.7,1] curve.top_p=[.9]"
        ) from error


def compare_weights(
    captioner: Captioner,
    weights: Mapping[str, Path],
    evaluator: Evaluator,
    *,
    folder: Path,
    title: str,
    points: Sequence[tuple[float, float]] = (),
    discriminator: Discriminator | None = None,
    java: Sequence[str] = (),
) -> dict[str, dict[str, float]]:
    """Evaluate one captioner with several weights; write captions, curves, results and table to a folder, and print.

    Args:
        captioner: whose weights they are.
        weights: files by name, the baseline's first.
        evaluator: of the split.
        folder: to write to.
        title: of the table.
        points: (temperature, top-p) of the curves; none: no curves.
        discriminator: whose opinion of each caption is kept beside it.
        java: names of metrics that Java programs compute.

    Returns:
        metrics by the name of the weights.
    """
    systems: dict[str, dict[str, float]] = {}
    scores: dict[str, Scores] = {}
    parts = [title]
    for name, path in weights.items():
        load_weights(captioner, path, vocabulary=evaluator.vocabulary.fingerprint)
        with Progress(phase=f"evaluate {name}", total=len(evaluator.source.split)) as progress:
            evaluation = evaluator.evaluate(captioner, progress=lambda done, _: progress.update(done))
        opinions = evaluator.judged(discriminator, evaluation.captions) if discriminator else None
        if world.is_main():
            write_captions(folder / f"captions_{name}.json", evaluator, evaluation, opinions)
        scores[name] = world.from_main(partial(evaluator.scores, evaluation, java))
        systems[name] = {**scores[name].values, **evaluation.metrics}
        if points:
            with Progress(phase=f"curve of {name}", total=len(points)) as progress:
                curve = sample_curve(captioner, evaluator, points, progress=progress.update)
            if world.is_main():
                write_curve(folder / f"curve_{name}.json", curve)
            parts.append(f"{name}, {evaluator.samples_per_image} samples an image:\n\n{curve_table(curve)}")
    if not world.is_main():
        return systems
    humans = {**evaluator.humans(), **next(iter(scores.values())).humans}
    parts.insert(1, comparison(systems, intervals=paired_intervals(list(scores.values())), humans=humans))
    told = "\n\n".join(parts)
    write_text(folder / "table.md", f"{told}\n")
    write_json(folder / "results.json", {"title": title, "systems": systems, "humans": humans})
    print(f"\n{told}\n\nEverything is in {folder}", flush=True)
    return systems


def tell_again(folder: Path) -> dict[str, dict[str, float]]:
    """Print the table of a run that has finished, and return its metrics, as `compare_weights` did."""
    told = (folder / "table.md").read_text(encoding="utf-8").rstrip()
    if world.is_main():
        print(f"\n{told}\n\nFinished before: everything is in {folder}", flush=True)
    systems: dict[str, dict[str, float]] = json.loads((folder / "results.json").read_text(encoding="utf-8"))["systems"]
    return systems


def paired_intervals(scores: Sequence[Scores]) -> dict[str, tuple[float, float]] | None:
    """Return the intervals over images of the differences between two systems, by metric; None for another number."""
    if len(scores) != 2:
        return None
    one, other = (own.measured for own in scores)
    return {name: paired_difference([other[name]], [one[name]]).interval for name in one}


def write_captions(path: Path, evaluator: Evaluator, evaluation: Evaluation, opinions: Sequence[float] | None) -> None:
    """Keep what was said of every image, and how probable the discriminator found it."""
    rows: list[dict[str, Any]] = [
        {"image_id": item.image_id, "caption": caption, "samples": samples}
        for item, caption, samples in zip(
            evaluator.source.split.items, evaluation.captions, evaluation.samples, strict=True
        )
    ]
    if opinions is not None:
        rows = [{**row, "discriminator": opinion} for row, opinion in zip(rows, opinions, strict=True)]
    write_json(path, rows)


def decoder_name(config: Mapping[str, Any]) -> str:
    """Return the decoder and its settings in words."""
    node = dict(config["decoding"])
    name = node.pop("_target_").rsplit(".", 1)[1].lower()
    settings = ", ".join(f"{key} {value}" for key, value in node.items())
    return f"{name} ({settings})" if settings else name
