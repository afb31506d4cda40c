"""How many partial captions go on at once."""

from __future__ import annotations

from gan_caption.generators.state import PolicyState

MOST = 1 << 30
"""Bytes that searches and samples take for states and logits at once."""


def rows_at_once(state: PolicyState, *, words: int, memory: int = MOST) -> int:
    """Return how many rows of a state, each with the logits of its next word, take so much memory; at least one.

    Args:
        state: of the policy.
        words: that may be written.
        memory: in bytes.
    """
    return max(memory // (state.row_bytes + 4 * words), 1)
