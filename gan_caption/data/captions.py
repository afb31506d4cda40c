"""Captions as tensors. Shapes: N captions, M tokens in all, T time steps, B images.

Real and generated captions have exactly the same form: words, then `<eos>`, then `<pad>`; `<bos>` is never
stored. A caption that was cut at the longest allowed length has no `<eos>`, whoever wrote it. A discriminator
can therefore tell them apart only by what they say. With subwords there is one thing more: people's captions are
always split as the tokenizer splits, and a policy may write the same text in other pieces, which `retokenized` hides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TypeVar

import torch
from torch import Tensor, nn

from gan_caption.text.special import BOS, EOS, PAD, UNK

__all__ = [
    "BOS",
    "EOS",
    "PAD",
    "UNK",
    "Captions",
    "SoftCaptions",
    "captions_from_ids",
    "captions_from_tokens",
    "stacked",
]

Own = TypeVar("Own", bound="Captions")


@dataclass(frozen=True)
class Captions:
    """N captions of B images; the captions of one image are neighbours."""

    tokens: Tensor
    """(N, T) long: words, `<eos>`, `<pad>`."""
    lengths: Tensor
    """(N,) long, 1 to T: the tokens before the padding, `<eos>` counted."""
    images: Tensor
    """(N,) long, ascending, 0 to B-1: the row of the image features that each caption belongs to."""

    def __len__(self) -> int:
        return self.tokens.shape[0]

    @property
    def mask(self) -> Tensor:
        """(N, T) bool: True on every token that is not padding."""
        steps = torch.arange(self.tokens.shape[1], device=self.tokens.device)
        return steps < self.lengths[:, None]

    @property
    def shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """(N,) and (N, T): the shapes of one number a caption, and of one a token."""
        return tuple(self.lengths.shape), tuple(self.tokens.shape)

    @property
    def inputs(self) -> Tensor:
        """(N, T) long: `<bos>` and the tokens but the last, what a teacher-forced generator reads."""
        return torch.nn.functional.pad(self.tokens[:, :-1], (1, 0), value=BOS)

    @cached_property
    def places(self) -> Tensor:
        """(M,) long, ascending: the places of the tokens in (N * T,), padding left out.

        A device that computes beside the host is asked for them once, and not wherever the mask is an index.
        """
        return self.mask.flatten().nonzero()[:, 0]

    @property
    def token_images(self) -> Tensor:
        """(M,) long, ascending: the image of each token."""
        return self.images.index_select(0, self.places // self.tokens.shape[1])

    def packed(self, values: Tensor) -> Tensor:
        """Keep what belongs to the M tokens, caption after caption: (N, T, ...) to (M, ...)."""
        return values.flatten(0, 1).index_select(0, self.places)

    def unpacked(self, values: Tensor) -> Tensor:
        """Lay out what belongs to the M tokens: (M, ...) to (N, T, ...), zeros on padding."""
        laid_out = values.new_zeros(self.tokens.numel(), *values.shape[1:]).index_copy(0, self.places, values)
        return laid_out.unflatten(0, self.tokens.shape)

    def vectors(self, table: nn.Embedding) -> Tensor:
        """Return the tokens' vectors (N, T, E) in a table of V."""
        vectors: Tensor = table(self.tokens)
        return vectors

    def select(self: Own, rows: Tensor) -> Own:
        """Return the captions of these rows (indices or a mask), still belonging to the same images."""
        return self._map(lambda part: part[rows])

    def chunks(self: Own, size: int | list[int]) -> list[Own]:
        """Return the captions in order, in parts of at most `size` rows, or of these sizes, which add up to N."""
        own = zip(*(getattr(self, part.name).split(size) for part in fields(self)), strict=True)
        return [type(self)(*parts) for parts in own]

    def to(self: Own, device: torch.device) -> Own:
        """Return the captions on another device."""
        sent = self.tokens.device.type == "cpu"  # a copy that comes back has to be waited for
        return self._map(lambda part: part.to(device, non_blocking=sent))

    def _map(self: Own, change: Callable[[Tensor], Tensor]) -> Own:
        """Return the captions with every tensor changed alike."""
        return type(self)(*(change(getattr(self, part.name)) for part in fields(self)))


@dataclass(frozen=True)
class SoftCaptions(Captions):
    """Captions whose every token is a point among the words, so that gradients pass through it."""

    weights: Tensor
    """(N, T, V): not negative, each row's sum 1; 0 on padding. `tokens` are the words nearest to them."""

    def vectors(self, table: nn.Embedding) -> Tensor:
        """Return the weighted vectors (N, T, E)."""
        return self.weights @ table.weight


def stacked(parts: Sequence[Captions], *, images: int) -> Captions:
    """Put captions of the same images under one another, as those of as many images again.

    Args:
        parts: at least one; N and T need not be the same for all.
        images: B; the captions of part i belong to rows i * B and on.
    """
    longest = max(part.tokens.shape[1] for part in parts)
    wide = [torch.nn.functional.pad(part.tokens, (0, longest - part.tokens.shape[1]), value=PAD) for part in parts]
    owners = [part.images + place * images for place, part in enumerate(parts)]
    return Captions(torch.cat(wide), torch.cat([part.lengths for part in parts]), torch.cat(owners))


def captions_from_ids(ids: Sequence[Sequence[int]], images: Sequence[int]) -> Captions:
    """Pad lists of token ids (as `Tokenizer.encode` gives them) to one tensor.

    Args:
        ids: N lists, none empty; N may be 0.
        images: N row numbers, ascending.
    """
    lengths = torch.tensor([len(caption) for caption in ids], dtype=torch.long)
    tokens = torch.full((len(ids), max(map(len, ids), default=1)), PAD, dtype=torch.long)
    for row, caption in enumerate(ids):
        tokens[row, : len(caption)] = torch.tensor(caption, dtype=torch.long)
    return Captions(tokens, lengths, torch.tensor(images, dtype=torch.long))


def captions_from_tokens(tokens: Tensor, images: Tensor) -> Captions:
    """Give sampled tokens (N, T) their lengths: up to the first `<eos>`, or T; what follows becomes `<pad>`."""
    ended = (tokens == EOS).long().cumsum(1) - (tokens == EOS).long() > 0
    lengths = (~ended).sum(1)
    longest = int(lengths.max()) if len(lengths) else tokens.shape[1]
    return Captions(tokens.masked_fill(ended, PAD)[:, :longest], lengths, images)
