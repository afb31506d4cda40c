"""What the grammar and the scenes say of captions, and the metrics that are made of it.

Shapes: N scenes, K captions a scene.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from gan_caption.data.scenes import language
from gan_caption.data.scenes.judge import Judgement, judge
from gan_caption.data.scenes.world import Scene
from gan_caption.metrics.metric import Metric
from gan_caption.metrics.ngrams import Score


class Truth:
    """The truth about captions of scenes; what takes long is found when it is asked for."""

    def __init__(self, captions: Sequence[Sequence[str]], scenes: Sequence[Scene]) -> None:
        """Judge the captions (N, K) of scenes (N,)."""
        self._told: list[list[tuple[Judgement, Scene, str]]] = [
            [(judge(caption, scene), scene, caption) for caption in own]
            for own, scene in zip(captions, scenes, strict=True)
        ]
        self._flat = [one for own in self._told for one in own]
        self._grammatical = [judgement for judgement, _, _ in self._flat if judgement.grammatical]

    @property
    def grammatical(self) -> float:
        """The share of captions that some scene could get."""
        return len(self._grammatical) / len(self._flat)

    @property
    def true(self) -> Score:
        """The share of captions that are grammatical and true of their own scene."""
        shares = [_mean([judgement.true for judgement, _, _ in own]) for own in self._told]
        return Score(sum(judgement.true for judgement in self._grammatical) / len(self._flat), np.array(shares))

    @property
    def hallucinations(self) -> float:
        """False claims per grammatical caption; NaN if there is none."""
        return _mean([len(judgement.hallucinations) for judgement in self._grammatical])

    @property
    def outside(self) -> float:
        """The share of captions with p(caption | scene) = 0."""
        return 1 - len(self._log_probabilities) / len(self._flat)

    @property
    def nll(self) -> float:
        """The mean of -log p(caption | scene) over the others, in nats; NaN if there is none."""
        return -_mean(self._log_probabilities)

    @cached_property
    def _log_probabilities(self) -> list[float]:
        # Only true captions have p > 0 (see `language`), so the others need no parse.
        true = [(scene, caption) for judgement, scene, caption in self._flat if judgement.true]
        log_probs = [language.log_probability(language.captions_of(scene), caption) for scene, caption in true]
        return [value for value in log_probs if value > -math.inf]


METRICS = (
    (
        Metric(name="oracle_grammatical", label="grammatical, %", factor=100, decimals=1),
        lambda told: told.grammatical,
    ),
    (
        Metric(
            name="oracle_true", label="true of the image, %", factor=100, decimals=1, per_image=True, axis="quality"
        ),
        lambda told: told.true,
    ),
    (
        Metric(name="oracle_hallucinations", label="hallucinations a caption", better="lower"),
        lambda told: told.hallucinations,
    ),
    (
        Metric(name="oracle_nll", label="NLL under the grammar, nats", decimals=2, better="neither"),
        lambda told: told.nll,
    ),
    (
        Metric(name="oracle_outside", label="outside its support, %", factor=100, decimals=1, better="lower"),
        lambda told: told.outside,
    ),
)
"""Metrics of captions, and what of the `Truth` is their value."""


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan
