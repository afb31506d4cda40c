"""One experiment from its configuration to its table."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from gan_caption.data.corpus import Corpus
from gan_caption.data.features import FirstImages
from gan_caption.data.vocabulary import Vocabulary
from gan_caption.encoders.base import Encoder
from gan_caption.errors import UserError
from gan_caption.metrics.bootstrap import paired_difference
from gan_caption.reporting.curve_files import curve_table, write_curve
from gan_caption.reporting.scores import Scores
from gan_caption.reporting.table import comparison
from gan_caption.training import world
from gan_caption.training.checkpoint import load_state, load_weights, save_weights
from gan_caption.training.curve import grid, sample_curve
from gan_caption.training.evaluation import Evaluation, Evaluator
from gan_caption.training.folders import choose_folder, configuration_hash, read_config, write_json, write_text
from gan_caption.training.loop import Loop, preflight
from gan_caption.training.networks import Captioner
from gan_caption.training.phases.base import Phase
from gan_caption.training.progress import Progress
from gan_caption.training.run import Run
from gan_caption.training.seeding import seed_everything
from gan_caption.training.setup import (
    build_captioner,
    build_encoder,
    build_evaluator,
    build_part,
    check_configuration,
    choose_device,
    load_split,
    open_features,
    set_up,
    training_captions,
)
from gan_caption.training.tracking import LocalTracker, Tracker, Trackers

BASELINE = "mle"
"""The phase that leaves the baseline."""
COMMAND = "command.txt"
"""In a run's folder: what started it."""


def say(line: str) -> None:
    """Tell the person who watches, on stderr; stdout is for results."""
    if world.is_main():
        print(line, file=sys.stderr, flush=True)


def run_experiment(config: Mapping[str, Any], *, data: str, command: str | None = None) -> dict[str, dict[str, float]]:
    """Train, evaluate what each phase left, and print the table.

    Args:
        config: resolved, as `conf/config.yaml` lays it out.
        data: the name of the data set, for the folder's name.
        command: what the user typed; the folder keeps it for whoever wants to do the same.

    Returns:
        metrics by system.
    """
    check_configuration(config)
    if config["threads"]:
        torch.set_num_threads(config["threads"])
    folder, resumes = choose_folder(config, data=data)
    if command and not (folder / COMMAND).exists():
        write_text(folder / COMMAND, f"{command}\n")
    say(f"run folder: {folder}" + (" (taken up again)" if resumes else ""))
    run, phases, corpus, encoder = set_up(config, folder, report=say)
    say(
        f"{len(run.source.split)} training images, {len(run.evaluator.source.split)} validation images, "
        f"{len(run.vocabulary)} words, generator of {sum(p.numel() for p in run.generator.parameters()):,} parameters"
    )
    few = FirstImages(run.evaluator.source, 4)
    preflight(
        run, phases, build_evaluator(config, few, run.vocabulary, run.evaluator.training_captions, device=run.device)
    )

    local = LocalTracker(folder=folder)

    def track(phase: str) -> Tracker:
        local.job_type = phase
        trackers: list[Tracker] = [local]
        if config["tracker"]:
            identity = json.loads((folder / "id.json").read_text(encoding="utf-8"))
            trackers.append(
                build_part(
                    config,
                    "tracker",
                    folder=folder,
                    group=config["name"],
                    name=f"{config['name']}-{data}-seed{config['seed']}-{phase}",
                    job_type=phase,
                    configuration=config,
                    run_id=f"{identity}-{phase}",
                )
            )
        return Trackers(trackers=trackers)

    if config["pretrained"]:
        phases = adopt(run, phases, Path(config["pretrained"]))
    seed_everything(config["seed"], deterministic=config["deterministic"])
    loop = Loop(
        run, phases, track=track, rewind=local.rewind,
        log_every=config["log_every"], save_every=config["save_every"], report=say,
    )  # fmt: skip
    loop.train(resume=resumes)
    return finish(config, run, corpus, encoder)


def adopt(run: Run, phases: dict[str, Phase], pretrained: Path) -> dict[str, Phase]:
    """Take the baseline from another run, and return the phases that come after it.

    Raises:
        UserError: that run has not finished its maximum-likelihood phase, its vocabulary is another, its weights do not
            fit, or this run would have nothing left to train.
    """
    names = list(phases)
    left = names[names.index(BASELINE) + 1 :] if BASELINE in names else []
    if not left:
        raise UserError(f"pretrained={pretrained}: nothing would be left to train after {BASELINE}, phases are {names}")
    state = load_state(pretrained / "checkpoints" / "last.pt", vocabulary=run.vocabulary.fingerprint)
    if BASELINE not in state.selected:
        raise UserError(f"pretrained={pretrained}: that run has not finished the phase {BASELINE}; resume it first")
    load_weights(
        run.captioner, pretrained / "checkpoints" / f"best_{BASELINE}.safetensors", vocabulary=state.vocabulary
    )
    save_weights(run.captioner, run.best_weights(BASELINE), vocabulary=state.vocabulary)
    run.selected[BASELINE] = state.selected[BASELINE]
    return {name: phases[name] for name in left}


def finish(config: Mapping[str, Any], run: Run, corpus: Corpus, encoder: Encoder) -> dict[str, dict[str, float]]:
    """Evaluate what each phase left, on images that selected nothing where there are any; write and print."""
    try:
        split = load_split(corpus, "test", say)
    except UserError as error:
        say(f"no test split ({error}); the validation images, which also chose the weights, stand in")
        split = load_split(corpus, "val", say)
    source = open_features(config, encoder, split, device=run.device)
    evaluator = build_evaluator(config, source, run.vocabulary, run.evaluator.training_captions, device=run.device)
    weights = {phase: run.best_weights(phase) for phase in run.selected}
    title = f"{config['name']}, seed {config['seed']}: {len(source.split)} {split.name} images, {decoder_name(config)}"
    return compare_weights(run.captioner, weights, evaluator, folder=run.folder, title=title)


def evaluate_run(settings: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Evaluate a finished (or stopped) run, on its own data or on other photographs.

    The vocabulary, the encoder and the generator are the run's own, whatever the data.

    Args:
        settings: resolved, as `conf/evaluate.yaml` lays it out.

    Returns:
        metrics by the phase that left the weights.
    """
    folder = Path(settings["run"])
    config = read_config(folder)
    points = curve_points(settings)
    own_data = settings.get("data") is None
    config |= {key: settings[key] for key in ("decoding", "device", "cache", "skip_unreadable", "allow")}
    config["validation"] = settings["validation"]
    device = choose_device(config["device"])
    vocabulary = Vocabulary.load(folder / "vocabulary.json")
    encoder = build_encoder(config, device=device)
    captioner = build_captioner(config, encoder, vocabulary, device=device)
    weights = {path.stem.removeprefix("best_"): path for path in (folder / "checkpoints").glob("best_*.safetensors")}
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
    source = open_features(config, encoder, split, device=device)
    evaluator = build_evaluator(config, source, vocabulary, known, device=device)
    title = f"{folder.name}: {len(source.split)} {split.name} images, {decoder_name(config)}"
    order = [phase for phase in config["phases"] if phase in weights]
    target = folder / f"evaluation-{split.name}-{configuration_hash(settings)}"
    target.mkdir(exist_ok=True)
    write_json(target / "config.json", dict(settings))
    chosen = {phase: weights[phase] for phase in order}
    return compare_weights(captioner, chosen, evaluator, folder=target, title=title, points=points)


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
) -> dict[str, dict[str, float]]:
    """Evaluate one captioner with several weights; write captions, curves, results and table to a folder, and print.

    Args:
        captioner: whose weights they are.
        weights: files by name, the baseline's first.
        evaluator: of the split.
        folder: to write to.
        title: of the table.
        points: (temperature, top-p) of the curves; none: no curves.

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
        write_captions(folder / f"captions_{name}.json", evaluator, evaluation)
        scores[name] = evaluator.scores(evaluation)
        systems[name] = {**scores[name].values, **evaluation.metrics}
        if points:
            with Progress(phase=f"curve of {name}", total=len(points)) as progress:
                curve = sample_curve(captioner, evaluator, points, progress=progress.update)
            write_curve(folder / f"curve_{name}.json", curve)
            parts.append(f"{name}, {evaluator.samples_per_image} samples an image:\n\n{curve_table(curve)}")
    humans = {**evaluator.humans(), **next(iter(scores.values())).humans}
    parts.insert(1, comparison(systems, intervals=paired_intervals(list(scores.values())), humans=humans))
    told = "\n\n".join(parts)
    write_text(folder / "table.md", f"{told}\n")
    write_json(folder / "results.json", {"title": title, "systems": systems, "humans": humans})
    print(f"\n{told}\n\nEverything is in {folder}", flush=True)
    return systems


def paired_intervals(scores: Sequence[Scores]) -> dict[str, tuple[float, float]] | None:
    """Return the intervals over images of the differences between two systems, by metric; None for another number."""
    if len(scores) != 2:
        return None
    one, other = (own.measured for own in scores)
    return {name: paired_difference([other[name]], [one[name]]).interval for name in one}


def write_captions(path: Path, evaluator: Evaluator, evaluation: Evaluation) -> None:
    """Keep what was said of every image."""
    rows = zip(evaluator.source.split.items, evaluation.captions, evaluation.samples, strict=True)
    write_json(path, [{"image_id": i.image_id, "caption": c, "samples": s} for i, c, s in rows])


def decoder_name(config: Mapping[str, Any]) -> str:
    """Return the decoder and its settings in words."""
    node = dict(config["decoding"])
    name = node.pop("_target_").rsplit(".", 1)[1].lower()
    settings = ", ".join(f"{key} {value}" for key, value in node.items())
    return f"{name} ({settings})" if settings else name
