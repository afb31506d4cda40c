"""Ways to decode one caption an image, as `conf/decoding/` names them."""

from __future__ import annotations

from typing import Protocol

import torch

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.decoding.beam import beam_search
from gan_caption.decoding.greedy import greedy
from gan_caption.decoding.sampling import attach_noise, sample
from gan_caption.generators.base import Generator


class Decoder(Protocol):
    """Turns the features of B images into B captions."""

    def __call__(
        self, generator: Generator, features: ImageFeatures, *, max_length: int, rng: torch.Generator
    ) -> Captions:
        """Return one caption an image; only sampling uses `rng`."""
        ...


class Greedy:
    """The most probable next word."""

    def __call__(
        self, generator: Generator, features: ImageFeatures, *, max_length: int, rng: torch.Generator
    ) -> Captions:
        """Return one caption an image."""
        del rng
        return greedy(generator, features, max_length=max_length)


class Beam:
    """Beam search; see `beam_search`."""

    def __init__(self, *, beam_size: int = 5, length_penalty: float = 0.0, no_repeated_trigram: bool = False) -> None:
        """Set the search; the arguments are those of `beam_search`."""
        if beam_size < 1:
            raise ValueError(f"beam_size={beam_size}: at least 1")
        self.beam_size = beam_size
        self.length_penalty = length_penalty
        self.no_repeated_trigram = no_repeated_trigram

    def __call__(
        self, generator: Generator, features: ImageFeatures, *, max_length: int, rng: torch.Generator
    ) -> Captions:
        """Return one caption an image."""
        del rng
        return beam_search(
            generator, features, beam_size=self.beam_size, max_length=max_length,
            length_penalty=self.length_penalty, no_repeated_trigram=self.no_repeated_trigram,
        )  # fmt: skip


class Sampling:
    """One random caption an image."""

    def __init__(self, *, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0) -> None:
        """Set the distribution; the arguments are those of `shape_distribution`."""
        if temperature <= 0:
            raise ValueError(f"temperature={temperature}: above 0 (decoding=greedy is its limit)")
        if top_k < 0:
            raise ValueError(f"top_k={top_k}: 0 for all words, or how many to keep")
        if not 0 < top_p <= 1:
            raise ValueError(f"top_p={top_p}: above 0, at most 1")
        self.temperature = temperature
        self.top_k = top_k
        self.top_p = top_p

    def __call__(
        self, generator: Generator, features: ImageFeatures, *, max_length: int, rng: torch.Generator
    ) -> Captions:
        """Return one caption an image."""
        return self.several(generator, features, samples=1, max_length=max_length, rng=rng)

    def several(
        self, generator: Generator, features: ImageFeatures, *, samples: int, max_length: int, rng: torch.Generator
    ) -> Captions:
        """Return `samples` captions of each image, those of an image neighbours."""
        features, per_row = attach_noise(generator, features, samples=samples, rng=rng)
        return sample(
            generator, features, samples=per_row, max_length=max_length, rng=rng,
            temperature=self.temperature, top_k=self.top_k, top_p=self.top_p,
        ).captions  # fmt: skip
