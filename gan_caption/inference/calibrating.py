"""How probable it is that a run's caption is right: fitted on validation images, kept in the run's folder.

Right is a caption that a stated criterion finds so: a metric of single captions and a threshold. On scenes it is that
all it says is true; on photographs, that it names no object which neither the references nor, where there are any, the
outlines have, as CHAIR counts: a caption that names no object at all is right by that. Any other metric can be asked
for. What is read is log p(caption | image) a token, see `metrics.calibration`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gan_caption.data.corpus import Split
from gan_caption.distributed.world import say
from gan_caption.errors import UserError
from gan_caption.evaluation.compared import tokenized
from gan_caption.evaluation.trained import chosen_weights, reading_data
from gan_caption.extras import require
from gan_caption.files import check_folder
from gan_caption.inference.captioner import Captioned, Captioner
from gan_caption.inference.confidence import confidence_file
from gan_caption.inference.settings import CalibrationSettings, read_as
from gan_caption.metrics.calibration import Logistic, Reliability, cross_fitted, enough_to_fold, fitted, reliability_of
from gan_caption.metrics.document_frequencies import DocumentFrequencies
from gan_caption.metrics.metric import Metric, Metrics, Predictions, measure
from gan_caption.metrics.ngrams import Score
from gan_caption.metrics.standard import catalogue
from gan_caption.reporting.figures import confidence_diagram, save
from gan_caption.training.folders import best_weights, digest_of, read_settings, write_values
from gan_caption.training.progress import Progress
from gan_caption.training.setup import decoding_of, load_split, open_corpus, own_metrics

USUAL = {"oracle_true": 1.0, "chair_s": 0.0, "chair_references_s": 0.0}
"""Criteria in the order in which they are taken where none is asked for, with their thresholds."""


@dataclass(frozen=True)
class Criterion:
    """When a caption counts as right."""

    metric: Metric
    threshold: float
    """On the metric's own scale; the value itself is still right."""

    def __str__(self) -> str:
        bound = "at most" if self.metric.better == "lower" else "at least"
        return f"{self.metric.label}: {bound} {self.metric.shown(self.threshold)}"

    def right(self, values: np.ndarray) -> np.ndarray:
        """Return which of the captions with these values (N,) are right."""
        return values <= self.threshold if self.metric.better == "lower" else values >= self.threshold


def criterion_of(metrics: Metrics, name: str | None, threshold: float | None) -> Criterion:
    """Return a criterion by the name of its metric, or the usual one of these data.

    Args:
        metrics: that the data have.
        name: of a metric; None takes the first of `USUAL` that there is.
        threshold: None takes that of `USUAL`.

    Raises:
        UserError: there is no such metric, or no threshold.
    """
    known = {
        key: one for key, one in metrics.items()
        if one.per_image and one.function is not None and one.of == "captions" and one.better != "neither"
    }  # fmt: skip
    name = name or next((key for key in USUAL if key in known), None)
    if name is None:
        raise UserError(
            f"what is right? These data have no usual criterion: give criterion=... threshold=...; {', '.join(known)}"
        )
    if name not in known:
        raise UserError(f"criterion={name}: these data have {', '.join(known)}")
    if threshold is None:
        threshold = USUAL.get(name)
    if threshold is None:
        raise UserError(f"criterion={name}: from which value on is a caption right? Give threshold=...")
    return Criterion(known[name], threshold)


@dataclass(frozen=True)
class Confidence:
    """What was fitted, and how far it can be relied on."""

    curve: Logistic
    """Of all captions."""
    reliability: Reliability
    """Of captions by curves that were fitted on others."""
    criterion: Criterion
    images: int
    """That were captioned."""


def fit_confidence(
    captioner: Captioner, split: Split, criterion: Criterion, *, folds: int, skip_unreadable: bool
) -> Confidence:
    """Caption a split and fit how probable it is that a caption is right.

    Args:
        captioner: captions each image once, by its own decoder.
        split: images that chose at most the weights.
        criterion: that says what is right.
        folds: that the measure of reliability divides the images into.
        skip_unreadable: leave out images that cannot be read.

    Raises:
        UserError: an image cannot be read, the split has no pictures, or there are fewer than 2 a fold.
    """
    enough_to_fold(len(split), folds=folds)  # before hours of captioning
    told: dict[int, Captioned] = {}
    with Progress(phase=f"caption {split.name}", total=len(split)) as progress:
        for row, one in enumerate(captioner.stream(split)):
            if isinstance(one, Captioned):
                told[row] = one
            elif not skip_unreadable:
                raise UserError(f"{one.reason}; skip_unreadable=true leaves such images out")
            progress.update(row + 1)
    if left := len(split) - len(told):
        say(f"{left} of {len(split)} images cannot be read and are left out")
    tokenizer, read = captioner.trained.tokenizer, split.select(list(told))
    captions = tokenizer.tokenized([one.best.text for one in told.values()])
    references = tokenized(read, tokenizer)
    predictions = Predictions(captions, [], references, DocumentFrequencies.of(references),
                              image_ids=[item.image_id for item in read.items])  # fmt: skip
    value = measure([criterion.metric], predictions)[criterion.metric.name]
    assert isinstance(value, Score), "metrics of single images return scores"
    numbers, right = np.array([one.best.per_token for one in told.values()]), criterion.right(value.per_image)
    curve = fitted(numbers, right)
    reliability = reliability_of(cross_fitted(numbers, right, folds=folds), right, ranked_by=numbers)
    return Confidence(curve, reliability, criterion, images=len(told))


def as_json(found: Confidence, *, split: Split, decoding: Mapping[str, Any], weights: str) -> dict[str, Any]:
    """Return what is kept of a confidence; `weights` are the digest of those that it is of."""
    reliability = {key: value for key, value in vars(found.reliability).items() if key != "bins"}
    return {
        "criterion": found.criterion.metric.name, "threshold": found.criterion.threshold, "split": split.name,
        "images": found.images, "decoding": dict(decoding), "weights": weights, "intercept": found.curve.intercept,
        "slope": found.curve.slope, "reliability": reliability,
    }  # fmt: skip


def calibrate_run(settings: CalibrationSettings) -> Confidence:
    """Fit the confidence of a run's captions, keep it in its folder, draw how far it holds, and print that.

    Raises:
        UserError: the run, its data or the criterion cannot be used, or images are too few.
    """
    require("matplotlib", extra="report", what="reliability plots")  # missed before minutes of captioning, not after
    check_folder(settings.run, f"run={settings.run}")
    phase = chosen_weights(settings.run, read_settings(settings.run, allow=settings.allow), settings.weights)
    weights = digest_of(best_weights(settings.run, phase))
    captioner = Captioner.load(
        settings.run, weights=phase, device=settings.device, allow=settings.allow,
        decoding=None if settings.decoding is None else settings.decoding.node, confidence=False,
    )  # fmt: skip
    run = read_as(captioner.trained.settings, settings)
    with reading_data(run.data, settings.data):
        split = load_split(open_corpus(run, settings.data), settings.split, say)
    metrics = catalogue(*split.metrics, *own_metrics(run.metrics))
    criterion = criterion_of(metrics, settings.criterion, settings.threshold)
    found = fit_confidence(captioner, split, criterion, folds=settings.folds, skip_unreadable=run.skip_unreadable)
    place = confidence_file(settings.run, phase)
    decoding = settings.decoding or decoding_of(run, phase)
    if digest_of(best_weights(settings.run, phase)) != weights:
        raise UserError(f"run={settings.run} went on meanwhile, and its weights are others: calibrate them again")
    write_values(place, as_json(found, split=split, decoding=decoding.node, weights=weights))
    save(confidence_diagram(found.reliability, str(criterion)), place.with_suffix(""))
    print(f"\n{in_words(found, split)}\n\n{place}; the plot beside it", flush=True)
    return found


def in_words(found: Confidence, split: Split) -> str:
    """Say what was fitted and how far it holds."""
    told, curve = found.reliability, found.curve
    temperature = f"temperature {1 / curve.slope:.3f}" if curve.slope else "flat: log p tells nothing of it"
    unknown = {0.0: "unknown, as none is right", 1.0: "unknown, as all are right"}
    auc = unknown.get(told.base, f"{told.auc:.3f}")
    return (
        f"Right is a caption with {found.criterion}: {100 * told.base:.1f}% of {found.images} {split.name} captions.\n"
        f"P(right) = 1 / (1 + exp(-({curve.intercept:.3f} + {curve.slope:.3f} log p a token))), {temperature}.\n"
        f"On captions that it was not fitted on: calibration error {told.ece:.3f}, Brier score {told.brier:.3f} "
        f"({told.base * (1 - told.base):.3f} is the base rate's), AUC of log p a token {auc}, "
        f"log-loss {told.log_loss:.3f} nats."
    )
