"""Convolutions over the words of a caption (Kim 2014, arXiv 1408.5882), with a highway layer (Srivastava et al. 2015).

A window counts where all of it is words; a filter that is wider than the caption answers 0.

Shapes: N captions, T steps, R rows of a table, E embedding, F filters a width, W widths, S = F * W the
sentence vector's length, or the sum of all widths' filters.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from gan_caption.errors import share
from gan_caption.kernels.dropout import Dropout
from gan_caption.kernels.products import Linear, linear


class SentenceCNN(nn.Module):
    """Convolutions of several widths, the maximum over time, a highway layer (arXiv 1505.00387)."""

    def __init__(self, *, embedding: int, filters: int | list[int], widths: list[int], dropout: float) -> None:
        """Build the layers.

        Args:
            embedding: E, at least 1.
            filters: F, filters of each width, or a list with a number for each; at least 1.
            widths: W numbers, each at least 1: the words under each kind of filter.
            dropout: probability in [0, 1), on the word vectors and the sentence vector.
        """
        super().__init__()
        share(dropout=dropout)
        if not widths or min(widths) < 1:
            raise ValueError(f"widths={widths}: at least one, and a filter covers at least one word")
        counts = filters if isinstance(filters, list) else [filters] * len(widths)
        if len(counts) != len(widths) or min(counts) < 1:
            raise ValueError(f"filters={filters}: at least 1, or a list with as many numbers as widths={widths}")
        self.size = sum(counts)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(embedding, count, width) for count, width in zip(counts, widths, strict=True)
        )
        self.carry = Linear(self.size, self.size)
        self.transform = Linear(self.size, self.size)
        self.dropout = Dropout(dropout)
        self.widest = max(widths)

    def read(self, words: Tensor, mask: Tensor) -> Tensor:
        """Return sentence vectors (N, S) of word vectors (N, T, E); mask (N, T): which of them are words."""
        words = self.dropout(words).masked_fill(~mask[..., None], 0)  # past the end nothing matters, not even NaN
        missing = max(0, self.widest - mask.shape[1])
        words, mask = functional.pad(words.transpose(1, 2), (0, missing)), functional.pad(mask, (0, missing))
        maxima = []
        for convolution in self.convolutions:
            answers = convolution(words)  # (N, F, T - width + 1)
            last = mask.shape[1] - answers.shape[2]  # a window is whole where its last place is a word
            outside = torch.zeros_like(mask[:, None, last:], dtype=answers.dtype)
            outside.masked_fill_(~mask[:, None, last:], -torch.inf)
            maxima.append((answers + outside).max(2).values)
        return self._highway(functional.relu(torch.cat(maxima, dim=1)))  # it keeps the order: after the maximum

    def fast_read(self, table: Tensor, rows: Tensor, mask: Tensor) -> Tensor:
        """Return sentence vectors (N, S) of words whose vectors are rows (N, T) of a table (R, E), without dropout.

        What a row adds at each place of a filter is multiplied once, wherever it stands; a window is a sum of these.
        """
        missing = max(0, self.widest - mask.shape[1])
        rows, mask = functional.pad(rows.masked_fill(~mask, 0), (0, missing)), functional.pad(mask, (0, missing))
        maxima = []
        for convolution in self.convolutions:
            assert isinstance(convolution, nn.Conv1d)
            width = convolution.weight.shape[2]
            weight = convolution.weight.permute(2, 0, 1).flatten(0, 1)  # (width * F, E)
            parts = linear(table, weight).unflatten(1, (width, -1)).transpose(0, 1).flatten(0, 1)  # (width * R, F)
            places = torch.arange(width, device=rows.device) * len(table)
            windows = rows.unfold(1, width, 1) + places  # (N, T - width + 1, width)
            sums = functional.embedding_bag(windows.reshape(-1, width), parts, mode="sum").unflatten(
                0, windows.shape[:2]
            )
            sums = functional.relu(sums + convolution.bias).masked_fill(~mask[:, width - 1 :, None], 0)
            maxima.append(sums.amax(1))
        return self._highway(torch.cat(maxima, dim=1))

    def _highway(self, sentence: Tensor) -> Tensor:
        carry = torch.sigmoid(self.carry(sentence))
        vectors: Tensor = self.dropout(carry * functional.relu(self.transform(sentence)) + (1 - carry) * sentence)
        return vectors
