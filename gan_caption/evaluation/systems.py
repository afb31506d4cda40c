"""What is compared: systems, each trained with several seeds and evaluated on the same images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gan_caption.configuration.building import Part
from gan_caption.evaluation.curve_files import CurvePoint
from gan_caption.metrics.ngrams import Score
from gan_caption.metrics.separation import Bin


@dataclass(frozen=True)
class EvaluatedRun:
    """One seed of a system. N images."""

    seed: int
    """Of the training."""
    folder: str
    """The run's folder."""
    command: str
    """What started it; empty where the run does not tell."""
    config: Mapping[str, Any]
    """Its configuration."""
    decoding: Part | None
    """The way of decoding that its last phase has for itself; None: it is decoded as all are."""
    borrowed: bool
    """Whether it is the baseline that another system's run began with: the configuration is that run's."""
    lost: str | None
    """Its last phase, where that left no healthy weights: what is measured are those of an earlier one."""
    texts: Sequence[str]
    """(N,) captions as people read them, one an image."""
    captions: Sequence[str]
    """(N,) the same as the metrics read them."""
    samples: Sequence[Sequence[str]]
    """(N,) K an image, as the metrics read them."""
    opinions: Sequence[float] | None
    """(N,) how probable the run's own discriminator finds them; None where it has none."""
    calibration: Sequence[Bin]
    """What a reliability diagram shows of that discriminator on the samples; none where it has none."""
    judged: np.ndarray | None
    """(N,) logits of the captions in the adversarial evaluation; None before it."""
    scores: Mapping[str, Score]
    """By metric, what is known image by image."""
    values: Mapping[str, float]
    """By metric, what is only known of the corpus."""
    curve: Sequence[CurvePoint]
    """Samples over the grid; the same grid for all runs."""
    records: Sequence[Mapping[str, Any]]
    """What was logged while training, by step."""


@dataclass(frozen=True)
class System:
    """A method with its settings."""

    name: str
    """Unique within a comparison."""
    runs: Sequence[EvaluatedRun]
    """By seed; the seeds are the same for all systems."""

    def scores(self, metric: str) -> list[Score]:
        """Return a metric of every seed."""
        return [run.scores[metric] for run in self.runs]

    def captions(self) -> list[list[str]]:
        """Return of each image what every seed says, (N, S)."""
        return [list(own) for own in zip(*(run.captions for run in self.runs), strict=True)]

    def along_curve(self, metric: str, points: Sequence[int]) -> np.ndarray:
        """Return a metric at some points of the curve, (S, P, N) float64."""
        return np.array([[run.curve[point].values[metric] for point in points] for run in self.runs])
