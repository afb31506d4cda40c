"""The discriminator's loss. Shapes: B images, N captions of one kind, T steps."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.discriminators.base import Discriminator


@dataclass(frozen=True)
class Judged:
    """A loss to minimise, and the share of each kind that D took for what it is."""

    loss: Tensor
    """Scalar."""
    accuracy: dict[str, float]
    """By kind: "real", "generated", "mismatched"; in [0, 1]."""


class BinaryCrossEntropy:
    """Real pairs against generated captions and against real captions of other images (Dai et al. 2017, eq. 6)."""

    def __init__(self, *, generated: float = 0.5, mismatched: float = 0.5) -> None:
        """Set the weights of the two kinds of negatives; real pairs weigh 1.

        Args:
            generated: of captions that the generator sampled for the image; at least 0.
            mismatched: of real captions of other images; at least 0. With 0 nothing makes D look at the image.
        """
        if min(generated, mismatched) < 0 or generated + mismatched == 0:
            raise ValueError(f"generated={generated}, mismatched={mismatched}: not negative, and not both 0")
        self.weights = {"real": 1.0, "generated": generated, "mismatched": mismatched}

    def __call__(
        self, discriminator: Discriminator, features: ImageFeatures, *, real: Captions, generated: Captions
    ) -> Judged:
        """Judge a batch.

        Args:
            discriminator: D, in train mode.
            features: of B images, cut off from any graph.
            real: captions that people wrote for these images.
            generated: captions that the generator sampled for these images, cut off from its graph.
        """
        kinds = {"real": (features, real), "generated": (features, generated)}
        if self.weights["mismatched"] and len(features) > 1:
            kinds["mismatched"] = (features, mismatch(real, images=len(features)))
        total = features.pooled.new_zeros(())
        accuracy = {}
        for kind, (images, captions) in kinds.items():
            logits = discriminator(images, captions)
            target = torch.full_like(logits, float(kind == "real"))
            total = total + self.weights[kind] * functional.binary_cross_entropy_with_logits(logits, target)
            accuracy[kind] = ((logits > 0) == target.bool()).float().mean().item()
        return Judged(total, accuracy)


def mismatch(captions: Captions, *, images: int) -> Captions:
    """Give every caption to the next image of the batch, and the last image's captions to the first."""
    moved = (captions.images + 1) % images
    order = moved.argsort(stable=True)
    return Captions(captions.tokens[order], captions.lengths[order], moved[order])
