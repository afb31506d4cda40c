"""The cache of keys and values of a Transformer that writes captions: captions share what they have in common.

What was read is kept once, a slot a word, and a row is the path of slots from its first word to its last. To fork,
reorder or drop captions is to choose among paths: no key or value is copied for it, and rollouts go on from a prefix
that all of them share. Room for the whole path is known from the start, so that an export has a cache of a fixed size.

Shapes: B images, N partial captions of them, C columns of their paths, S slots, L the most words that are read, H
hidden, Y layers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from gan_caption.data.captions import Captions
from gan_caption.generators.state import TensorState


@dataclass(frozen=True)
class KeyValueState(TensorState):
    """`own` is the paths alone, (N, C) long: slots in the order they were read, -1 in columns of other rows' words."""

    slots: tuple[Tensor, ...] = ()
    """(S, 2 H) for each layer: keys and values side by side. A word that was read keeps its slot for good."""
    room: int = 0
    """L: `<bos>` and the longest caption."""

    @property
    def row_bytes(self) -> int:
        """Memory that a row may come to take by its last word, in bytes; see `PolicyState.row_bytes`."""
        slots = sum(layer.element_size() * layer.shape[1] for layer in self.slots)
        return self.room * (slots + self.own[0].element_size()) + self.copied_bytes

    @property
    def positions(self) -> Tensor:
        """(N,) long: how many words each row has read."""
        return (self.own[0] >= 0).sum(1)

    def paths(self, rows: Tensor | None = None) -> Tensor:
        """Return the paths (N, C + 1) that end with a new slot each, which go on from these rows (None: from each)."""
        before = self.own[0] if rows is None else self.own[0].index_select(0, rows)
        fresh = torch.arange(before.shape[0], device=before.device) + self.slots[0].shape[0]
        return torch.cat([before, fresh[:, None]], dim=1)

    def of_prefixes(self, captions: Captions, slots: Sequence[Tensor]) -> KeyValueState:
        """Return the state after each prefix of captions that were read in one pass from this one, of N * T rows.

        Args:
            captions: N of T tokens.
            slots: of each layer the keys and values (N, T + 1, 2 H) of `<bos>` and the tokens, which prefixes share.
        """
        count, length = captions.tokens.shape
        device = captions.tokens.device
        places = torch.arange(length + 1, device=device)
        first = torch.arange(count, device=device)[:, None, None] * (length + 1)
        paths = torch.where(places <= places[1:, None], first + places, -1).flatten(0, 1)  # (N * T, T + 1)
        own = tuple(layer.flatten(0, 1) for layer in slots)
        return replace(self, own=(paths,), slots=own, row_images=captions.images.repeat_interleave(length))

    @classmethod
    def stack(cls, states: Sequence[KeyValueState]) -> KeyValueState:
        """Return T states of the same rows as one; see `PolicyState.stack`."""
        widest = max(state.own[0].shape[1] for state in states)
        paths, count = [], 0
        for state in states:
            own = torch.where(state.own[0] < 0, -1, state.own[0] + count)
            paths.append(functional.pad(own, (0, widest - own.shape[1]), value=-1))
            count += state.slots[0].shape[0]
        slots = tuple(torch.cat(layer) for layer in zip(*(state.slots for state in states), strict=True))
        together = replace(states[0], own=(torch.stack(paths, dim=1).flatten(0, 1),), slots=slots)
        return replace(together, row_images=states[0].images.repeat_interleave(len(states)))

    def named_tensors(self) -> dict[str, Tensor]:
        """Return `state_0`, the cache (B, L, Y, 2 H), `state_1`, the words read (B,), and `memory_0`, ... of the image.

        The words of a row come first, in their order; what follows them is of no meaning.
        """
        paths = self.own[0]
        found = torch.stack([functional.embedding(paths.clamp(min=0), layer) for layer in self.slots], dim=2)
        read = paths >= 0
        place = torch.where(read, read.cumsum(1) - 1, self.room)  # what is not read goes to a place beyond the last
        cache = found.new_zeros(paths.shape[0], self.room + 1, *found.shape[2:])
        cache = cache.scatter(1, place[:, :, None, None].expand_as(found), found)[:, :-1]
        named = {"state_0": cache, "state_1": self.positions}
        return named | {f"memory_{place}": tensor for place, tensor in enumerate(self.shared)}

    def rebuilt(self, tensors: Mapping[str, Tensor]) -> KeyValueState:
        """Return the state of these tensors; see `PolicyState.rebuilt`."""
        cache, positions = tensors["state_0"], tensors["state_1"]
        places = torch.arange(self.room, device=cache.device)
        first = torch.arange(cache.shape[0], device=cache.device) * self.room
        return replace(
            self,
            own=(torch.where(places < positions[:, None], first[:, None] + places, -1),),
            shared=tuple(tensors[f"memory_{place}"] for place in range(len(self.shared))),
            row_images=None,
            slots=tuple(layer.flatten(0, 1) for layer in cache.unbind(2)),
        )
