"""The Transformer of PyTorch's own layers, without a cache."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from experiments.speed.textbook_search import search
from gan_caption.data.features import ImageFeatures
from gan_caption.generators.transformer import TransformerGenerator


class Textbook:
    """`nn.TransformerDecoder`'s layers with the weights of ours; every word reads all words before it anew."""

    def __init__(self, generator: TransformerGenerator, *, norm_first: bool = True) -> None:
        self.generator, self.size = generator, generator.words.embedding_dim
        self.encoder = [_encoder_layer(own, self.size, norm_first) for own in generator.encoder]
        self.decoder = [_decoder_layer(own, self.size, norm_first) for own in generator.decoder]

    def see(self, image: ImageFeatures) -> Tensor:
        """Return what is read of one image, (1, R, H)."""
        assert image.grid is not None
        count = image.grid.shape[1] if image.regions is None else int(image.regions[0])
        grid = self.generator.normalise(image.grid[0, :count])
        pooled = self.generator.image.project(self.generator.image.normalise(image.pooled[0]))
        regions = (self.generator.regions(grid) + pooled)[None]
        for layer in self.encoder:
            regions = layer(regions)
        return regions

    def logits(self, regions: Tensor, tokens: Tensor) -> Tensor:
        """Return logits (N, T, W) after each token of N captions of one image, (N, T)."""
        places = torch.tensor([place(at, self.size) for at in range(tokens.shape[1])])
        words = self.generator.words.weight[tokens] + places
        causal = nn.Transformer.generate_square_subsequent_mask(tokens.shape[1])
        for own, layer in zip(self.generator.decoder, self.decoder, strict=True):
            image: Any = own.image
            seen = image.normalise(regions).expand(len(tokens), -1, -1)
            words = layer(words, seen, tgt_mask=causal)
        logits: Tensor = self.generator.output(self.generator.last(words))
        return logits

    @torch.no_grad()
    def decode(self, images: ImageFeatures, *, beams: int, length: int, penalty: float) -> list[list[int]]:
        """Return the best caption of every image, one image at a time."""
        seen = (self.see(images.select(torch.tensor([row]))) for row in range(len(images)))
        return [search(partial(self._next, own), beams=beams, length=length, penalty=penalty) for own in seen]

    def _next(self, regions: Tensor, beams: list[list[int]], parents: Tensor) -> Tensor:
        return self.logits(regions, torch.tensor(beams))[:, -1].log_softmax(1)


def place(position: int, size: int) -> list[float]:
    """Return the sines and cosines of a position (Vaswani et al. 2017, arXiv 1706.03762, 3.5), the sines first."""
    angles = [position / 10000 ** (2 * index / size) for index in range(size // 2)]
    return [math.sin(angle) for angle in angles] + [math.cos(angle) for angle in angles]


def _encoder_layer(own: Any, hidden: int, first: bool) -> nn.TransformerEncoderLayer:
    theirs = nn.TransformerEncoderLayer(hidden, own.heads, 4 * hidden, 0.0, batch_first=True, norm_first=first).eval()
    theirs.self_attn.in_proj_weight.data, theirs.self_attn.in_proj_bias.data = own.project.weight, own.project.bias
    _take(theirs, linear1=own.network[0], linear2=own.network[2], norm1=own.first.normalise, norm2=own.second.normalise)
    theirs.self_attn.out_proj.load_state_dict(own.merge.state_dict())
    return theirs


def _decoder_layer(own: Any, hidden: int, first: bool) -> nn.TransformerDecoderLayer:
    heads = own.image.heads
    theirs = nn.TransformerDecoderLayer(hidden, heads, 4 * hidden, 0.0, batch_first=True, norm_first=first).eval()
    theirs.self_attn.in_proj_weight.data, theirs.self_attn.in_proj_bias.data = own.project.weight, own.project.bias
    theirs.self_attn.out_proj.load_state_dict(own.merge.state_dict())
    _attend(theirs.multihead_attn, own.image.query, own.image.keys, own.image.values)
    theirs.multihead_attn.out_proj.load_state_dict(own.answer.state_dict())
    _take(
        theirs, linear1=own.network[0], linear2=own.network[2], norm1=own.first.normalise, norm2=own.second.normalise,
        norm3=own.third.normalise,
    )  # fmt: skip
    return theirs


def _take(theirs: nn.Module, **weights: Any) -> None:
    for name, own in weights.items():
        theirs.get_submodule(name).load_state_dict(own.state_dict())


def _attend(theirs: nn.MultiheadAttention, query: Any, key: Any, value: Any) -> None:
    theirs.in_proj_weight.data = torch.cat([own.weight for own in (query, key, value)])
    no_bias = torch.zeros(len(key.weight))
    theirs.in_proj_bias.data = torch.cat([no_bias if own.bias is None else own.bias for own in (query, key, value)])
