"""Self-CIDEr (Wang and Chan 2019, arXiv 1903.12020): how many directions an image's captions span."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from gan_caption.metrics.cider import Vectors, similarities
from gan_caption.metrics.coded import code
from gan_caption.metrics.diversity import check_samples
from gan_caption.metrics.document_frequencies import DocumentFrequencies
from gan_caption.metrics.ngrams import Score
from gan_caption.metrics.occurrences import LONGEST, parts


def self_cider(samples: Sequence[Sequence[str]], frequencies: DocumentFrequencies) -> Score:
    """Return the diversity of each image's K captions, 0 (all alike) to 1 (nothing in common).

    With the kernel K_ij = CIDEr of captions i and j (the original one, on the scale 0 to 1) and its eigenvalues
    lambda, the diversity is -log_K(sqrt(lambda_max) / sum of sqrt(lambda)) (section 3.3). The square roots are the
    singular values of the captions' tf-idf matrix. K captions of four words or more without one in common reach 1.

    Args:
        samples: of each image its K tokenized captions, K at least 2. Where no caption has a word of any weight, the
            diversity is 0; an empty caption has nothing in common with any other and spans nothing.
        frequencies: of the references, as CIDEr-D takes them.

    Raises:
        UserError: there are no images, or an image has fewer than 2 captions.
    """
    check_samples(samples, at_least=2)
    counts = np.array([len(own) for own in samples])
    values = np.empty(len(samples))
    for count in np.unique(counts):
        rows = np.flatnonzero(counts == count)
        values[rows] = _diversity(_kernels([samples[row] for row in rows.tolist()], frequencies))
    return Score(float(values.mean()), values)


def _kernels(samples: Sequence[Sequence[str]], frequencies: DocumentFrequencies) -> np.ndarray:
    """Return CIDEr of each pair of an image's captions, (N, K, K) float64, 0 to 1; K is the same for all images."""
    count = len(samples[0])
    captions = code([text for own in samples for text in own], frequencies.words)
    one, other = np.triu_indices(count)
    kernels = np.empty((len(samples), count, count))
    for images in parts(captions.lengths.reshape(-1, count).max(1) * count):
        rows = (images[:, None] * count + np.arange(count)).ravel()
        own = Vectors.of(captions.rectangle(rows), frequencies)
        first = np.arange(len(images))[:, None] * count  # caption of each image
        left, right = (first + one).ravel(), (first + other).ravel()
        cosines = similarities(own, left, own.words[:, right], own.norms[:, right], np.multiply) / LONGEST
        kernels[images[:, None], one, other] = kernels[images[:, None], other, one] = cosines.reshape(len(images), -1)
    return kernels


def _diversity(kernels: np.ndarray) -> np.ndarray:
    singular = np.sqrt(np.clip(np.linalg.eigvalsh(kernels), 0.0, None))  # (N, K), ascending
    total = singular.sum(1)
    there = total > 0
    largest = np.divide(singular[:, -1], total, out=np.ones_like(total), where=there)
    return -np.log(largest) / math.log(kernels.shape[1])
