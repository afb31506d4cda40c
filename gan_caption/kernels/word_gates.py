"""What words add at an LSTM's gates: of each word once, where many are read.

Shapes: N rows, V vocabulary, E embedding, H hidden.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gan_caption.kernels.recurrent import input_gates
from gan_caption.kernels.switch import is_plain

_FEWEST = 4
"""Rows; the product of fewer costs nothing, and has its last digits from another order of sums."""


def word_gates(
    lstm: nn.LSTM, words: nn.Embedding, tokens: Tensor, *, dropout: nn.Module, known: KnownWords | None = None
) -> Tensor:
    """Return what tokens add to the sums at an LSTM's gates, (N, 4 H).

    Args:
        lstm: of one layer.
        words: the word vectors (V, E).
        tokens: (N,) long; or weights (N, V) over the words, which pass gradients.
        dropout: of the word vectors.
        known: from the start of these captions, where it may be used.
    """
    looks_up = not (is_plain() or torch.is_grad_enabled() or dropout.training or tokens.is_floating_point())
    if known is not None and looks_up:
        table = known.table(lstm, words, len(tokens))
        if table is not None:
            return table.index_select(0, tokens)
    return input_gates(lstm, dropout(word_vectors(words, tokens)))


def word_vectors(words: nn.Embedding, tokens: Tensor) -> Tensor:
    """Return the vectors (..., E) of word ids (...), or of weights (..., V) over the words, which pass gradients."""
    if not tokens.is_floating_point():
        vectors: Tensor = words(tokens)
        return vectors
    plain = type(words) is nn.Embedding  # those of some language models are scaled as they are looked up
    return tokens @ (words.weight if plain else words(torch.arange(tokens.shape[-1], device=tokens.device)))


class KnownWords:
    """The table (V, 4 H) of what each word adds, which all that goes on from one start shares; made once it pays.

    The weights must stay as they are for as long as it is used.
    """

    def __init__(self, *, steps: int) -> None:
        """Begin with nothing.

        Args:
            steps: of the longest caption.
        """
        self.steps = steps
        self._read = 0
        self._table: Tensor | None = None

    def table(self, lstm: nn.LSTM, words: nn.Embedding, rows: int) -> Tensor | None:
        """Return the table, or None where the product of this step's rows costs less."""
        if rows < _FEWEST:
            return None
        if self._table is None:
            if self._read + rows * self.steps <= 2 * words.num_embeddings:  # what is likely to be read in all
                self._read += rows
                return None
            self._table = input_gates(lstm, words.weight)
        return self._table
