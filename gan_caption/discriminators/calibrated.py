"""A discriminator whose logits are scaled and shifted until its probabilities are what they say.

Shapes: B images, N captions, T steps, E embedding, M logits of people's captions, M' of generated ones.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.discriminators.base import Discriminator
from gan_caption.discriminators.wrapped import WrappedDiscriminator
from gan_caption.metrics.calibration import fitted


class Calibrated(WrappedDiscriminator):
    """scale * logit + shift of another discriminator (Platt 1999).

    Both numbers are fitted on captions that it has not learned from, all else being as it is: training leaves them
    alone. Before, they are 1 and 0. With the scale alone it is the temperature of Guo et al. 2017 (arXiv 1706.04599).
    """

    scale: Tensor
    """(): above 0 unless the discriminator errs more often than chance."""
    shift: Tensor
    """(): nats."""

    def __init__(self, *, discriminator: Discriminator) -> None:
        """Wrap.

        Args:
            discriminator: of any kind, dense ones included.
        """
        super().__init__(discriminator=discriminator)
        self.register_buffer("scale", torch.ones(()))
        self.register_buffer("shift", torch.zeros(()))

    def seen(self, features: ImageFeatures) -> ImageFeatures:
        """Return the features as they are."""
        return features

    def score(self, features: ImageFeatures, words: Tensor, captions: Captions) -> Tensor:
        """Return logits (N,), or (N, T) of a dense critic; see `Discriminator.score`."""
        return self.scale * super().score(features, words, captions) + self.shift

    def fast_score(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Judge captions by what is wrapped, perhaps sooner; see `Discriminator.fast_score`."""
        return self.scale * super().fast_score(features, captions) + self.shift

    def forward(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Judge captions, calibrated; see `Discriminator.forward`."""
        return self.scale * super().forward(features, captions) + self.shift

    @torch.no_grad()
    def calibrate(self, real: Tensor, generated: Tensor) -> None:
        """Scale and shift the answers as they are now; see `platt`. Of equal ones no scale is known, and it stays."""
        scale, shift = platt(real, generated)
        if scale == 0:
            scale, shift = 1.0, shift - float(real.mean())
        self.shift.mul_(scale).add_(shift)
        self.scale.mul_(scale)


def platt(real: Tensor, generated: Tensor) -> tuple[float, float]:
    """Return the scale and the shift of logits that Platt's fit finds, each kind counting half.

    Their log-loss is the lowest for his targets, which are a little less sure than 0 and 1: of few captions the scale
    is smaller than the one of the lowest log-loss by itself. See `gan_caption.metrics.calibration.fitted`.

    Args:
        real: (M,) logits of people's captions.
        generated: (M',) logits of generated ones.
    """
    logits = torch.cat([real, generated]).double().cpu().numpy()
    counts = (len(real), len(generated))
    line = fitted(logits, np.repeat([True, False], counts), np.repeat([1 / count for count in counts], counts))
    return line.slope, line.intercept
