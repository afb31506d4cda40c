"""What is kept of a run on photographs: its metrics, CIDEr-D of each image, and its curve over temperatures.

Shapes: N images.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import numpy as np

from experiments.ratio import evaluator_of
from experiments.study import captions, cost_of, evaluation, humans, systems
from gan_caption.evaluation.compared import tokenized
from gan_caption.evaluation.curve import CurvePoint, grid, sample_curve
from gan_caption.evaluation.evaluator import Evaluator
from gan_caption.evaluation.trained import Trained, open_run
from gan_caption.metrics import CiderD
from gan_caption.metrics.humans import human_quality
from gan_caption.metrics.language_model import NgramModel, lm_scores
from gan_caption.metrics.metric import corpus_value, measure
from gan_caption.metrics.nouns import unsupported_nouns
from gan_caption.training.setup import load_split, open_corpus

TEMPERATURES = (0.4, 0.6, 0.8, 1.0)
SAMPLES = 5
"""Of each image."""
CURVE = ("sample_cider_d", "self_cider")
"""Quality and diversity."""


def found(run: Path, phase: str, split: str = "val") -> dict[str, Any]:
    """Measure what a phase of a run left.

    Args:
        run: its folder.
        phase: whose weights, with its own decoder where it has one.
        split: on which images.

    Returns:
        "minutes" that the run took; "metrics" of its beam's captions and of samples at temperature 1; "humans": those
        that people have, each beside the others of the same image; "cider_d" of the beam's captions, (N,); "curve": a
        point a temperature, from the lowest, of `CURVE`.

    Raises:
        UserError: there is no such split, or nothing finds nouns: the extra `nouns` is not installed.
    """
    trained = open_run(run, device="auto")
    trained.load(phase)
    evaluator = evaluator_of(trained, split, samples_per_image=SAMPLES)
    points = sample_curve(trained.captioner, evaluator, grid(TEMPERATURES, ()), phase=phase)
    images = [item.image_id for item in evaluator.source.split.items]
    decoded = run if images == list(captions(run, phase)) else evaluation(run, f"split={split}", *_decoding(run))
    written = captions(decoded, phase)
    told = evaluator.predictions([written[image] for image in images], [])
    each = CiderD(evaluator.references, evaluator.frequencies).score(range(len(told.captions)), told.captions)
    nouns = unsupported_nouns()
    own = {nouns.name: corpus_value(measure([nouns], told)[nouns.name]), **_language(trained, evaluator, points[-1])}
    return {
        "minutes": cost_of(run),
        "metrics": {**systems(decoded)[phase], **own},
        "humans": {**humans(decoded), **human_quality(evaluator.references, compared_by=[nouns])},
        "cider_d": [round(float(value), 4) for value in each],
        "curve": [{name: float(np.mean(point.values[name])) for name in CURVE} for point in points],
    }


def _decoding(run: Path) -> list[str]:
    """Return what the run was told of its decoding: an evaluation has one of its own otherwise."""
    words = shlex.split((run / "command.txt").read_text())
    return [word for word in words if word.startswith("decoding")]


def _language(trained: Trained, evaluator: Evaluator, point: CurvePoint) -> dict[str, float]:
    """Return the LM and reverse-LM scores of samples, by trigrams of all captions of train."""
    split = load_split(open_corpus(trained.settings), "train", lambda line: None)
    training = [text for own in tokenized(split, trained.tokenizer) for text in own]
    words = {word for text in training for word in text.split()}
    samples = [text for own in point.samples for text in trained.tokenizer.tokenized(own)]
    people = [text for own in evaluator.references for text in own]
    return lm_scores(samples, people, human=NgramModel(training, words=words), words=words)
