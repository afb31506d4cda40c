"""BLEU-4 as a reward. Shapes: B images, N captions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.metrics.bleu import bleu
from gan_caption.rewards.references import References


@dataclass(kw_only=True)
class BleuReward:
    """BLEU-4 of each caption by itself against its image's references, 0 to 1 (Rennie et al. 2017, table 1).

    `<eos>` counts as a word. The reward of a caption without any matching 4-gram is close to 0.
    """

    references: References
    """Of the training images."""

    def __call__(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Return (N,) BLEU-4."""
        candidates = self.references.candidates(captions)
        told = [self.references.texts[row] for row in self.references.rows(features, captions)]
        scores = bleu(candidates, told).per_image[:, 3].tolist() if candidates else []
        return torch.tensor(scores, dtype=torch.float32, device=captions.tokens.device)
