"""CIDEr-D as pay. Shapes: B images, N captions."""

from __future__ import annotations

import torch
from torch import Tensor

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.metrics.cider import CiderD
from gan_caption.rewards.references import References


class CiderDReward:
    """CIDEr-D against the training image's own references, 0 to 10: SCST's reward (Rennie et al. 2017, section 5).

    `<eos>` counts as a word, and n-grams are weighed by their frequency among the training images.
    """

    def __init__(self, *, references: References) -> None:
        """Hold the references; their vectors are made when they are first needed."""
        self.references = references
        self.metric = CiderD(references.texts)

    def __call__(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Return (N,) CIDEr-D."""
        rows = self.references.rows(features, captions)
        scores = self.metric.score(rows, self.references.candidates(captions))
        return torch.tensor(scores, dtype=torch.float32, device=captions.tokens.device)
