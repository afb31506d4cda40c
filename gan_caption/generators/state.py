"""Where partial captions stand: the interface of a policy's state, and an implementation that suits most policies.

Shapes: B images, N partial captions of them, T steps.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gan_caption.errors import UserError

if TYPE_CHECKING:
    from typing_extensions import Self


class PolicyState(ABC):
    """The state of N partial captions, a row each, free to be forked, dropped and reordered.

    No method changes the state that it is called on.
    """

    @property
    @abstractmethod
    def images(self) -> Tensor:
        """(N,) long, ascending, 0 to B - 1: the image that each row captions."""

    @property
    @abstractmethod
    def row_bytes(self) -> int:
        """Memory that one more row takes, in bytes; what the rows of an image share is counted where it is copied."""

    @abstractmethod
    def select(self, rows: Tensor) -> Self:
        """Return the state of these rows (indices, (M,) long); a row may come several times.

        The images of the chosen rows must stay ascending.
        """

    @abstractmethod
    def split(self, images: int) -> list[Self]:
        """Return the state of so many images at a time (the last may be of fewer); it must have a row an image."""

    @classmethod
    @abstractmethod
    def stack(cls, states: Sequence[Self]) -> Self:
        """Return T states of the same N rows as one of N * T rows; row n * T + t is row n of state t."""

    def repeat(self, times: int) -> Self:
        """Return the state with every row `times` times, the copies of a row neighbours."""
        return self.select(torch.arange(len(self), device=self.images.device).repeat_interleave(times))

    def named_tensors(self) -> dict[str, Tensor]:
        """Return all that a step reads, by name, where there is a row an image: (B, ...) each. An export needs it.

        Raises:
            UserError: a state of this kind cannot be exported.
        """
        raise UserError(
            f"{type(self).__name__} cannot be exported: give it `named_tensors` and `rebuilt`, as "
            "gan_caption.generators.state.TensorState has them. format=safetensors takes any"
        )

    def rebuilt(self, tensors: Mapping[str, Tensor]) -> Self:
        """Return the state, with a row an image, that `named_tensors` gave these tensors of; of any number of images.

        Raises:
            UserError: a state of this kind cannot be exported.
        """
        del tensors
        self.named_tensors()  # which says why
        raise NotImplementedError(f"{type(self).__name__} has `named_tensors`, and no `rebuilt`")

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class TensorState(PolicyState):
    """A state that consists of tensors: a recurrent network's, or a Transformer's cache of keys and values."""

    own: tuple[Tensor, ...]
    """Each (N, ...): what differs from row to row."""
    shared: tuple[Tensor, ...] = ()
    """Each (B, ...): what the rows of one image share; on a CPU never copied (see `layers.memory_of_rows`)."""
    row_images: Tensor | None = None
    """(N,) long, ascending: the row of `shared` that each row reads; None: there is a row an image."""

    @property
    def images(self) -> Tensor:
        """(N,) long; see `PolicyState.images`."""
        if self.row_images is not None:
            return self.row_images
        return torch.arange(self.own[0].shape[0], device=self.own[0].device)

    @property
    def row_bytes(self) -> int:
        """Memory of a row's own tensors and of what is copied for it, in bytes."""
        return _of_a_row(self.own) + self.copied_bytes

    @property
    def copied_bytes(self) -> int:
        """What a step copies for each row of what images share, in bytes: `memory_of_rows` copies none on a CPU.

        A policy that lays out more for each row may have a `row_bytes` of its own.
        """
        return 0 if self.own[0].device.type == "cpu" else _of_a_row(self.shared)

    def after(self, own: tuple[Tensor, ...], rows: Tensor | None = None) -> Self:
        """Return the state after a step from these rows (None: from each): with tensors of their own, (M, ...) each."""
        images = self.row_images if rows is None else self.images.index_select(0, rows)
        return replace(self, own=own, row_images=images)

    def select(self, rows: Tensor) -> Self:
        """Return the state of these rows; see `PolicyState.select`."""
        return self.after(tuple(tensor.index_select(0, rows) for tensor in self.own), rows)

    def split(self, images: int) -> list[Self]:
        """Return the state of so many images at a time; see `PolicyState.split`."""
        return [
            replace(
                self,
                own=tuple(tensor[first : first + images] for tensor in self.own),
                shared=tuple(tensor[first : first + images] for tensor in self.shared),
                row_images=None,
            )
            for first in range(0, max(len(self), 1), images)
        ]

    @classmethod
    def stack(cls, states: Sequence[Self]) -> Self:
        """Return T states of the same rows as one; see `PolicyState.stack`."""
        first = states[0]
        own = zip(*(state.own for state in states), strict=True)
        return replace(
            first,
            own=tuple(torch.stack(parts, dim=1).flatten(0, 1) for parts in own),
            row_images=first.images.repeat_interleave(len(states)),
        )

    def named_tensors(self) -> dict[str, Tensor]:
        """Return `state_0`, ... of each row's own and `memory_0`, ... of what an image's rows share."""
        named = {f"state_{place}": tensor for place, tensor in enumerate(self.own)}
        return named | {f"memory_{place}": tensor for place, tensor in enumerate(self.shared)}

    def rebuilt(self, tensors: Mapping[str, Tensor]) -> Self:
        """Return the state of these tensors; see `PolicyState.rebuilt`."""
        return replace(
            self,
            own=tuple(tensors[f"state_{place}"] for place in range(len(self.own))),
            shared=tuple(tensors[f"memory_{place}"] for place in range(len(self.shared))),
            row_images=None,
        )


def _of_a_row(tensors: tuple[Tensor, ...]) -> int:
    return sum(tensor.element_size() * tensor.shape[1:].numel() for tensor in tensors)
