"""Rank among human captions: RankGAN (Lin et al. 2017, arXiv 1705.11001). Shapes: B images, N captions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.discriminators.base import Discriminator, parts_of
from gan_caption.errors import at_least
from gan_caption.modes import evaluating
from gan_caption.rewards.references import References

_AT_ONCE = 2048
"""Captions that are judged at once, at most."""


@dataclass(kw_only=True)
class RankReward:
    """A caption's share of a softmax over itself and the image's human captions, times how many captions that is.

    It is 1 for a caption that the discriminator likes as well as theirs, and for all captions of an image that has no
    human ones without unknown words, where nothing is compared. The ranker's relevance is the
    discriminator's logit of (image, caption), where the paper compares with reference sentences.
    """

    discriminator: Discriminator
    """D; it goes on learning elsewhere."""
    references: References
    """The human captions to compare with."""
    sharpness: float
    """The paper's gamma, at least 0: logits are multiplied by it."""

    def __post_init__(self) -> None:
        at_least(0, sharpness=self.sharpness)

    def __call__(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Return (N,).

        Raises:
            ValueError: D is dense.
        """
        human = self.references.captions(features)
        with evaluating(self.discriminator):
            theirs, own = self._relevance(features, human), self._relevance(features, captions)
        if own.dim() != 1:
            raise ValueError("RankReward compares caption with caption: it takes no dense discriminator")
        images = len(features)
        highest = theirs.new_full((images,), -torch.inf).scatter_reduce(0, human.images, theirs, "amax")
        mass = theirs.new_zeros(images).index_add(0, human.images, (theirs - highest[human.images]).exp())
        counts = torch.bincount(human.images, minlength=images) + 1
        return counts[captions.images] * torch.sigmoid(own - highest[captions.images] - mass.log()[captions.images])

    def _relevance(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Return D's logits (N,), times the sharpness."""
        parts = parts_of(features, captions, _AT_ONCE)
        return self.sharpness * torch.cat([self.discriminator.fast_score(seen, part) for seen, part in parts]).float()
