"""How probable a pretrained language model finds captions: a metric that asks a network, beside those that count.

A trigram model of the training captions (`metrics.language_model`) knows how people caption these photographs, and this
one how people write. Neither sees the image, and commonplaces and repeats are probable: what people score says how far
down is still good.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gan_caption.metrics.chair import PooledShare
from gan_caption.metrics.metric import Metric
from gan_caption.rewards.text_judge import TextJudge, judge_captions


def language_model_metrics(judge: TextJudge | None) -> tuple[Metric, ...]:
    """Return nats a word of captions and of samples under a language model; none without one.

    The end of a caption is counted as a word, as in `NgramModel.nll_per_token`, and all words count alike, of whatever
    image. Samples are judged for final tables only, since they are many.
    """
    if judge is None:
        return ()
    label = f"nats a word by {Path(judge.source.description).name}"
    return (
        Metric(
            name="pretrained_lm_nll", label=label, better="lower", per_image=True, compares=True,
            function=lambda told: _nats_a_word(judge, [[caption] for caption in told.captions]),
        ),
        Metric(
            name="sample_pretrained_lm_nll", label=f"samples: {label}", better="lower", of="samples", per_image=True,
            validated=False, function=lambda told: _nats_a_word(judge, told.samples),
        ),
    )  # fmt: skip


def _nats_a_word(judge: TextJudge, captions: Sequence[Sequence[str]]) -> PooledShare:
    """Return nats a word of the captions of each image."""
    log_probs, words = judge_captions(judge, [caption for own in captions for caption in own])
    images = np.repeat(np.arange(len(captions)), [len(own) for own in captions])
    nats, counts = (np.bincount(images, weights=one, minlength=len(captions)) for one in (-log_probs, words))
    return PooledShare.of_counts(nats, counts)
