"""The arithmetic of an LSTM on a CPU; what it computes is told in `recurrent`, beside the plain twins.

Shapes: N captions, M tokens in all, H hidden.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gan_caption.kernels.products import linear, rounded

_EXACT = (torch.float32, torch.float64)
"""Types in which 2 sigmoid(2 x) - 1 has the digits of tanh x; those of bfloat16 near 1 lie 1/128 apart."""


def fused_step(
    gates: Tensor, weight: Tensor, state: tuple[Tensor, Tensor] | None, rows: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return hidden state and cell, (N, H) each, after one step.

    Args:
        gates: (N, 4 H) what the inputs add.
        weight: (4 H, H), from the hidden state to the gates.
        state: hidden state and cell before the step; None for zeros.
        rows: (N,) long: the row of the state that each goes on from; None: the state has N rows, one for each.
    """
    if state is None:
        inputs, _, new, output = gates.chunk(4, dim=1)
        cell = torch.sigmoid(inputs) * _tanh(new)
        return torch.sigmoid(output) * _tanh(cell), cell
    hidden, cell = state
    if rows is None:
        sums = linear(hidden, weight)
    else:
        sums, cell = _shared(hidden, weight, rows), cell.index_select(0, rows)
    if torch.is_grad_enabled():
        inputs, forget, new, output = (gates + sums).chunk(4, dim=1)
        cell = torch.addcmul(torch.sigmoid(inputs) * _tanh(new), torch.sigmoid(forget), cell)
        return torch.sigmoid(output) * _tanh(cell), cell
    inputs, forget, new, output = _squash_(sums.add_(gates))
    cell = torch.mul(forget, cell).addcmul_(inputs, new)
    return _tanh(cell).mul_(output), cell


def _shared(inputs: Tensor, weight: Tensor, rows: Tensor) -> Tensor:
    """Return the products of these rows of the inputs, made once for all that are the same."""
    if inputs.device.type == "cpu":  # another device would have to wait for their number
        used, places = rows.unique(return_inverse=True)
        if len(used) < 0.9 * len(rows):  # a tenth of the products costs as much as copying all of them
            return linear(inputs.index_select(0, used), weight).index_select(0, places)
    return linear(inputs.index_select(0, rows), weight)


class PackedLSTM(torch.autograd.Function):
    """An LSTM over packed steps, each with as many rows as captions go on.

    PyTorch's own for a CPU takes whole rectangles; it would read four tokens of padding for every six of a caption.
    """

    @staticmethod
    def forward(ctx: Any, gates: Tensor, weight: Tensor, hidden: Tensor, cell: Tensor, counts: Sequence[int]) -> Tensor:
        """Return the outputs (M, H).

        Args:
            ctx: keeps what `backward` needs.
            gates: (M, 4 H), as `input_gates` makes them.
            weight: (4 H, H), from the hidden state to the gates.
            hidden: (N, H) before the first step.
            cell: (N, H) before the first step.
            counts: rows of each step, never more than in the step before.
        """
        size = hidden.shape[1]
        gates = gates.clone()
        cells, squashed, outputs = (gates.new_empty(len(gates), size) for _ in range(3))
        ctx.save_for_backward(gates, weight, hidden, cell, cells, squashed, outputs)
        ctx.counts = counts
        end = 0
        for count in counts:
            rows = slice(end, end + count)
            inputs, forget, new, output = _squash_(gates[rows].add_(linear(hidden[:count], weight)))
            cell = torch.mul(forget, cell[:count], out=cells[rows]).addcmul_(inputs, new)
            squashed[rows] = _tanh(cell)
            hidden = torch.mul(output, squashed[rows], out=outputs[rows])
            end += count
        return outputs

    @staticmethod
    def backward(ctx: Any, slopes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, None]:
        """Return the gradients of all but the counts, by the chain rule backwards in time.

        Raises:
            RuntimeError: the gradients are to be differentiated themselves: `once_differentiable` would leave out,
                without a word, what goes through here to other tensors than the penalty's own.
        """
        if torch.is_grad_enabled():
            raise RuntimeError("second derivatives: compute the first ones within gan_caption.kernels.plain()")
        gates, weight, hidden, cell, cells, squashed, outputs = ctx.saved_tensors
        size = hidden.shape[1]
        by_sigmoid, by_tanh = torch.ops.aten.sigmoid_backward, torch.ops.aten.tanh_backward
        transposed = weight.T.contiguous()
        filled = rounded(len(gates))  # which adds zeros to the products below, and keeps their sizes few
        at_gates = gates.new_zeros(filled, 4 * size)
        before = gates.new_zeros(filled, size)  # the hidden state that each row began with
        at_hidden, at_cell = hidden.new_zeros(0, size), hidden.new_zeros(0, size)
        end = len(gates)
        for place in reversed(range(len(ctx.counts))):
            count, after = ctx.counts[place], len(at_hidden)
            rows = slice(end - count, end)
            earlier = slice(end - count - ctx.counts[place - 1], end - count) if place else None
            old_hidden, old_cell = (hidden, cell) if earlier is None else (outputs[earlier], cells[earlier])
            before[rows] = old_hidden[:count]
            inputs, forget, new, output = gates[rows].chunk(4, dim=1)
            slope = slopes[rows].clone()
            slope[:after] += at_hidden
            kept = by_tanh(slope * output, squashed[rows])
            kept[:after] += at_cell
            to_inputs, to_forget, to_new, to_output = at_gates[rows].chunk(4, dim=1)
            to_inputs.copy_(by_sigmoid(kept * new, inputs))
            to_forget.copy_(by_sigmoid(kept * old_cell[:count], forget))
            to_new.copy_(by_tanh(kept * inputs, new))
            to_output.copy_(by_sigmoid(slope * squashed[rows], output))
            at_hidden, at_cell = linear(at_gates[rows], transposed), kept * forget
            end -= count
        return at_gates[: len(gates)], linear(at_gates.T, before.T), at_hidden, at_cell, None


def _squash_(sums: Tensor) -> tuple[Tensor, ...]:
    """Make gates of the sums at them (N, 4 H), in place: input, forget, new, output, (N, H) each."""
    inputs, forget, new, output = sums.chunk(4, dim=1)
    sums[:, : 2 * inputs.shape[1]].sigmoid_()
    if _by_sigmoid(sums):
        new.mul_(2).sigmoid_().mul_(2).sub_(1)  # see `_tanh`
    else:
        new.tanh_()
    output.sigmoid_()
    return inputs, forget, new, output


def _tanh(values: Tensor) -> Tensor:
    """Return tanh to 10^-7 in float32; on a CPU, `torch.tanh` takes five times as long."""
    return torch.sigmoid(2 * values).mul(2).sub(1) if _by_sigmoid(values) else torch.tanh(values)


def _by_sigmoid(values: Tensor) -> bool:
    """Tell whether tanh is sooner had by way of the sigmoid, and exact enough."""
    return values.dtype in _EXACT and values.device.type == "cpu"
