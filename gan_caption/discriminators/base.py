"""The contract of a discriminator. Shapes: B images, N captions, T steps."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures


class Discriminator(nn.Module, ABC):
    """Tells whether a person wrote this caption for this image.

    It answers logits, never probabilities. Padding, and the other rows of the batch, cannot change an answer.
    """

    uses_grid: bool = False
    """Whether `ImageFeatures.grid` is read."""

    @abstractmethod
    def forward(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Return one logit a caption, (N,): above 0 means "a person wrote it for this image".

        Args:
            features: of B images; each is projected once, however many captions it has.
            captions: N captions of them.
        """
