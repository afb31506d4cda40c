"""The state of an LSTM that writes captions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from gan_caption.generators.state import TensorState
from gan_caption.kernels.word_gates import KnownWords


@dataclass(frozen=True)
class RecurrentState(TensorState):
    """Hidden states and cells, (N, H) each, and what is known of words beforehand."""

    known: KnownWords | None = None
    """What words add at the gates; shared by all that goes on from one start."""

    def rebuilt(self, tensors: Mapping[str, Tensor]) -> RecurrentState:
        """Return the state of these tensors; see `PolicyState.rebuilt`."""
        return replace(super().rebuilt(tensors), known=None)
