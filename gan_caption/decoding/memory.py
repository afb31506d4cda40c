"""How many partial captions go on at once."""

from __future__ import annotations

import torch

from gan_caption.generators.base import Generator
from gan_caption.generators.parts import MOST
from gan_caption.generators.state import PolicyState

_CACHED = 1 << 26
"""Bytes within which rows of a small policy run fastest on a CPU (`experiments/speed/policies`)."""


def rollout_memory(generator: Generator, device: torch.device) -> int:
    """Return the bytes that states and logits of rollouts take at once where they run fastest.

    A CPU is fastest with what its cache holds, but a step reads the policy's weights once for all rows: these are worth
    as many rows as take as much. On other devices a step costs its launches.
    """
    if device.type != "cpu":
        return MOST
    weights = sum(weight.numel() * weight.element_size() for weight in generator.weights())
    return min(max(weights, _CACHED), MOST)


def rows_at_once(state: PolicyState, *, words: int, memory: int = MOST) -> int:
    """Return how many rows of a state, each with the logits of its next word, take so much memory; at least one.

    Args:
        state: of the policy.
        words: that may be written.
        memory: in bytes.
    """
    return max(memory // (state.row_bytes + 4 * words), 1)
