"""What the policy said, and what it was paid. Shapes: B images, K samples of each, N = B * K, T steps."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.decoding.sampling import attach_noise, sample
from gan_caption.generators.base import Generator
from gan_caption.modes import evaluating


@dataclass(frozen=True)
class Rollout:
    """Sampled captions with the features that they were sampled from."""

    features: ImageFeatures
    """Of the B images (of B * K rows where each sample has its own noise)."""
    captions: Captions
    """N samples, those of one image neighbours; `captions.images` says whose each is."""
    max_length: int
    """The longest caption that the policy could have written, in tokens."""
    samples_per_image: int = 1
    """K; N is a multiple of it."""
    log_probs: Tensor | None = None
    """(N, T) of the tokens under the policy when it sampled them, 0 on padding; None where nobody knows."""

    @property
    def samples_of(self) -> Tensor:
        """(N,) long, 0 to B-1: the image of each caption, also where each has features of its own (noise)."""
        return torch.arange(len(self.captions), device=self.captions.images.device) // self.samples_per_image


def collect(
    generator: Generator, features: ImageFeatures, *, samples: int, max_length: int, rng: torch.Generator
) -> Rollout:
    """Sample K captions an image from the policy itself: eval mode, temperature 1, no gradients."""
    with evaluating(generator):
        features, per_row = attach_noise(generator, features, samples=samples, rng=rng)
        drawn = sample(generator, features, samples=per_row, max_length=max_length, rng=rng)
    return Rollout(features, drawn.captions, max_length, samples, drawn.log_probs)
