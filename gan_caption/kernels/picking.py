"""Drawing words from their probabilities. Shapes: S distributions, N draws, V vocabulary."""

from __future__ import annotations

import torch
from torch import Tensor

from gan_caption.kernels.switch import is_plain

_BLOCK = 64
"""Words whose probabilities are added up before any is looked at."""


def pick(probabilities: Tensor, uniforms: Tensor, rows: Tensor | None = None) -> Tensor:
    """Draw words by inverse CDF. The law is that of `torch.multinomial`, at a fraction of its cost on a CPU.

    Args:
        probabilities: (S, V), not negative; rows need not sum to one.
        uniforms: (N,) in [0, 1).
        rows: (N,) long, the row that each number draws from; None: N is S, and each draws from its own.

    Returns:
        (N,) long; a word of probability zero is never drawn. Of probabilities that are no numbers some word is.
    """
    rows = torch.arange(len(probabilities), device=probabilities.device) if rows is None else rows
    if not is_plain():
        return _by_blocks(probabilities, uniforms, rows)
    own = probabilities.index_select(0, rows)  # (N, V)
    reached = own.cumsum(1)
    place = _first_beyond(reached, uniforms[:, None] * reached[:, -1:])
    return (_last_with_mass(own, place) if own.is_cuda else place)[:, 0]


def _by_blocks(probabilities: Tensor, uniforms: Tensor, rows: Tensor) -> Tensor:
    """Draw first a block of words, then a word of it: the masses of blocks are added up once for all draws."""
    words = probabilities.shape[1]
    whole = words // _BLOCK * _BLOCK
    masses = probabilities[:, :whole].unflatten(1, (whole // _BLOCK, _BLOCK)).sum(2)
    if whole < words:
        masses = torch.cat([masses, probabilities[:, whole:].sum(1, keepdim=True)], dim=1)
    reached = masses.cumsum(1).index_select(0, rows)  # (N, blocks)
    threshold = uniforms[:, None] * reached[:, -1:]
    block = _first_beyond(reached, threshold)
    if block.is_cuda:
        block = _last_with_mass(masses.index_select(0, rows), block)
    before = reached.gather(1, (block - 1).clamp(min=0)) * (block > 0)
    inside = block * _BLOCK + torch.arange(_BLOCK, device=rows.device)  # (N, _BLOCK)
    places = rows[:, None] * words + inside.clamp(max=words - 1)
    own = probabilities.flatten().index_select(0, places.flatten()).view(places.shape).masked_fill(inside >= words, 0)
    place = _first_beyond(own.cumsum(1), threshold - before)
    if place.is_cuda:
        place = _last_with_mass(own, place)
    return (block * _BLOCK + place).clamp(max=words - 1)[:, 0]


def _first_beyond(cumulative: Tensor, threshold: Tensor) -> Tensor:
    """Return the first place (N, 1) at which cumulative masses (N, C) exceed a threshold (N, 1): its own is above 0."""
    places = torch.searchsorted(cumulative, threshold, right=True)
    # Rounding may put the threshold on the total itself; the place that reaches it is then the answer.
    last = torch.searchsorted(cumulative, cumulative[:, -1:].contiguous())
    return torch.minimum(places, last).clamp(max=cumulative.shape[1] - 1)  # of NaN both lie beyond the end


def _last_with_mass(masses: Tensor, places: Tensor) -> Tensor:
    """Return the places (N, 1) or, where the mass (N, C) of one is 0, that before it with some.

    A GPU adds up neighbours along different trees, so that a sum may rise by a rounding error over a mass of 0; a CPU
    adds up in a row, and needs none of this.
    """
    order = torch.arange(masses.shape[1], device=masses.device)
    return torch.where(masses > 0, order, 0).cummax(1).values.gather(1, places)
