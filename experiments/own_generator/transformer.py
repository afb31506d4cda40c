"""A Transformer (Vaswani et al. 2017, arXiv 1706.03762) that captions images: an example of a generator of your own.

The image is the first position, `<bos>` the second. A state holds what each layer knows of the positions that were
read, in a cache that is made once for the longest caption, and for each row how many these are: rows that were forked
after prefixes of different lengths go on side by side.

Shapes: B images, N captions, M tokens in all, T steps, L positions, V vocabulary, P pooled, H hidden, A layers.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.generators.base import Generator
from gan_caption.generators.state import TensorState


class TransformerGenerator(Generator[TensorState]):
    """Self-attention over the image vector and the words before."""

    def __init__(
        self, *, vocabulary_size: int, pooled_size: int, hidden: int, layers: int, heads: int, dropout: float
    ) -> None:
        super().__init__(vocabulary_size=vocabulary_size)
        self.image = nn.Sequential(nn.LayerNorm(pooled_size), nn.Linear(pooled_size, hidden))
        self.words = nn.Embedding(vocabulary_size, hidden)
        self.layers = nn.ModuleList(Layer(hidden, heads, dropout) for _ in range(layers))
        self.output = nn.Sequential(nn.LayerNorm(hidden), nn.Linear(hidden, vocabulary_size - self.first_word))
        self.dropout = nn.Dropout(dropout)

    def start(self, features: ImageFeatures, max_length: int) -> TensorState:
        image = self.image(features.pooled)  # (B, H)
        # Room for the image, `<bos>` and the words: keys and values side by side.
        cache = image.new_zeros(image.shape[0], len(self.layers), max_length + 2, 2 * image.shape[1])
        position = torch.zeros(image.shape[0], dtype=torch.long, device=image.device)
        return self._read(image, TensorState((cache, position)))[1]

    def step(self, tokens: Tensor, state: TensorState, rows: Tensor | None = None) -> tuple[Tensor, TensorState]:
        words = tokens @ self.words.weight if tokens.is_floating_point() else self.words(tokens)
        read, state = self._read(words, state if rows is None else state.select(rows))
        return self.output(read), state

    def logits(self, features: ImageFeatures, captions: Captions) -> Tensor:
        image = self.image(features.pooled)[captions.images]
        inputs = torch.cat([image[:, None], self.words(captions.inputs)], dim=1)  # (N, 1 + T, H)
        steps = torch.arange(inputs.shape[1], device=inputs.device)
        inputs = self.dropout(inputs + places(steps, inputs.shape[2]))
        for layer in self.layers:
            inputs, _ = layer(inputs, steps <= steps[:, None])
        return self.output(inputs[:, 1:][captions.mask])  # (M, W)

    def _read(self, inputs: Tensor, state: TensorState) -> tuple[Tensor, TensorState]:
        """Read one position (N, H) more: what is known after it (N, H), and the state."""
        cache, position = state.own
        inputs = self.dropout(inputs + places(position, inputs.shape[1]))[:, None]
        steps = torch.arange(cache.shape[2], device=cache.device)
        here, known = steps == position[:, None], steps <= position[:, None]  # (N, L)
        kept = []
        for layer, own in zip(self.layers, cache.unbind(1), strict=True):
            inputs, own = layer(inputs, known[:, None, None], own, here[..., None])
            kept.append(own)
        return inputs[:, 0], state.after((torch.stack(kept, dim=1), position + 1))


class Layer(nn.Module):
    """Self-attention and a network for each position, both normalised first (Xiong et al. 2020, arXiv 2002.04745)."""

    def __init__(self, hidden: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.normalise, self.normalise_again = nn.LayerNorm(hidden), nn.LayerNorm(hidden)
        self.project, self.merge = nn.Linear(hidden, 3 * hidden), nn.Linear(hidden, hidden)
        self.network = nn.Sequential(nn.Linear(hidden, 4 * hidden), nn.GELU(), nn.Linear(4 * hidden, hidden))
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, inputs: Tensor, mask: Tensor, cache: Tensor | None = None, here: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Map inputs (N, T, H) to outputs (N, T, H), and tell the keys and values (N, L, 2 H) that were attended to.

        Without a cache these are the inputs' own; with one, the input's (T is 1) is written where `here` (N, L, 1) is.
        """
        query, known = self.project(self.normalise(inputs)).tensor_split([inputs.shape[2]], dim=2)
        if cache is not None and here is not None:
            known = torch.where(here, known, cache)  # a new cache: the state before stays as it is
        query, keys, values = (
            part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in (query, *known.chunk(2, dim=2))
        )
        context = functional.scaled_dot_product_attention(query, keys, values, mask)
        inputs = inputs + self.dropout(self.merge(context.transpose(1, 2).flatten(2)))
        return inputs + self.dropout(self.network(self.normalise_again(inputs))), known


def places(positions: Tensor, size: int) -> Tensor:
    """Return the sines and cosines (..., H) that tell positions (...) apart, for captions of any length."""
    rates = torch.exp(torch.arange(0, size, 2, device=positions.device) * (-math.log(10000.0) / size))
    angles = positions[..., None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=-1)
