"""Systems measured alike, on the same images: by every metric, by a network that judges and by language models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gan_caption.data.corpus import Corpus, Split
from gan_caption.distributed.world import say
from gan_caption.errors import UserError
from gan_caption.evaluation.adversarial import AdversarialEvaluation, judge
from gan_caption.evaluation.batches import batches_of
from gan_caption.evaluation.comparison import Chosen
from gan_caption.evaluation.curve_files import CurvePoint, read_curve
from gan_caption.evaluation.result_files import curve_file, read_calibration, read_results, read_said
from gan_caption.evaluation.scores import frequencies_of
from gan_caption.evaluation.settings import ComparisonSettings
from gan_caption.evaluation.systems import EvaluatedRun, System
from gan_caption.evaluation.trained import open_run
from gan_caption.metrics.humans import human_scores
from gan_caption.metrics.language_model import NgramModel, lm_scores
from gan_caption.metrics.metric import Metrics, Predictions, corpus_value, measure
from gan_caption.metrics.ngrams import Score
from gan_caption.text.base import Tokenizer
from gan_caption.training.folders import COMMAND, inside, within
from gan_caption.training.progress import Progress
from gan_caption.training.records import METRICS, read_records
from gan_caption.training.setup import load_split, open_features, own_decoding


@dataclass(frozen=True)
class Compared:
    """What a report tells."""

    systems: Sequence[System]
    """The baseline first."""
    humans: Mapping[str, float]
    """What humans score, by metric."""
    judgement: AdversarialEvaluation
    split: Split
    """The images."""
    metrics: Metrics
    """All that may have been measured, in the order of tables."""
    counted_by: str
    """What the metrics count: `Tokenizer.counted_by` of all runs."""


def compare(
    chosen: Mapping[str, Sequence[Chosen]],
    evaluated: Callable[[Chosen], Path],
    corpus: Corpus,
    split: Split,
    metrics: Metrics,
    tokenizers: Mapping[Path, Tokenizer],
    *,
    settings: ComparisonSettings,
) -> Compared:
    """Measure systems.

    Args:
        chosen: the runs of each system, the baseline first.
        evaluated: returns the folder of a run's evaluation on the split, made if it has to be.
        corpus: that all were trained on.
        split: the images; those that were evaluated are compared.
        metrics: that are measured.
        tokenizers: of the runs, by folder; see `comparison.run_tokenizers`.
        settings: of the comparison.

    Raises:
        UserError: something cannot be read or scored.
    """
    first = next(iter(chosen.values()))[0]
    features = Pooled(first, split, settings)  # photographs that are missing or damaged are told before anything else
    tokenizer = next(iter(tokenizers.values()))
    split = part_of(split, first.folder, evaluated(first), first.phase)
    metrics = of_these_images(metrics, split)
    references = tokenized(split, tokenizer)
    systems = [
        System(
            name,
            [measured(run, evaluated(run), split, references, metrics, tokenizers[run.folder]) for run in runs],
        )
        for name, runs in chosen.items()
    ]
    _check_curves(systems)
    pooled = features.of(split)
    captions = {system.name: system.captions() for system in systems}
    with Progress(phase="adversarial evaluation", total=settings.judge.folds) as progress:
        judgement = judge(
            pooled, references, captions, settings=settings.judge, progress=lambda done, _: progress.update(done)
        )
    systems, humans = with_judgement(systems, judgement)
    say("language models, bootstrap, curves")
    training = [text for own in tokenized(load_split(corpus, "train", say), tokenizer) for text in own]
    systems, more = with_language_models(systems, references, training)
    if split.name == "train":  # which the models of people's captions have learned
        more = {}
    known = human_values(split, references, settings.validation.samples_per_image, metrics)
    return Compared(systems, {**humans, **more, **known}, judgement, split, metrics, tokenizer.counted_by)


def human_values(split: Split, references: Sequence[Sequence[str]], samples: int, metrics: Metrics) -> dict[str, float]:
    """Return what humans score, by metric, with what the corpus knows of each image's captions."""
    frequencies = frequencies_of(split.name, references)
    told = Predictions([own[0] for own in references], references, references, frequencies)
    known = measure((metric for metric in split.metrics if metric.per_image and not metric.compares), told)
    ids = [item.image_id for item in split.items]
    return {
        **human_scores(references, frequencies, metrics, samples, image_ids=ids),
        **{name: corpus_value(value) for name, value in known.items()},
    }


class Pooled:
    """The pooled features of a split's images, by a run's encoder as its training left it."""

    def __init__(self, chosen: Chosen, split: Split, asked: ComparisonSettings) -> None:
        """Extract them where the cache lacks them."""
        run = open_run(
            chosen.folder, allow=asked.allow, device=asked.device, cache=asked.cache,
            skip_unreadable=asked.skip_unreadable, skip_missing=asked.skip_missing,
        )  # fmt: skip
        run.load(chosen.phase)
        run.captioner.eval()
        self._source = open_features(run.settings, run.encoder, split, device=run.device)
        self._device, self._at_once = run.device, asked.validation.batch_images

    @torch.no_grad()
    def of(self, split: Split) -> Tensor:
        """Return those of a part of the split, (N, D)."""
        rows = {item.image_id: row for row, item in enumerate(self._source.split.items)}
        own = [rows[item.image_id] for item in split.items]
        parts = [own[part.start : part.stop] for part in batches_of(len(own), self._at_once)]
        return torch.cat([self._source.features(part, grid=False, device=self._device).pooled for part in parts])


def part_of(split: Split, run: Path, folder: Path, phase: str) -> Split:
    """Return the images of a split that an evaluation is of: some could not be read, or the first ones were asked for.

    Args:
        split: all images.
        run: the run's folder.
        folder: of the evaluation, in it.
        phase: whose captions it holds.
    """
    told = {row["image_id"] for row in read_said(run, folder, phase)}
    kept = [row for row, item in enumerate(split.items) if item.image_id in told]
    return split if len(kept) == len(split) else split.select(kept)


def of_these_images(metrics: Metrics, split: Split) -> Metrics:
    """Return the metrics with those that know images replaced by the split's own."""
    known = {metric.name: metric for metric in split.metrics}
    return {name: known.get(name, metric) for name, metric in metrics.items()}


def with_judgement(
    systems: Sequence[System], judgement: AdversarialEvaluation
) -> tuple[list[System], dict[str, float]]:
    """Return the systems with what the adversarial evaluation says of them, and the same of humans."""
    told = []
    for system in systems:
        judged = judgement.systems[system.name]
        runs = []
        for index, run in enumerate(system.runs):
            logits, ranks = judged.logits[:, index], judged.ranks[:, index]
            scores = {**run.scores, **_judged(logits[:, None], ranks[:, None])}
            values = {**run.values, "median_rank": float(np.median(ranks))}
            runs.append(replace(run, scores=scores, values=values, judged=logits))
        told.append(replace(system, runs=runs))
    humans = judgement.humans
    scale = {name: score.corpus for name, score in _judged(humans.logits, humans.ranks).items()}
    return told, {**scale, "median_rank": float(np.median(humans.ranks))}


def _judged(logits: np.ndarray, ranks: np.ndarray) -> dict[str, Score]:
    shares = {"taken_for_human": logits > 0, **{f"recall_{at}": ranks <= at for at in (1, 5, 10)}}
    return {name: Score.of(hits.mean(1)) for name, hits in shares.items()}


def measured(
    chosen: Chosen,
    folder: Path,
    split: Split,
    references: Sequence[Sequence[str]],
    metrics: Metrics,
    tokenizer: Tokenizer,
) -> EvaluatedRun:
    """Read what an evaluation left, and measure it image by image.

    Args:
        chosen: the run.
        folder: of its evaluation.
        split: the images.
        references: of each its tokenized captions.
        metrics: those that are known image by image are measured again, the others are read.
        tokenizer: the run's.

    Raises:
        UserError: the evaluation is of other images.
    """
    rows = read_said(chosen.folder, folder, chosen.phase)
    if [row["image_id"] for row in rows] != [item.image_id for item in split.items]:
        raise UserError(f"{folder} is an evaluation of other images than {split.name} has now: delete it")
    texts = [row["caption"] for row in rows]
    captions, samples = tokenizer.tokenized(texts), [tokenizer.tokenized(row["samples"]) for row in rows]
    frequencies, image_ids = frequencies_of(split.name, references), [item.image_id for item in split.items]
    predictions = Predictions(captions, samples, references, frequencies, image_ids=image_ids)
    told = measure((metric for metric in metrics.values() if metric.per_image), predictions)
    scores = {name: value for name, value in told.items() if isinstance(value, Score)}
    results = read_results(chosen.folder, folder)
    values = {name: value for name, value in results["systems"][chosen.phase].items() if name not in scores}
    if chosen.borrowed:  # the discriminator is another system's
        values = {name: value for name, value in values.items() if not name.startswith("discriminator_")}
    curve = within(chosen.folder, folder / curve_file(chosen.phase))
    command = inside(chosen.folder, COMMAND)
    judged = not chosen.borrowed and all("discriminator" in row for row in rows)
    opinions = [row["discriminator"] for row in rows] if judged else None
    return EvaluatedRun(
        seed=chosen.seed,
        folder=str(chosen.folder),
        command=command.read_text(encoding="utf-8", errors="replace").strip() if command.exists() else "",
        config=chosen.settings.given,
        decoding=own_decoding(chosen.settings).get(chosen.phase),
        borrowed=chosen.borrowed,
        lost=chosen.lost,
        texts=texts,
        captions=captions,
        samples=samples,
        opinions=opinions,
        calibration=[] if chosen.borrowed else read_calibration(chosen.folder, folder, chosen.phase),
        scores=scores,
        values=values,
        judged=None,
        curve=_curve(curve, len(rows)),
        records=_records(chosen),
    )


def _check_curves(systems: Sequence[System]) -> None:
    """Refuse runs whose curves have other points than the first one's: they are read along each other."""
    told = [
        (run, [(one.temperature, one.top_p, sorted(one.values)) for one in run.curve])
        for system in systems for run in system.runs
    ]  # fmt: skip
    for run, points in told:
        if points != told[0][1]:
            raise UserError(
                f"{run.folder} has a curve of {len(points)} points, and {told[0][0].folder} another one, of "
                f"{len(told[0][1])}: delete their folders evaluation-..., and evaluate again"
            )


def _curve(path: Path, images: int) -> list[CurvePoint]:
    """Return a run's curve; [] where it has none.

    Raises:
        UserError: it is damaged, or of other images.
    """
    curve = read_curve(path) if path.exists() else []
    if any(value.shape != (images,) for point in curve for value in point.values.values()):
        raise UserError(f"{path} is of other images than its captions: delete {path.parent}, and evaluate again")
    return curve


def _records(chosen: Chosen) -> list[dict[str, Any]]:
    """Return what the run logged up to the phase that left the weights, or to a later one that ruined them."""
    phases = list(chosen.settings.phases)
    kept = set(phases[: phases.index(chosen.lost or chosen.phase) + 1])
    return [record for record in read_records(inside(chosen.folder, METRICS)) if record.get("phase") in kept]


def with_language_models(
    systems: Sequence[System], references: Sequence[Sequence[str]], training: Sequence[str]
) -> tuple[list[System], dict[str, float]]:
    """Return the systems with the LM and reverse-LM scores of their samples, and those of humans (Caccia et al. 2020).

    The human scale of the reverse score is a model of as many training captions as a system has samples; where there
    are fewer, of all, and people score less well than they would.

    Args:
        systems: whose samples are scored.
        references: tokenized, of the evaluated images.
        training: tokenized human captions of other images.
    """
    words = {word for caption in training for word in caption.split()}
    human = NgramModel(training, words=words)
    unseen = [text for own in references for text in own]

    def scored(run: EvaluatedRun) -> EvaluatedRun:
        drawn = [text for own in run.samples for text in own]
        return replace(run, values={**run.values, **lm_scores(drawn, unseen, human=human, words=words)})

    count = sum(map(len, systems[0].runs[0].samples))
    order = np.random.default_rng(0).permutation(len(training))[:count]
    some = NgramModel([training[row] for row in order], words=words)
    humans = {"lm_nll": human.nll_per_token(unseen), "reverse_lm_nll": some.nll_per_token(unseen)}
    return [replace(system, runs=[scored(run) for run in system.runs]) for system in systems], humans


def tokenized(split: Split, tokenizer: Tokenizer) -> list[list[str]]:
    """Return the references of each image of a split, as the metrics read them."""
    return [tokenizer.tokenized(tokenizer.normalize(list(item.captions))) for item in split.items]
