"""Sampling from the policy as it is. Shapes: B images, K samples of each."""

from __future__ import annotations

import torch
from torch import Tensor

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.decoding.sampling import Samples, sample_with_noise
from gan_caption.errors import NoReference
from gan_caption.generators.base import Generator
from gan_caption.modes import evaluating


def collect(
    generator: Generator, features: ImageFeatures, *, samples: int, max_length: int, rng: torch.Generator
) -> Samples:
    """Sample K captions an image from the policy itself: eval mode, temperature 1, no gradients."""
    with evaluating(generator):
        return sample_with_noise(generator, features, samples=samples, max_length=max_length, rng=rng)


def sampled_from(reference: Generator | None) -> Generator:
    """Return the policy that a phase's `pretraining` names, for objectives that sample from it.

    Raises:
        NoReference: there is none.
    """
    if reference is None:
        raise NoReference("there is no pretrained policy to sample from: `pretraining` names no phase that left one")
    return reference


def policy_samples(
    generator: Generator, features: ImageFeatures, *, samples: int, max_length: int, rng: torch.Generator
) -> Captions:
    """Return K captions of each of the B images, as `collect` draws them."""
    drawn = collect(generator, features, samples=samples, max_length=max_length, rng=rng)
    return drawn.of_images


def as_many(captions: Captions, counts: Tensor) -> Captions:
    """Keep the first samples of each image, as many as counts (B,) on the host say, where all have K, at least these.

    A discriminator that is given more samples of an image than captions could tell the kinds apart by their number.
    """
    wanted = torch.arange(len(captions) // max(len(counts), 1)) < counts[:, None]  # (B, K)
    if wanted.all():
        return captions
    rows = wanted.flatten().nonzero()[:, 0].to(captions.tokens.device, non_blocking=True)
    return captions.select(rows)
