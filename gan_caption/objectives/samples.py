"""Sampling from the policy as it is. Shapes: B images, K samples of each."""

from __future__ import annotations

from dataclasses import replace

import torch

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.decoding.sampling import Samples, attach_noise, sample
from gan_caption.generators.base import Generator
from gan_caption.modes import evaluating


def collect(
    generator: Generator, features: ImageFeatures, *, samples: int, max_length: int, rng: torch.Generator
) -> Samples:
    """Sample K captions an image from the policy itself: eval mode, temperature 1, no gradients."""
    with evaluating(generator):
        features, per_row = attach_noise(generator, features, samples=samples, rng=rng)
        drawn = sample(generator, features, samples=per_row, max_length=max_length, rng=rng)
    return replace(drawn, samples_per_image=samples)


def sampled_from(reference: Generator | None) -> Generator:
    """Return the policy that a phase's `pretraining` names, for objectives that sample from it.

    Raises:
        ValueError: there is none.
    """
    if reference is None:
        raise ValueError("there is no pretrained policy to sample from: `pretraining` names no phase that left one")
    return reference


def policy_samples(
    generator: Generator, features: ImageFeatures, *, samples: int, max_length: int, rng: torch.Generator
) -> Captions:
    """Return K captions of each of the B images, as `collect` draws them."""
    drawn = collect(generator, features, samples=samples, max_length=max_length, rng=rng)
    return replace(drawn.captions, images=drawn.samples_of)
