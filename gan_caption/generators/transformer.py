"""A Transformer (Vaswani et al. 2017, arXiv 1706.03762) that reads an image's regions and writes captions.

An encoder lets the regions see each other; a causal decoder reads the words and looks at the regions in every layer.
Keys and values are projected once, those of regions for an image, those of a word for the layer that has read it (see
`key_values`): a step is a product a layer over all rows.

Departures: the image vector, and the noise beside it, is added to every region; regions have no position, for a
detector's have no order; word vectors are N(0, 1), as large as the places' sines, and the output has weights of its
own; each attention to the image normalises the regions it reads (`GridAttention`).

Shapes: B images, N captions, M tokens in all, T steps, C columns of a cache, R regions, V vocabulary, P pooled, D grid
channels, Z noise, H hidden.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from gan_caption.data.captions import PAD, Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.errors import at_least, share
from gan_caption.generators.base import Generator, NoiseLaw
from gan_caption.generators.key_values import KeyValueState
from gan_caption.kernels.dropout import Dropout
from gan_caption.kernels.products import Linear
from gan_caption.kernels.word_gates import word_vectors
from gan_caption.layers import ByImage, GridAttention, ImageVector, memory_of_rows, normal_grid

Norm = Literal["before", "after"]
"""Where layers are normalised: before each sublayer (Xiong et al. 2020, arXiv 2002.04745), or after it, as in 2017."""

LookBack = Callable[[Tensor, Tensor], Tensor]
"""From queries (M, H) and the same words' keys and values (M, 2 H) to contexts (M, H); called layer after layer."""


class TransformerGenerator(Generator[KeyValueState]):
    """Regions -> encoder; words -> (self-attention, attention to the regions, network) x layers -> words."""

    uses_grid = True

    def __init__(
        self,
        *,
        vocabulary_size: int,
        pooled_size: int,
        grid_size: int,
        hidden: int,
        encoder_layers: int,
        layers: int,
        heads: int,
        norm: Norm,
        dropout: float,
        noise_size: int,
        noise_law: NoiseLaw,
        generate_unknown: bool,
    ) -> None:
        """Build the layers.

        Args:
            vocabulary_size: V, special tokens included.
            pooled_size: P, length of the image vector.
            grid_size: D, channels of the grid.
            hidden: H, even, a multiple of `heads`; the networks inside have four times as many units.
            encoder_layers: of the regions, at least 0.
            layers: of the words, at least 1.
            heads: of each attention, at least 1.
            norm: where layers are normalised.
            dropout: probability in [0, 1), on words, regions and the output of every sublayer.
            noise_size: Z, at least 0; the noise vector is appended to the image vector, and 0 is none.
            noise_law: how its numbers are drawn.
            generate_unknown: whether `<unk>` may be written.
        """
        super().__init__(
            vocabulary_size=vocabulary_size, noise_size=noise_size, noise_law=noise_law,
            generate_unknown=generate_unknown,
        )  # fmt: skip
        at_least(1, hidden=hidden, layers=layers, heads=heads)
        at_least(0, encoder_layers=encoder_layers)
        share(dropout=dropout)
        if hidden % 2 or hidden % heads:
            raise ValueError(f"hidden={hidden}: it must be even, and a multiple of heads={heads}")
        self.heads = heads
        self.normalise = nn.LayerNorm(grid_size)
        self.regions = Linear(grid_size, hidden)
        self.image = ImageVector(inputs=pooled_size, noise=noise_size, outputs=hidden)
        self.encoder = nn.ModuleList(EncoderLayer(hidden, heads, norm, dropout) for _ in range(encoder_layers))
        self.words = nn.Embedding(vocabulary_size, hidden)
        self.decoder = nn.ModuleList(DecoderLayer(hidden, heads, norm, dropout) for _ in range(layers))
        self.last = nn.LayerNorm(hidden) if norm == "before" else nn.Identity()
        self.dropout = Dropout(dropout)
        self.output = Linear(hidden, vocabulary_size - self.first_word)

    def start(self, features: ImageFeatures, max_length: int) -> KeyValueState:
        """Read the image: one row an image, an empty cache, and room for `<bos>` and `max_length` words."""
        memory = self._see(features)
        paths = torch.zeros(memory[-1].shape[0], 0, dtype=torch.long, device=memory[-1].device)
        empty = memory[0].new_zeros(0, 2 * self.words.embedding_dim)
        return KeyValueState((paths,), memory, slots=(empty,) * len(self.decoder), room=max_length + 1)

    def step(self, tokens: Tensor, state: KeyValueState, rows: Tensor | None = None) -> tuple[Tensor, KeyValueState]:
        """Read one token a row; see `Generator.step`."""
        paths = state.paths(rows)
        slots: list[Tensor] = []
        known = (paths >= 0)[:, None, None]  # (N, 1, 1, C)

        def look_back(query: Tensor, word: Tensor) -> Tensor:
            slots.append(torch.cat([state.slots[len(slots)], word]))
            words = functional.embedding(paths.clamp(min=0), slots[-1])  # (N, C, 2 H)
            return attend(query[:, None], words, heads=self.heads, mask=known)[:, 0]

        after = state.after((paths,), rows)
        inputs = self._placed(word_vectors(self.words, tokens), after.positions - 1)
        outputs, _ = self._decode(inputs, look_back, *memory_of_rows(state.shared, after.row_images))
        logits: Tensor = self.output(outputs)
        return logits, replace(after, slots=tuple(slots))

    def logits(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Score all tokens in one pass; see `Generator.logits`."""
        packed: Tensor = self.output(self._read(captions, self._see(features)).outputs)
        return packed

    def after_each_prefix(self, captions: Captions, state: KeyValueState) -> tuple[Tensor, KeyValueState]:
        """Read captions in one pass, whose cache their prefixes share; see `Generator.after_each_prefix`."""
        whole = Captions(functional.pad(captions.tokens, (0, 1), value=PAD), captions.lengths + 1, captions.images)
        read = self._read(whole, state.shared)
        logits = whole.unpacked(self.output(read.outputs))[:, 1:].flatten(0, 1)
        return logits, state.of_prefixes(captions, [whole.unpacked(words) for words in read.words])

    def attention_weights(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Return the attention maps, the mean over layers and heads; see `Generator.attention_weights`."""
        memory, images = self._see(features), captions.token_images
        asked = self._read(captions, memory).asked
        maps = [
            layer.image.weights(queries[:, None], own, images)[:, 0]
            for layer, own, queries in zip(self._layers, _by_layer(memory), asked, strict=True)
        ]
        return captions.unpacked(torch.stack(maps).mean(0))

    def warm_start_weights(self) -> dict[str, Tensor]:
        """Return the word vectors; see `Generator.warm_start_weights`."""
        return {"words.weight": self.words.weight.detach()}

    @property
    def _layers(self) -> list[DecoderLayer]:
        return [layer for layer in self.decoder if isinstance(layer, DecoderLayer)]

    def _see(self, features: ImageFeatures) -> tuple[Tensor, ...]:
        """Return what the decoder reads of images: keys and values of each layer in turn, and the regions' mask."""
        grid, mask = normal_grid(features, self.normalise)
        regions = self.dropout(self.regions(grid) + self.image(features)[:, None])  # (B, R, H)
        for layer in self.encoder:
            regions = layer(regions, mask)
        seen = replace(features, grid=regions)
        return (*(part for layer in self._layers for part in layer.image.memory(seen)[:2]), mask)

    def _read(self, captions: Captions, memory: tuple[Tensor, ...]) -> Read:
        """Read the captions' inputs in one pass."""
        words: list[Tensor] = []

        def look_back(query: Tensor, word: Tensor) -> Tensor:
            words.append(word)
            return captions.packed(attend(captions.unpacked(query), captions.unpacked(word), heads=self.heads))

        places = captions.places % captions.tokens.shape[1]
        inputs = self._placed(self.words(captions.packed(captions.inputs)), places)
        outputs, asked = self._decode(inputs, look_back, memory, captions.token_images)
        return Read(outputs, words, asked)

    def _decode(
        self, inputs: Tensor, look_back: LookBack, memory: tuple[Tensor, ...], images: Tensor | None
    ) -> tuple[Tensor, list[Tensor]]:
        """Return what the decoder makes of inputs (M, H), and what each layer asks of the image, (M, H) each."""
        asked = []
        layout = None if images is None else ByImage.of(images)  # the same for all layers
        for layer, own in zip(self._layers, _by_layer(memory), strict=True):
            inputs, queries = layer(inputs, look_back, own, layout)
            asked.append(queries)
        return self.last(inputs), asked

    def _placed(self, words: Tensor, places: Tensor) -> Tensor:
        """Return word vectors (M, H) that know their places (M,), counted from 0."""
        placed: Tensor = self.dropout(words + sines(places, words.shape[1]))
        return placed


class Read(NamedTuple):
    """What a teacher-forced pass has read."""

    outputs: Tensor
    """(M, H)."""
    words: list[Tensor]
    """(M, 2 H) of each layer: keys and values."""
    asked: list[Tensor]
    """(M, H) of each layer: what it asks of the image."""


class EncoderLayer(nn.Module):
    """Self-attention and a network for each region."""

    def __init__(self, hidden: int, heads: int, norm: Norm, dropout: float) -> None:
        """Map (B, R, hidden) to the same; see `TransformerGenerator`."""
        super().__init__()
        self.heads = heads
        self.first, self.second = (RESIDUAL[norm](hidden, dropout) for _ in range(2))
        self.project, self.merge = Linear(hidden, 3 * hidden), Linear(hidden, hidden)
        self.network = network(hidden)

    def forward(self, regions: Tensor, mask: Tensor) -> Tensor:
        """Map regions (B, R, H), of which the mask (B, R) tells the real ones."""
        query, own = halves(self.project(self.first.given(regions)))
        seen = attend(query, own, heads=self.heads, mask=mask[:, None, None])
        regions = self.first.merged(regions, self.merge(seen))
        return self.second.merged(regions, self.network(self.second.given(regions)))


class DecoderLayer(nn.Module):
    """Self-attention over the words before, attention to the image, and a network for each word."""

    def __init__(self, hidden: int, heads: int, norm: Norm, dropout: float) -> None:
        """Map (M, hidden) to the same; see `TransformerGenerator`."""
        super().__init__()
        self.first, self.second, self.third = (RESIDUAL[norm](hidden, dropout) for _ in range(3))
        self.project, self.merge = Linear(hidden, 3 * hidden), Linear(hidden, hidden)
        self.image = GridAttention(grid=hidden, query=hidden, hidden=hidden, heads=heads)
        self.answer = Linear(hidden, hidden)
        self.network = network(hidden)

    def forward(
        self, inputs: Tensor, look_back: LookBack, memory: tuple[Tensor, ...], layout: ByImage | None
    ) -> tuple[Tensor, Tensor]:
        """Read words.

        Args:
            inputs: (M, H).
            look_back: attends from queries (M, H) to the words before each and itself, given these words' own keys and
                values (M, 2 H): to contexts (M, H).
            memory: of the image; see `GridAttention.memory`.
            layout: of the words, by the image that each looks at; None: there is a word an image.

        Returns:
            outputs (M, H), and what was asked of the image (M, H).
        """
        inputs = self.first.merged(inputs, self.merge(look_back(*halves(self.project(self.first.given(inputs))))))
        asked = self.second.given(inputs)
        inputs = self.second.merged(inputs, self.answer(self.image(asked[:, None], memory, layout)[:, 0]))
        return self.third.merged(inputs, self.network(self.third.given(inputs))), asked


class NormBefore(nn.Module):
    """What a sublayer is given is normalised, and what it adds is not."""

    def __init__(self, hidden: int, dropout: float) -> None:
        """Normalise vectors of so many numbers."""
        super().__init__()
        self.normalise, self.dropout = nn.LayerNorm(hidden), Dropout(dropout)

    def given(self, inputs: Tensor) -> Tensor:
        """Return what the sublayer reads."""
        read: Tensor = self.normalise(inputs)
        return read

    def merged(self, inputs: Tensor, outputs: Tensor) -> Tensor:
        """Return the inputs and what the sublayer adds to them."""
        merged: Tensor = inputs + self.dropout(outputs)
        return merged


class NormAfter(NormBefore):
    """What a sublayer adds is normalised, together with what it was given."""

    def given(self, inputs: Tensor) -> Tensor:
        """Return what the sublayer reads."""
        return inputs

    def merged(self, inputs: Tensor, outputs: Tensor) -> Tensor:
        """Return the inputs and what the sublayer adds to them, normalised."""
        merged: Tensor = self.normalise(super().merged(inputs, outputs))
        return merged


RESIDUAL: dict[Norm, type[NormBefore]] = {"before": NormBefore, "after": NormAfter}


def network(hidden: int) -> nn.Sequential:
    """Return the network of a position: four times as many units, rectified."""
    return nn.Sequential(Linear(hidden, 4 * hidden), nn.ReLU(), Linear(4 * hidden, hidden))


def halves(projected: Tensor) -> tuple[Tensor, Tensor]:
    """Return queries (..., H), and keys and values side by side (..., 2 H)."""
    size = projected.shape[-1] // 3
    query, own = projected.tensor_split([size], dim=-1)
    return query, own


def attend(queries: Tensor, known: Tensor, *, heads: int, mask: Tensor | None = None) -> Tensor:
    """Attend by scaled dot products.

    Args:
        queries: (N, T, H).
        known: (N, C, 2 H): keys and values.
        heads: a divisor of H.
        mask: (N, 1, 1, C), what may be attended to; None: of as many queries each sees itself and those before it.

    Returns:
        (N, T, H).
    """
    query, keys, values = (part.unflatten(2, (heads, -1)).transpose(1, 2) for part in (queries, *known.chunk(2, dim=2)))
    contexts = functional.scaled_dot_product_attention(query, keys, values, mask, is_causal=mask is None)
    return contexts.transpose(1, 2).flatten(2)


def sines(places: Tensor, size: int) -> Tensor:
    """Return the sines and cosines (..., size) that tell places (...) apart (Vaswani et al. 2017, section 3.5)."""
    rates = torch.exp(torch.arange(0, size, 2, device=places.device) * (-math.log(10000.0) / size))
    angles = places[..., None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def _by_layer(memory: tuple[Tensor, ...]) -> list[tuple[Tensor, ...]]:
    """Return keys, values and mask of each decoder layer."""
    *parts, mask = memory
    return [(keys, values, mask) for keys, values in zip(parts[::2], parts[1::2], strict=True)]
