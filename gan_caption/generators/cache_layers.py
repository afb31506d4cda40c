"""The cache that a language model of `transformers` is handed: keys and values that lie elsewhere, layer after layer.

Shapes: N rows, T vectors read at once, C read before them, A heads of keys and values, W the keys and values of a layer
side by side.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer

Before = Callable[[int], Tensor]
"""Of a layer, counted from 0: keys and values (N, C, W) of what was read before."""


class CacheLayer(DynamicLayer):
    """Looks up what was read before when it is asked: one layer's copy is there at a time. Keeps what is new."""

    def __init__(self, layer: int, before: Before | None, count: int) -> None:
        """Begin; `count` is C, 0 without `before`."""
        super().__init__()
        self.layer, self.before, self.count = layer, before, count

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Take new keys and values, (N, A, T, W / A / 2) each, and return all of them, (N, A, C + T, W / A / 2)."""
        self.own = torch.cat([part.transpose(1, 2).flatten(2) for part in (key_states, value_states)], 2)
        if self.before is None:
            return key_states, value_states
        heads = key_states.shape[1]
        keys, values = (half.unflatten(2, (heads, -1)).transpose(1, 2) for half in self.before(self.layer).chunk(2, 2))
        return torch.cat([keys, key_states], 2), torch.cat([values, value_states], 2)

    def get_seq_length(self) -> int:
        """Return C, also once the layer has read."""
        return self.count


def cache_of(before: Before | None, count: int, *, layers: int) -> Cache:
    """Return a cache for one pass."""
    return Cache(layers=[CacheLayer(layer, before, count) for layer in range(layers)])


def new(cache: Cache) -> list[Tensor]:
    """Return what a pass has read: of each layer the keys and values (N, T, W)."""
    return [layer.own for layer in cache.layers if isinstance(layer, CacheLayer)]
