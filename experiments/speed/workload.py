"""Policies to time. What a step costs depends on how long captions are, and on how much the samples have in common."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

import torch

from gan_caption.data.batches import CaptionBatches
from gan_caption.data.captions import EOS, Captions, captions_from_ids
from gan_caption.data.features import ImageFeatures
from gan_caption.data.flickr8k import Flickr8k
from gan_caption.generators.attention_lstm import AttentionLSTMGenerator
from gan_caption.generators.base import Generator
from gan_caption.generators.lstm import LSTMGenerator
from gan_caption.metrics import ptb_tokenize
from gan_caption.objectives.maximum_likelihood import MaximumLikelihood
from gan_caption.text.words import WordTokenizer

SIZE, CHANNELS, REGIONS = 512, 1280, 49
"""H and E, P and D, R."""
DROPOUT = 0.5
LENGTHS = (6, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13, 14, 14, 15, 16, 17, 20)
"""With <eos>: the quantiles of Flickr8k's training captions."""
G = TypeVar("G", bound=Generator)


@dataclass(frozen=True)
class Flickr:
    """What people said of Flickr8k's training images."""

    texts: list[list[str]]
    """Tokenized."""
    vocabulary: WordTokenizer
    """Of words that occur five times: 2,540 and the three that are never written."""

    @classmethod
    def of(cls, root: str) -> Flickr:
        texts = [
            ptb_tokenize(list(item.captions)) for item in Flickr8k(root=root, skip_missing=False).split("train").items
        ]
        return cls(texts, WordTokenizer(min_count=5).learn([text for own in texts for text in own]))

    def batches(self, *, images: int, per_image: int, longest: int = 20) -> CaptionBatches:
        encoded = [[self.vocabulary.encode(text, max_length=longest) for text in own] for own in self.texts]
        return CaptionBatches(encoded, images=images, captions_per_image=per_image, seed=0)


def features(images: int, *, grid: bool = False, seed: int = 0) -> ImageFeatures:
    """Return random features: what they say changes no cost."""
    rng = torch.Generator().manual_seed(seed)
    pooled = torch.randn(images, CHANNELS, generator=rng)
    regions = torch.randn(images, REGIONS, CHANNELS, generator=rng) if grid else None
    return ImageFeatures(pooled, regions, rows=torch.arange(images))


def made_up(images: int, per_image: int, *, vocabulary: int, rng: torch.Generator) -> Captions:
    """Return captions of words at random, as long as Flickr8k's."""
    lengths = [LENGTHS[row % len(LENGTHS)] for row in torch.randperm(images * per_image, generator=rng).tolist()]
    ids = [[*torch.randint(4, vocabulary, (length - 1,), generator=rng).tolist(), EOS] for length in lengths]
    return captions_from_ids(ids, [row // per_image for row in range(len(ids))])


def lstm(vocabulary: int) -> LSTMGenerator:
    torch.manual_seed(0)
    return LSTMGenerator(
        vocabulary_size=vocabulary, pooled_size=CHANNELS, hidden=SIZE, embedding=SIZE, dropout=DROPOUT,
        image_as="first_input", noise_size=0, noise_law="normal", generate_unknown=False,
    )  # fmt: skip


def attention_lstm(vocabulary: int) -> AttentionLSTMGenerator:
    torch.manual_seed(0)
    return AttentionLSTMGenerator(
        vocabulary_size=vocabulary, pooled_size=CHANNELS, grid_size=CHANNELS, hidden=SIZE, embedding=SIZE, heads=8,
        dropout=DROPOUT, noise_size=0, noise_law="normal", generate_unknown=False,
    )  # fmt: skip


def ending(generator: G, *, after: float | None) -> G:
    """Let a policy draw all words alike, and `<eos>` after so many words in the mean (None: never)."""
    words = generator.vocabulary_size - generator.first_word - 1
    output = generator.output
    assert isinstance(output, torch.nn.Linear)
    with torch.no_grad():
        output.weight.zero_()
        output.bias.zero_()
        output.bias[EOS - generator.first_word] = -30 if after is None else math.log(words / (after - 1))
    return generator.eval()


def learned(generator: G, flickr: Flickr, *, steps: int = 300) -> G:
    """Let a policy learn Flickr8k's captions (of random features) for an epoch: their lengths, and their phrases."""
    batches = flickr.batches(images=20, per_image=5)
    optimizer = torch.optim.Adam(generator.parameters(), lr=2e-3)
    loss = MaximumLikelihood(label_smoothing=0.0, scheduled_sampling=0.0)
    for step in range(steps):
        batch = batches.at(step)
        seen = features(len(batch.rows), grid=generator.uses_grid, seed=step)
        optimizer.zero_grad(set_to_none=True)
        loss.loss(generator.train(), seen, batch.captions, torch.Generator()).backward()
        torch.nn.utils.clip_grad_norm_(generator.parameters(), 5.0)
        optimizer.step()
    return generator.eval()
