"""What a generative classifier learns by: the likelihood of each kind of captions under a model of its own.

Shapes: N captions of one kind.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.discriminators.base import Discriminator
from gan_caption.discriminators.generative import GenerativeDiscriminator
from gan_caption.distributed import world
from gan_caption.errors import UserError
from gan_caption.objectives.discriminator import DiscriminatorLoss, Judged


@dataclass(kw_only=True)
class OwnLikelihoods(DiscriminatorLoss):
    """-log p_people(real) - log p_samples(generated), nats a token each (Ng & Jordan 2001).

    Neither model learns from what the other one does: only calibration tells captions apart.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mismatched or self.edited or not self.generated:
            raise ValueError(
                f"generated={self.generated}, mismatched={self.mismatched}, edited={self.edited}: there is a model of "
                "people's captions and one of samples, and none of others: give generated=1, mismatched=0, edited=0"
            )

    def __call__(
        self, discriminator: Discriminator, features: ImageFeatures, *, real: Captions, generated: Captions | None,
        rng: torch.Generator,
    ) -> Judged:  # fmt: skip
        """Return the loss of a batch; see `DiscriminatorLoss`."""
        del rng
        assert generated is not None  # their weight is not 0
        loss = features.pooled.new_zeros(())
        accuracy = {}
        for kind, captions, weight in (("real", real, 1.0), ("generated", generated, self.generated)):
            people, samples = (world.gather(own).float() for own in discriminator.densities(features, captions))
            own = people if kind == "real" else samples
            loss = loss - weight * own.sum() / world.gather(captions.lengths).sum()
            right = (people > samples) if kind == "real" else (people <= samples)
            accuracy[kind] = right.float().mean().item()
        return Judged(loss, accuracy)

    def check(self, discriminator: Discriminator) -> None:
        """Refuse a discriminator without two models; see `DiscriminatorLoss.check`."""
        if not isinstance(discriminator.unwrapped, GenerativeDiscriminator):
            raise UserError(
                f"{type(discriminator.unwrapped).__name__} is no pair of models: discriminator_trainer=generative "
                "teaches discriminator=generative, or one around that, blind or calibrated say"
            )
