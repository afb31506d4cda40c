"""Self-CIDEr (Wang and Chan 2019, arXiv 1903.12020): how many directions an image's captions span."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from gan_caption.metrics.cider import DocumentFrequencies, tf_idf
from gan_caption.metrics.diversity import check_samples
from gan_caption.metrics.indexed import LONGEST
from gan_caption.metrics.ngrams import Score

_IMAGES_AT_ONCE = 1000


def self_cider(samples: Sequence[Sequence[str]], frequencies: DocumentFrequencies) -> Score:
    """Return the diversity of each image's K captions, 0 (all alike) to 1 (nothing in common).

    With the kernel K_ij = CIDEr of captions i and j (the original one, on the scale 0 to 1) and its eigenvalues
    lambda, the diversity is -log_K(sqrt(lambda_max) / sum of sqrt(lambda)) (section 3.3). The square roots are the
    singular values of the captions' tf-idf matrix. K captions without a word in common reach 1.

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
        for part in np.array_split(rows, -(-len(rows) // _IMAGES_AT_ONCE)):
            values[part] = _diversity(_kernels([samples[row] for row in part], frequencies))
    return Score(float(values.mean()), values)


def _kernels(samples: Sequence[Sequence[str]], frequencies: DocumentFrequencies) -> np.ndarray:
    """Return CIDEr of each pair of an image's captions, (N, K, K) float64, 0 to 1; K is the same for all images."""
    images, count = len(samples), len(samples[0])
    texts = [text for own in samples for text in own]
    entries = frequencies.index.entries(texts)
    vectors = tf_idf(entries, len(texts), frequencies)
    norms = vectors.norms[entries.caption, entries.order]
    kept = norms > 0
    caption, gram = entries.caption[kept], entries.gram[kept]
    image, size = caption // count, int(gram.max(initial=0)) + 1
    distinct, column = np.unique(image * size + gram, return_inverse=True)  # each image's n-grams are its columns
    begin = np.searchsorted(distinct // size, np.arange(images + 1))
    unit = np.zeros((images, count, int(np.diff(begin).max(initial=0))))
    unit[image, caption % count, column - begin[image]] = vectors.weight[kept] / norms[kept]
    kernels: np.ndarray = unit @ unit.transpose(0, 2, 1) / LONGEST
    return kernels


def _diversity(kernels: np.ndarray) -> np.ndarray:
    singular = np.sqrt(np.clip(np.linalg.eigvalsh(kernels), 0.0, None))  # (N, K), ascending
    total = singular.sum(1)
    there = total > 0
    largest = np.divide(singular[:, -1], total, out=np.ones_like(total), where=there)
    return -np.log(largest) / math.log(kernels.shape[1])
