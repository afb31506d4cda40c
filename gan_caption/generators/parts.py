"""Captions scored in parts whose logits fit into memory: 13,000 tokens of a language model are gigabytes each time."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures, narrowed
from gan_caption.generators.base import Generator

MOST = 1 << 30
"""Bytes that searches, samples and scores take for states and logits at once."""


def parts_that_fit(
    generator: Generator, features: ImageFeatures, captions: Captions, *, copies: int
) -> Iterator[tuple[ImageFeatures, Captions]]:
    """Yield the N captions in order, in parts, with the features of their images.

    Args:
        generator: whose logits are held.
        features: of B images.
        captions: of these images.
        copies: how many arrays of the logits' size are held at once, in float32; a part's take at most `MOST` bytes.
    """
    words = generator.vocabulary_size - generator.first_word
    at_once = max(MOST // (copies * 4 * words * max(captions.tokens.shape[1], 1)), 1)
    if at_once >= len(captions):
        yield features, captions
        return
    for part in captions.chunks(at_once):
        yield narrowed(features, part)


def log_probs_in_parts(generator: Generator, features: ImageFeatures, captions: Captions) -> Tensor:
    """Return log p(caption | image), (N,), as `Generator.score` has it of their tokens."""
    parts = parts_that_fit(generator, features, captions, copies=2)  # logits, and their softmax
    return torch.cat([generator.score(seen, part).sum(1) for seen, part in parts])
