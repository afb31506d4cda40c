"""All metrics at once: of one caption an image, of K samples an image, of a corpus, and of humans for a scale."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from gan_caption.errors import UserError
from gan_caption.metrics.bleu import bleu
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
from gan_caption.metrics.document_frequencies import DocumentFrequencies
from gan_caption.metrics.ngrams import Score, check_pairs
from gan_caption.metrics.rouge import rouge_l
from gan_caption.metrics.self_bleu import self_bleu
from gan_caption.metrics.self_cider import self_cider


def quality(
    candidates: Sequence[str], references: Sequence[Sequence[str]], frequencies: DocumentFrequencies
) -> dict[str, Score]:
    """Return BLEU-1 to 4, ROUGE-L and CIDEr-D of one candidate an image, by name.

    Args:
        candidates: N tokenized captions.
        references: of each image its tokenized references, at least one.
        frequencies: for CIDEr-D; `DocumentFrequencies.of(references)` is coco-caption's choice.

    Raises:
        UserError: nothing to score, the numbers differ, or the frequencies are of another vocabulary.
    """
    counted = bleu(candidates, references)
    cider = CiderD(references, frequencies).score(range(len(candidates)), candidates)
    return {
        **{f"bleu_{n}": counted.order(n) for n in (1, 2, 3, 4)},
        "rouge_l": rouge_l(candidates, references),
        "cider_d": Score(float(cider.mean()), cider),
    }


def image_by_image(
    captions: Sequence[str],
    samples: Sequence[Sequence[str]],
    references: Sequence[Sequence[str]],
    frequencies: DocumentFrequencies,
) -> dict[str, Score]:
    """Return `quality` of the captions, `variety` of the samples and, as `sample_cider_d`, their `sampled_quality`.

    Raises:
        UserError: as those.
    """
    return {
        **quality(captions, references, frequencies),
        "sample_cider_d": sampled_quality(samples, references, frequencies),
        **variety(samples, frequencies),
    }


def variety(samples: Sequence[Sequence[str]], frequencies: DocumentFrequencies) -> dict[str, Score]:
    """Return Div-1, Div-2, mBLEU-4, Self-CIDEr and the share of distinct captions among an image's samples, by name.

    Args:
        samples: of each image its K tokenized captions, K at least 2 and the same everywhere.
        frequencies: for Self-CIDEr.

    Raises:
        UserError: K is below 2 or differs between images.
    """
    shares = np.array([unique_share(own) for own in samples])
    return {
        "div_1": div_n(samples, 1),
        "div_2": div_n(samples, 2),
        "mbleu_4": mbleu(samples),
        "self_cider": self_cider(samples, frequencies),
        "distinct_samples": Score(float(shares.mean()), shares),
    }


def sampled_quality(
    samples: Sequence[Sequence[str]], references: Sequence[Sequence[str]], frequencies: DocumentFrequencies
) -> Score:
    """Return CIDEr-D of an image's samples, the mean over them.

    Args:
        samples: of each image its tokenized captions, at least one.
        references: of each image its tokenized references, at least one.
        frequencies: of the references, or of a larger corpus.

    Raises:
        UserError: the numbers differ, something is missing, or the frequencies are of another vocabulary.
    """
    check_samples(samples, at_least=1)
    check_pairs([own[0] for own in samples], references)
    counts = [len(own) for own in samples]
    rows = np.repeat(np.arange(len(samples)), counts)
    values = CiderD(references, frequencies).score(rows.tolist(), [text for own in samples for text in own])
    means = np.bincount(rows, weights=values) / counts
    return Score(float(means.mean()), means)


def corpus_variety(
    captions: Sequence[str], references: Sequence[Sequence[str]], training: Collection[str] = ()
) -> dict[str, float]:
    """Return what is a property of all captions together, by name.

    Args:
        captions: tokenized; the values depend on how many there are.
        references: of each image its tokenized references.
        training: tokenized captions that were learned from; without any nothing is told of what is novel. Of a single
            caption there is no Self-BLEU.

    Raises:
        UserError: there are no captions, or no references.
    """
    told = {
        "length": sum(len(caption.split()) for caption in captions) / max(len(captions), 1),
        "vocabulary": float(vocabulary_size(captions)),
        "unique": unique_share(captions),
        "distinct_1": distinct_n(captions, 1),
        "distinct_2": distinct_n(captions, 2),
        "length_distance": length_distance(captions, references),
    }
    if len(captions) > 1:
        told["self_bleu_4"] = self_bleu(captions).value
    if training:
        told["novel"] = 1 - verbatim_share(captions, training)
    return told


def human_quality(references: Sequence[Sequence[str]]) -> dict[str, float]:
    """Return what a human scores against the other humans of the same images, leaving one out, by name.

    The first references of all images are candidates once, then the second ones ...: the mean over them. Images with a
    single reference are left out; the others' references are one fewer than a system has, which lowers the values.

    Raises:
        UserError: fewer than two images have at least two references.
    """
    told = [own for own in references if len(own) > 1]
    if len(told) < 2:
        raise UserError("humans cannot be scored: fewer than two images have at least two references")
    frequencies = DocumentFrequencies.of(told)
    rounds = []
    for position in range(min(len(own) for own in told)):
        others = [[*own[:position], *own[position + 1 :]] for own in told]
        rounds.append(quality([own[position] for own in told], others, frequencies))
    return {name: float(np.mean([one[name].corpus for one in rounds])) for name in rounds[0]}


def human_variety(
    references: Sequence[Sequence[str]], frequencies: DocumentFrequencies, count: int
) -> dict[str, float]:
    """Return the variety of the first `count` references of the images that have so many, by name.

    Raises:
        UserError: no image has so many.
    """
    told = [own[:count] for own in references if len(own) >= count]
    if not told:
        raise UserError(f"no image has {count} references to compare {count} samples with")
    return {name: score.corpus for name, score in variety(told, frequencies).items()}
