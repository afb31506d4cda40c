"""Maximum likelihood that goes on: the control of what updates alone gain. Shapes: N captions, T steps."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.generators.base import Generator
from gan_caption.objectives.demonstrations import Demonstrations, Scored


@dataclass(kw_only=True)
class MoreLikelihood(Demonstrations):
    """Every token of people's captions weighs 1."""

    def weights(
        self, scored: Scored, features: ImageFeatures, captions: Captions, reference: Generator | None
    ) -> Tensor:
        """Return ones (N, T)."""
        del features, captions, reference
        return torch.ones_like(scored.log_probs)
