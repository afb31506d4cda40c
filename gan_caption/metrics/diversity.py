"""How varied captions are: within the samples of an image, and over a corpus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Sequence

import numpy as np

from gan_caption.errors import UserError
from gan_caption.metrics.bleu import LONGEST, PooledOverlap, bleu, overlap_of_counts
from gan_caption.metrics.ngrams import Score, check_captions, check_captions_of_images, ngrams


def div_n(samples: Sequence[Sequence[str]], n: int) -> Score:
    """Return Div-n: distinct n-grams among an image's samples / words in them, the mean over images.

    Shetty et al. 2017 (arXiv 1703.10476), section 4.2: "ratio of number of unique n-grams in 5 captions to number of
    words in 5 captions"; so do Deshpande et al. 2019.

    Args:
        samples: of each image its K tokenized captions.
        n: at least 1.

    Raises:
        UserError: there are no images, an image has no samples, or n is below 1.
    """
    if n < 1:
        raise UserError(f"Div-n counts n-grams of at least 1 word, and n is {n}")
    check_samples(samples, at_least=1)
    shares = []
    for own in samples:
        split = [caption.split() for caption in own]
        words = sum(map(len, split))
        distinct = {gram for caption in split for gram in ngrams(caption, n)}
        shares.append(len(distinct) / words if words else 0.0)
    return Score(float(np.mean(shares)), np.array(shares))


def mbleu(samples: Sequence[Sequence[str]]) -> PooledOverlap:
    """Return mBLEU-4: BLEU-4 of each of K samples against the other K - 1 of its image, the mean over the K.

    Shetty et al. 2017, section 4.2. Lower is more varied; a caption is never its own reference. The corpus value pools
    the first captions of all images, the second ...; each image's own is the mean over its K. Orders of which nobody
    has an n-gram are left out: see `overlap_of_counts`.

    Args:
        samples: of each image its K tokenized captions, K at least 2 and the same everywhere.

    Raises:
        UserError: K is below 2 or differs between images.
    """
    check_samples(samples, at_least=2)
    count = len(samples[0])
    if any(len(own) != count for own in samples):
        raise UserError("mBLEU needs equally many samples of every image")
    rounds = []
    for position in range(count):
        others = [[*own[:position], *own[position + 1 :]] for own in samples]
        rounds.append(bleu([own[position] for own in samples], others).counts)
    counts = np.array(rounds)  # (K, N, 10)
    corpus = float(overlap_of_counts(counts.sum(1)).mean())
    return PooledOverlap(corpus, overlap_of_counts(counts).mean(0), LONGEST, counts)


def distinct_n(captions: Sequence[str], n: int) -> float:
    """Return distinct-n over a corpus: distinct n-grams / words (Li et al. 2016, arXiv 1510.03055, section 4.2).

    It falls as the corpus grows: compare equally many captions.

    Raises:
        UserError: there are no captions, or n is below 1.
    """
    return div_n([captions], n).corpus


def length_distance(captions: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Return the total variation between the captions' and the references' histograms of words a caption, 0 to 1.

    Raises:
        UserError: there are no captions or no references.
    """
    check_captions_of_images(references, "references")
    human = [text for own in references for text in own]
    check_samples([captions, human], at_least=1)
    shares = []
    for texts in (captions, human):
        lengths = Counter(len(text.split()) for text in texts)
        shares.append({length: count / len(texts) for length, count in lengths.items()})
    one, other = shares
    return sum(abs(one.get(length, 0.0) - other.get(length, 0.0)) for length in one.keys() | other.keys()) / 2


def unique_share(captions: Sequence[str]) -> float:
    """Return distinct captions / captions.

    Raises:
        UserError: there are no captions.
    """
    check_samples([captions], at_least=1)
    return len(set(captions)) / len(captions)


def verbatim_share(captions: Sequence[str], training: Container[str]) -> float:
    """Return the share of captions that are training captions word for word.

    Args:
        captions: C tokenized captions.
        training: a set of them.

    Raises:
        UserError: there are no captions.
    """
    check_samples([captions], at_least=1)
    check_captions(training, "training")
    return sum(caption in training for caption in captions) / len(captions)


def vocabulary_size(captions: Sequence[str]) -> int:
    """Return the number of distinct words in the captions.

    Raises:
        UserError: there are no captions.
    """
    check_samples([captions], at_least=1)
    return len({word for caption in captions for word in caption.split()})


def check_samples(samples: Sequence[Sequence[str]], *, at_least: int) -> None:
    """Refuse samples that have no value.

    Raises:
        UserError: there are no images, one has fewer captions than `at_least`, or a text stands where a list of texts
            is wanted.
    """
    check_captions_of_images(samples, "captions")
    few = [index for index, own in enumerate(samples) if len(own) < at_least]
    if not samples or few:
        where = f"image {few[0]} has {len(samples[few[0]])}" if few else "there are no images"
        raise UserError(f"at least {at_least} caption(s) an image are needed, and {where}")
