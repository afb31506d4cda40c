"""The metrics of every run, in the order of tables.

Shapes: N images, K samples an image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from gan_caption.metrics.bleu import BleuResult, PooledBleu, bleu
from gan_caption.metrics.cider import CiderD
from gan_caption.metrics.diversity import (
    check_samples,
    distinct_n,
    div_n,
    length_distance,
    mbleu,
    unique_share,
    verbatim_share,
    vocabulary_size,
)
from gan_caption.metrics.metric import Metric, Predictions, in_order
from gan_caption.metrics.ngrams import Score, check_pairs
from gan_caption.metrics.rouge import rouge_l
from gan_caption.metrics.self_bleu import self_bleu
from gan_caption.metrics.self_cider import self_cider


def _cider_d(told: Predictions) -> Score:
    return Score.of(CiderD(told.references, told.frequencies).score(range(len(told.captions)), told.captions))


def _bleu(n: int) -> Callable[[Predictions], PooledBleu]:
    def order(told: Predictions) -> PooledBleu:
        counted: BleuResult = told.once("bleu", lambda: bleu(told.captions, told.references))
        return counted.order(n)

    return order


def _sampled_cider_d(told: Predictions) -> Score:
    """Return CIDEr-D of an image's samples, the mean over them."""
    check_samples(told.samples, at_least=1)
    check_pairs([own[0] for own in told.samples], told.references)
    counts = [len(own) for own in told.samples]
    rows = np.repeat(np.arange(len(counts)), counts)
    values = CiderD(told.references, told.frequencies).score(rows.tolist(), _flat(told.samples))
    return Score.of(np.bincount(rows, weights=values) / counts)


def _self_bleu(told: Predictions) -> float:
    """Return Self-BLEU-4; NaN of a single caption, which has no other to repeat."""
    return self_bleu(told.captions).value if len(told.captions) > 1 else float("nan")


def _flat(samples: Sequence[Sequence[str]]) -> list[str]:
    return [caption for own in samples for caption in own]


def _length(captions: Sequence[str]) -> float:
    return sum(len(caption.split()) for caption in captions) / max(len(captions), 1)


QUALITY = (
    Metric(
        name="cider_d", label="CIDEr-D x 100", factor=100, decimals=1, per_image=True, compares=True, function=_cider_d,
    ),
    *(
        Metric(
            name=f"bleu_{n}", label=f"BLEU-{n} x 100", factor=100, decimals=1, per_image=True, compares=True,
            function=_bleu(n),
        )
        for n in (1, 2, 3, 4)
    ),
    Metric(
        name="rouge_l", label="ROUGE-L x 100", factor=100, decimals=1, per_image=True, compares=True,
        function=lambda told: rouge_l(told.captions, told.references),
    ),
)  # fmt: skip
"""Of one caption an image, against what people said of it."""

VARIETY = (
    Metric(
        name="length", label="length, words", decimals=2, better="neither",
        function=lambda told: _length(told.captions),
    ),
    Metric(
        name="vocabulary", label="words used", decimals=0, function=lambda told: vocabulary_size(told.captions),
    ),
    Metric(
        name="unique", label="unique captions, %", factor=100, decimals=1,
        function=lambda told: unique_share(told.captions),
    ),
    Metric(
        name="verbatim", label="verbatim in training, %", factor=100, decimals=1, better="neither",
        function=lambda told: verbatim_share(told.captions, told.training),
    ),
    Metric(
        name="distinct_1", label="distinct-1", validated=False, function=lambda told: distinct_n(told.captions, 1),
    ),
    Metric(
        name="distinct_2", label="distinct-2", validated=False, function=lambda told: distinct_n(told.captions, 2),
    ),
    Metric(name="self_bleu_4", label="Self-BLEU-4", better="lower", validated=False, function=_self_bleu),
    Metric(
        name="length_distance", label="length, distance to humans", better="lower", validated=False,
        function=lambda told: length_distance(told.captions, told.references),
    ),
)  # fmt: skip
"""Of the captions of all images together; the values depend on how many there are."""

SAMPLE_QUALITY = (
    Metric(
        name="sample_cider_d", label="samples: CIDEr-D x 100", factor=100, decimals=1, of="samples", per_image=True,
        validated=False, axis="quality", function=_sampled_cider_d,
    ),
)  # fmt: skip
"""Of K samples an image, against what people said of it."""

DIVERSITY = (
    Metric(
        name="div_1", label="samples: Div-1", of="samples", per_image=True,
        function=lambda told: div_n(told.samples, 1),
    ),
    Metric(
        name="div_2", label="samples: Div-2", of="samples", per_image=True, axis="diversity",
        function=lambda told: div_n(told.samples, 2),
    ),
    Metric(
        name="mbleu_4", label="samples: mBLEU-4", better="lower", of="samples", per_image=True,
        function=lambda told: mbleu(told.samples),
    ),
    Metric(
        name="self_cider", label="samples: Self-CIDEr", of="samples", per_image=True, validated=False,
        axis="diversity", function=lambda told: self_cider(told.samples, told.frequencies),
    ),
    Metric(
        name="distinct_samples", label="samples: distinct, of an image, %", factor=100, decimals=1, of="samples",
        per_image=True, validated=False,
        function=lambda told: Score.of(np.array([unique_share(own) for own in told.samples])),
    ),
)  # fmt: skip
"""Of K samples an image, at least 2: how they differ from each other."""

SAMPLE_VARIETY = (
    Metric(
        name="sample_length", label="samples: length, words", decimals=2, better="neither", of="samples",
        function=lambda told: _length(_flat(told.samples)),
    ),
    Metric(
        name="sample_vocabulary", label="samples: words used", decimals=0, of="samples",
        function=lambda told: vocabulary_size(_flat(told.samples)),
    ),
    Metric(
        name="sample_unique", label="samples: unique, %", factor=100, decimals=1, of="samples",
        function=lambda told: unique_share(_flat(told.samples)),
    ),
    Metric(
        name="sample_verbatim", label="samples: verbatim in training, %", factor=100, decimals=1, better="neither",
        of="samples", function=lambda told: verbatim_share(_flat(told.samples), told.training),
    ),
)  # fmt: skip
"""Of the samples of all images together."""
LEARNED_BY_HEART = ("verbatim", "sample_verbatim")
"""Names of those that ask which captions were learned from."""

COMPARED = (
    Metric(name="lm_nll", label="samples: LM score, nats", better="lower", of="model", validated=False),
    Metric(name="reverse_lm_nll", label="samples: reverse LM, nats", better="lower", of="model", validated=False),
    Metric(
        name="taken_for_human", label="taken for human, %", factor=100, decimals=1, of="model", per_image=True,
        validated=False,
    ),
    *(
        Metric(
            name=f"recall_{at}", label=label, factor=100, decimals=1, of="model", per_image=True, validated=False,
        )
        for at, label in ((1, "image found from caption, R@1, %"), (5, "R@5, %"), (10, "R@10, %"))
    ),
    Metric(
        name="median_rank", label="median rank of the image", decimals=1, better="lower", of="model", validated=False,
    ),
)  # fmt: skip
"""What only a comparison measures: with language models, and with a network that judges."""

KNOWLEDGE = tuple(
    Metric(
        name=f"{judge}_{name}", label=f"{label}{unit}", factor=factor, decimals=decimals, better="neither", of="model",
        validated=False,
    )
    for judge, label in (("discriminator", "D on these images: "), ("best", "the best possible D: "))
    for name, unit, factor, decimals in (("accuracy", "right, %", 100, 1), ("auc", "AUC", 1, 3),
                                         ("log_loss", "log-loss, nats", 1, 3), ("ece", "calibration error", 1, 3))
)  # fmt: skip
"""How well samples are told from people's captions, on images that nothing was trained on: by the run's discriminator,
and, where the distribution of captions is known, by the exact ratio. Neither is better or worse for a captioner."""

DIVERGENCE = Metric(
    name="jsd", label="samples: Jensen-Shannon divergence, nats", better="lower", of="model", validated=False
)
"""Between a captioner and the distribution of captions, where that is known: 0 (alike) to log 2 (nothing in common)."""

LIKELIHOOD = (
    Metric(name="nll_per_token", label="NLL of references, nats a token", better="lower", of="model"),
    Metric(name="nll_per_caption", label="NLL of references, nats a caption", decimals=2, better="lower", of="model"),
)
"""Of the references under the model; the model's own probabilities tell."""


LIMIT = tuple(
    Metric(
        name=f"limit_nll_per_{unit}_{end}", label=f"NLL of references under p w / Z, {told}, nats a {unit}",
        decimals=decimals, better="lower", of="model", validated=False,
    )
    for unit, decimals in (("token", 3), ("caption", 2))
    for end, told in (("low", "at least"), ("high", "at most"))
)  # fmt: skip
"""Of the references under what resampling comes to with ever more candidates, between two estimates."""


def catalogue(*more: Metric, quality: Sequence[Metric] = ()) -> dict[str, Metric]:
    """Return the metrics of every run and others, by name in the order of tables.

    Args:
        more: a corpus' own and the user's.
        quality: what stands beside BLEU and ROUGE-L.

    Raises:
        UserError: two have the same name.
    """
    ours = (VARIETY, SAMPLE_QUALITY, DIVERSITY, SAMPLE_VARIETY, COMPARED, KNOWLEDGE, (DIVERGENCE,), LIKELIHOOD, LIMIT)
    return in_order(QUALITY, quality, *ours, more)


STANDARD = catalogue()
"""The metrics of every run."""
