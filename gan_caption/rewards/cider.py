"""CIDEr-D as a reward. Shapes: B images, N captions."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.metrics.cider import CiderD
from gan_caption.metrics.document_frequencies import DocumentFrequencies
from gan_caption.rewards.references import References

_MANY = 200_000
"""Images from which on counting takes disk instead of memory, about 100 bytes a word; the counts are the same."""


@dataclass(kw_only=True)
class CiderDReward:
    """CIDEr-D against the training image's own references, 0 to 10: SCST's reward (Rennie et al. 2017, section 5).

    `<eos>` counts as a word (its supplement, D), and n-grams are weighted by their frequency among the training images.
    """

    references: References
    """Of the training images; their vectors are made when they are first needed."""

    metric: CiderD = field(init=False, repr=False)

    def __post_init__(self) -> None:
        texts = self.references.texts
        many = len(texts) > _MANY
        self.metric = CiderD(texts, DocumentFrequencies.of_many(texts) if many else None)

    def __call__(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Return (N,) CIDEr-D."""
        rows = self.references.rows(features, captions)
        scores = self.metric.score(rows, self.references.candidates(captions))
        return torch.tensor(scores, dtype=torch.float32, device=captions.tokens.device)
