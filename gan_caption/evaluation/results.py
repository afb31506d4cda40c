"""From weights to numbers: what a run left is decoded and measured."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from gan_caption.configuration.building import OURS, TARGET, Part, plain
from gan_caption.configuration.finding import find
from gan_caption.data.compact import TextSet
from gan_caption.data.features import FeatureSource, FirstImages
from gan_caption.discriminators.base import Discriminator
from gan_caption.discriminators.set import of_sets
from gan_caption.distributed import world
from gan_caption.distributed.world import say
from gan_caption.errors import UserError
from gan_caption.evaluation.curve import grid, sample_curve
from gan_caption.evaluation.curve_files import CurvePoint, write_curve
from gan_caption.evaluation.evaluator import Evaluator, build_evaluator, knowledge_of
from gan_caption.evaluation.java import java_metrics
from gan_caption.evaluation.result_files import calibration_file, captions_file, curve_file
from gan_caption.evaluation.scores import Scores, paired_intervals
from gan_caption.evaluation.settings import CurveSettings, EvaluationSettings
from gan_caption.evaluation.trained import left_discriminator, left_weights, open_run, reading_data
from gan_caption.files import check_folder
from gan_caption.metrics.metric import Metrics
from gan_caption.metrics.separation import probabilities, reliability
from gan_caption.training.checkpoint import load_weights
from gan_caption.training.folders import digest_of, numbered, read_json, within, write_json, write_values
from gan_caption.training.identity import configuration_hash, same_settings
from gan_caption.training.networks import EncoderDecoder
from gan_caption.training.progress import Progress
from gan_caption.training.setup import (
    load_split,
    open_corpus,
    open_features,
    open_language_model,
    own_decoding,
    training_captions,
)
from gan_caption.training.validation import Evaluation


@dataclass
class Results:
    """What several weights of one captioner are worth, on the same images with the same decoding."""

    folder: Path
    """Where the captions and the curves were written."""
    title: str
    """What was measured."""
    metrics: Metrics
    """All that may have been measured, in the order of tables."""
    samples_per_image: int
    """K."""
    systems: dict[str, dict[str, float]] = field(default_factory=dict)
    """By the name of the weights, the baseline's first: values by metric."""
    intervals: Mapping[str, tuple[float, float]] | None = None
    """By metric, 95% over images of the difference between two systems; None for another number of systems."""
    humans: Mapping[str, float] = field(default_factory=dict)
    """By metric, what humans score."""
    curves: dict[str, list[CurvePoint]] = field(default_factory=dict)
    """By the name of the weights; empty where no curve was asked for."""
    made_of: Mapping[str, str] = field(default_factory=dict)
    """Digests of the weights by name, and of the `images`; empty within a run, whose own results these are."""


def measure_run(asked: EvaluationSettings) -> Results:
    """Evaluate a finished (or stopped) run, on its own data or on other photographs.

    The tokenizer, the encoder and the generator are the run's own, whatever the data; so are the metrics of one's own,
    unless others are asked for.

    Raises:
        UserError: a setting is wrong, something is missing, or the run has no such weights.
    """
    folder = asked.run
    points = curve_points(asked.curve)
    run = open_run(
        folder, allow=asked.allow, decoding=asked.decoding, device=asked.device, cache=asked.cache,
        skip_unreadable=asked.skip_unreadable, skip_missing=asked.skip_missing, validation=asked.validation,
        **({} if asked.metrics is None else {"metrics": asked.metrics}),
        **({} if asked.language_model is None else {"language_model": asked.language_model}),
    )  # fmt: skip
    target = evaluation_folder(asked)
    check_folder(target, f"run={folder}, in which results are kept")  # before features, not after
    settings, encoder, tokenizer = run.settings, run.encoder, run.tokenizer
    java = java_metrics(asked.java_metrics, counted_by=tokenizer.counted_by)
    language_model = open_language_model(settings.language_model, tokenizer, device=run.device)
    weights = left_weights(folder, settings)
    if asked.weights is not None:
        if asked.weights not in weights:
            raise UserError(f"weights={asked.weights}: this run has {sorted(weights) or 'none yet'}")
        weights = {asked.weights: weights[asked.weights]}
    if not weights:
        raise UserError(f"run={folder}: no phase has validated yet, there are no weights to evaluate")

    # What counts as learned by heart is what the run was trained on.
    with reading_data(settings.data, asked.data):
        training = load_split(open_corpus(settings), "train", say) if asked.data is None else None
        split = load_split(open_corpus(settings, asked.data), asked.split, say)
    known = None
    if training is not None:
        known = TextSet(text for own in training_captions(training, tokenizer) for text in tokenizer.tokenized(own))
    source: FeatureSource = open_features(settings, encoder, split, device=run.device)
    if asked.validation.images:
        source = FirstImages(source, asked.validation.images)
    discriminator = left_discriminator(folder, settings, encoder, tokenizer, device=run.device)
    evaluator = build_evaluator(
        settings, source, tokenizer, known, device=run.device, java=java, discriminator=discriminator,
        language_model=language_model,
    )  # fmt: skip
    decoding = decoder_name(settings.decoding, own_decoding(settings))
    title = f"{folder.resolve().name}: {len(source.split)} {split.name} images, {decoding}"
    if world.is_main():
        target.mkdir(exist_ok=True)
        write_json(target / "config.json", plain(asked))
    made_of = {name: digest_of(path) for name, path in weights.items()}  # now: a training may go on
    if code := code_of(settings.metrics):
        made_of["metrics"] = code
    results = measure_weights(
        run.captioner, weights, evaluator, folder=target, title=title, points=points, discriminator=discriminator
    )
    results.made_of = {**made_of, "images": split.fingerprint}
    return results


def code_of(metrics: Iterable[Part]) -> str:
    """Return a digest of the files in which metrics of one's own are written, not of what they import; "" of none.

    Of a module that was imported before its file changed it is the file's: a running Python imports it again first.
    """
    own = [one for one in metrics if not str(one.node[TARGET]).startswith(OURS)]
    modules = {find(one.node[TARGET], one.path, one.allowed).__module__ for one in own}
    paths = [Path(getattr(sys.modules[name], "__file__", None) or "") for name in sorted(modules)]
    digests = [digest_of(path) for path in paths if path.is_file()]
    return hashlib.sha256("".join(digests).encode()).hexdigest() if digests else ""


def evaluation_folder(asked: EvaluationSettings) -> Path:
    """Return where an evaluation with these settings is written: a folder within the run's.

    Raises:
        UserError: an earlier evaluation's configuration is damaged, or its folder is a link that leads elsewhere.
    """
    own = _of_any_run(plain(asked))
    first = asked.run / f"evaluation-{asked.split}-{configuration_hash(own)}"

    def is_own(folder: Path) -> bool:  # two settings may share their hash
        told = within(asked.run, folder / "config.json")
        return not told.exists() or same_settings(_of_any_run(read_json(told)), own)

    return next(filter(is_own, numbered(first)))


def _of_any_run(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key != "run"}


def curve_points(curve: CurveSettings | None) -> list[tuple[float, float]]:
    """Return (temperature, top-p) of each point that an evaluation shall sample; none with `curve=null`.

    Raises:
        UserError: a point cannot be sampled with.
    """
    if curve is None:
        return []
    try:
        return grid(curve.temperatures, curve.top_p)
    except ValueError as error:
        raise UserError(f"curve: {error}; give curve.temperatures=[.7,1] curve.top_p=[.9]") from error


def measure_weights(
    captioner: EncoderDecoder,
    weights: Mapping[str, Path],
    evaluator: Evaluator,
    *,
    folder: Path,
    title: str,
    points: Sequence[tuple[float, float]] = (),
    discriminator: Discriminator | None = None,
) -> Results:
    """Evaluate one captioner with several weights; write captions and curves to a folder.

    Args:
        captioner: whose weights they are.
        weights: files by name, the baseline's first.
        evaluator: of the split.
        folder: to write to.
        title: of the results.
        points: (temperature, top-p) of the curves; none: no curves.
        discriminator: whose opinion of each caption is kept beside it.
    """
    title += counting(evaluator.tokenizer.counted_by)
    results = Results(folder, title, evaluator.all_metrics, evaluator.samples_per_image)
    scores: dict[str, Scores] = {}
    for name, path in weights.items():
        load_weights(captioner, path, vocabulary=evaluator.tokenizer.fingerprint)
        with Progress(phase=f"evaluate {name}", total=len(evaluator.source.split)) as progress:
            evaluation = evaluator.evaluate(captioner, phase=name, progress=lambda done, _: progress.update(done))
        opinions = None
        if discriminator is not None:
            if not of_sets(discriminator):  # of a single caption that one knows nothing
                judged = evaluator.judged(discriminator, [[caption] for caption in evaluation.captions])
                opinions = probabilities(list(chain.from_iterable(judged))).tolist()
            real, generated = evaluator.opinions(discriminator, evaluation.samples)
            evaluation.metrics.update(knowledge_of(real, generated))
            if real and world.is_main():
                bins = reliability(*(probabilities(told).tolist() for told in (real, generated)))
                write_values(folder / calibration_file(name), [one._asdict() for one in bins])
        evaluation.metrics.update(evaluator.possible(captioner, evaluation.samples, evaluator.sampler(name)))
        if world.is_main():
            write_captions(folder / captions_file(name), evaluator, evaluation, opinions)
        scores[name] = world.from_main(partial(evaluator.scores, evaluation))
        results.systems[name] = {**scores[name].values, **evaluation.metrics}
        if points:
            with Progress(phase=f"curve of {name}", total=len(points)) as progress:
                results.curves[name] = sample_curve(captioner, evaluator, points, phase=name, progress=progress.update)
            if world.is_main():
                write_curve(folder / curve_file(name), results.curves[name])
    if world.is_main():
        results.intervals = paired_intervals(list(scores.values()))
        results.humans = {**evaluator.humans(), **next(iter(scores.values())).humans}
    return results


def write_captions(path: Path, evaluator: Evaluator, evaluation: Evaluation, opinions: Sequence[float] | None) -> None:
    """Keep what was said of every image, and how probable the discriminator found it."""
    rows: list[dict[str, Any]] = [
        {"image_id": image_id, "caption": caption, "samples": samples}
        for image_id, caption, samples in zip(evaluator.image_ids, evaluation.captions, evaluation.samples, strict=True)
    ]
    if opinions is not None:
        rows = [{**row, "discriminator": opinion} for row, opinion in zip(rows, opinions, strict=True)]
    write_values(path, rows)


def counting(counted_by: str) -> str:
    """Return what a title says of how the metrics count text; nothing where they count words, as everybody does."""
    return "" if counted_by == "word" else f", metrics by {counted_by}"


def decoder_name(decoding: Part, own: Mapping[str, Part] | None = None) -> str:
    """Return the decoder and its settings in words, and those of phases that have their own."""
    return "; ".join([_in_words(decoding), *(f"{phase} by {_in_words(part)}" for phase, part in (own or {}).items())])


def _in_words(decoding: Part) -> str:
    told = ", ".join(f"{key} {value}" for key, value in _told(decoding.node))
    return f"{decoding.name.lower()} ({told})" if told else decoding.name.lower()


def _told(node: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the settings of a part, and of the parts inside it their names."""
    for key, value in node.items():
        if isinstance(value, Mapping) and TARGET in value:
            yield key, value[TARGET].rpartition(".")[2].lower()
        elif isinstance(value, Mapping):
            yield from ((f"{key}.{inner}", own) for inner, own in _told(value))
        elif key != TARGET:
            yield key, value
