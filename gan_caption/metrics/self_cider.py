"""Self-CIDEr (Wang and Chan 2019, arXiv 1903.12020): how many directions an image's captions span."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from gan_caption.metrics.cider import DocumentFrequencies, cosine, tf_idf
from gan_caption.metrics.diversity import check_samples
from gan_caption.metrics.ngrams import Score


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
    values = np.array([_diversity(_kernel(own, frequencies)) for own in samples])
    return Score(float(values.mean()), values)


def _kernel(captions: Sequence[str], frequencies: DocumentFrequencies) -> np.ndarray:
    """Return CIDEr of each pair, (K, K) float64, 0 to 1."""
    vectors = [tf_idf(caption, frequencies) for caption in captions]
    kernel = np.empty((len(vectors), len(vectors)))
    for row, one in enumerate(vectors):
        for column in range(row + 1):
            kernel[row, column] = kernel[column, row] = cosine(one, vectors[column])
    return kernel


def _diversity(kernel: np.ndarray) -> float:
    singular = np.sqrt(np.clip(np.linalg.eigvalsh(kernel), 0.0, None))
    total = singular.sum()
    return -math.log(singular[-1] / total) / math.log(len(kernel)) if total else 0.0
