"""The generator's losses from the discriminator's answers, where gradients pass through the words.

Shapes: N captions of one kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn import functional

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.discriminators.base import Discriminator
from gan_caption.distributed import world
from gan_caption.errors import at_least
from gan_caption.objectives.discriminator import spoken
from gan_caption.objectives.samples import as_many


class GeneratorLoss(Protocol):
    """A scalar to minimise, with gradients to the fake captions."""

    def __call__(
        self, discriminator: Discriminator, features: ImageFeatures, *, real: Captions, fake: Captions
    ) -> Tensor:
        """Return the loss.

        Args:
            discriminator: D, in eval mode; its parameters are not updated.
            features: of B images.
            real: what people said of them.
            fake: what the generator said of them.
        """
        ...


class NonSaturating:
    """-log D(fake) (Goodfellow et al. 2014, arXiv 1406.2661, section 3); with a dense D the mean over all tokens."""

    def __call__(
        self, discriminator: Discriminator, features: ImageFeatures, *, real: Captions, fake: Captions
    ) -> Tensor:
        """Return the loss."""
        del real
        return functional.softplus(-world.gather(spoken(discriminator(features, fake), fake)).float()).mean()


class RelativisticGenerator:
    """-log sigmoid(logit of fake - logit of real), pair by pair (RelGAN, Nie et al. 2019; RSGAN)."""

    def __call__(
        self, discriminator: Discriminator, features: ImageFeatures, *, real: Captions, fake: Captions
    ) -> Tensor:
        """Return the loss.

        Raises:
            ValueError: D is dense, or an image has more captions than samples.
        """
        wanted, have = (torch.bincount(one.images, minlength=len(features)) for one in (real, fake))
        counts = torch.stack([wanted, have]).cpu()
        if fewer := [pair for pair in counts.T.tolist() if pair[1] < pair[0]]:
            raise ValueError(
                f"samples_per_image: {fewer[0][1]} samples beside {fewer[0][0]} real captions of an image, as many "
                "needed"
            )
        if len(fake) > len(real):  # an image may have fewer captions than K samples
            fake = as_many(fake, counts[0])
        with torch.no_grad():  # no path leads from there to the generator
            theirs = world.gather(discriminator(features, real))
        own = world.gather(discriminator(features, fake))
        if own.dim() != 1:
            raise ValueError("a relativistic loss compares caption with caption: it takes no dense discriminator")
        return functional.softplus(theirs.float() - own.float()).mean()


@runtime_checkable
class Representing(Protocol):
    """A discriminator that shows the features on which its answer rests."""

    def represent(self, features: ImageFeatures, words: Tensor, captions: Captions) -> Tensor:
        """Return (M, F)."""
        ...


@dataclass(kw_only=True)
class FeatureMatching:
    """Mean squared distance between D's mean representations of real and fake (Salimans et al. 2016, section 3.1).

    The mean is over the numbers of a representation, so that its weight means the same however many they are, as in the
    code of Shetty et al. 2017 (github.com/rakshithShetty/captionGAN). They add it to the adversarial loss: it keeps the
    generator near the data where D is too sure to give a useful gradient.
    """

    weight: float
    """Of the distance, at least 0."""
    loss: GeneratorLoss
    """What it is added to."""

    def __post_init__(self) -> None:
        at_least(0, weight=self.weight)

    def __call__(
        self, discriminator: Discriminator, features: ImageFeatures, *, real: Captions, fake: Captions
    ) -> Tensor:
        """Return the loss.

        Raises:
            ValueError: this discriminator shows no representation.
        """
        if not isinstance(discriminator, Representing):
            kind = type(discriminator).__name__
            raise ValueError(f"FeatureMatching needs a discriminator with `represent`, such as set; {kind} has none")
        counts = torch.bincount(real.images, minlength=len(features)).cpu()
        matched = fake if len(fake) == len(real) else as_many(fake, counts)  # the size of a set is told by its features

        def mean(captions: Captions) -> Tensor:
            shown = discriminator.represent(features, discriminator.embed(captions), captions)
            return world.gather(shown).float().mean(0)

        with torch.no_grad():  # no path leads from there to the generator
            theirs = mean(real)
        distance = (mean(matched) - theirs).square().mean()
        return self.loss(discriminator, features, real=real, fake=fake) + self.weight * distance
