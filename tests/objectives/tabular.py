"""The enumerated world's policy that can be any distribution: a logit for each word after each prefix of each image."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gan_caption.data.captions import EOS, Captions, captions_from_ids
from gan_caption.data.features import ImageFeatures
from gan_caption.generators.base import Generator
from gan_caption.generators.state import TensorState
from tests import tiny

IMAGES = 2
PREFIXES = 7  # nothing, two words, four pairs of them


def features() -> ImageFeatures:
    """Of two images, each told by its place."""
    return ImageFeatures(torch.eye(IMAGES))


class TabularGenerator(Generator[TensorState]):
    def __init__(self, *, seed: int, spread: float = 1.0) -> None:
        super().__init__(vocabulary_size=tiny.VOCABULARY)
        rng = torch.Generator().manual_seed(seed)
        self.table = nn.Parameter(spread * torch.randn(IMAGES, PREFIXES, 3, generator=rng))
        self.eval()

    def start(self, features: ImageFeatures, max_length: int) -> TensorState:
        image = features.pooled.argmax(1)
        return TensorState((image, torch.full_like(image, -1)))

    def step(self, tokens: Tensor, state: TensorState, rows: Tensor | None = None) -> tuple[Tensor, TensorState]:
        image, prefix = state.own if rows is None else (own[rows] for own in state.own)
        after = torch.where(prefix < 0, 0, 2 * prefix + tokens - EOS).clamp(0, PREFIXES - 1)
        return self.table[image, after], state.after((image, after), rows)

    def logits(self, features: ImageFeatures, captions: Captions) -> Tensor:
        state = self.start(features, captions.tokens.shape[1]).select(captions.images)
        packed = []
        for tokens in captions.inputs.unbind(1):
            logits, state = self.step(tokens, state)
            packed.append(logits)
        return torch.stack(packed, dim=1)[captions.mask]


def probabilities(generator: Generator) -> Tensor:
    """p of every caption there is, (images, captions), with gradients; rows sum to 1."""
    return torch.stack([
        generator.score(features(), tiny.captions_of(image)).sum(1).exp() for image in range(IMAGES)
    ])  # fmt: skip


def drawn(distribution: Tensor, *, each: int, rng: torch.Generator) -> Captions:
    """So many captions of each image, drawn from what `probabilities` gave."""
    chosen = torch.multinomial(distribution.detach(), each, replacement=True, generator=rng)
    texts = tiny.all_captions()
    images = [image for image in range(IMAGES) for _ in range(each)]
    return captions_from_ids([texts[place] for row in chosen.tolist() for place in row], images)


def told_of(table: Tensor, captions: Captions) -> Tensor:
    """Return what a table of every caption there is, (images, captions) as `probabilities`, says of these (N,)."""
    texts = tiny.all_captions()
    of_each = zip(captions.tokens.tolist(), captions.lengths.tolist(), captions.images.tolist(), strict=True)
    return torch.stack([table[image, texts.index(tokens[:length])] for tokens, length, image in of_each])


def policy_of(distribution: Tensor) -> TabularGenerator:
    """The policy that draws captions from a distribution as `probabilities` gives them."""
    generator, texts = TabularGenerator(seed=0), tiny.all_captions()
    masses = torch.zeros_like(generator.table)
    for place, text in enumerate(texts):
        prefix = 0
        for token in text:
            masses[:, prefix, token - EOS] += distribution[:, place]
            prefix = 2 * prefix + token - EOS
    with torch.no_grad():
        generator.table.copy_(masses.log())
    return generator
