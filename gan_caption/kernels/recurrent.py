"""LSTMs over captions of different lengths (Hochreiter and Schmidhuber 1997, with forget gates).

Shapes: N captions, M tokens in all, T steps, E inputs, H hidden. Packed tensors hold the captions' own tokens alone,
caption after caption; nothing is spent on padding.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gan_caption.kernels.fused_lstm import PackedLSTM, fused_step
from gan_caption.kernels.products import linear
from gan_caption.kernels.switch import is_plain

State = tuple[Tensor, Tensor]
"""Hidden state and cell, both (N, H); the hidden state is the output."""


def input_gates(lstm: nn.LSTM, inputs: Tensor) -> Tensor:
    """Return what inputs (..., E) add to the sums at an LSTM's gates, biases included: (..., 4 H)."""
    from_input, _, *biases = lstm.all_weights[0]
    return linear(inputs, from_input, biases[0] + biases[1])


def step(lstm: nn.LSTM, gates: Tensor, state: State | None = None, rows: Tensor | None = None) -> State:
    """Return an LSTM's state after one step, as `nn.LSTMCell` would.

    Calling the LSTM itself for one step would have its weights laid out anew each time.

    Args:
        lstm: of one layer.
        gates: (N, 4 H), as `input_gates` makes them.
        state: before the step; None for zeros.
        rows: (N,) long: the row of the state that each goes on from; None: the state has N rows, one for each.
    """
    weight = lstm.all_weights[0][1]
    if not is_plain():
        return fused_step(gates, weight, state, rows)
    if state is None:
        state = (gates.new_zeros(gates.shape[0], weight.shape[1]),) * 2
    hidden, cell = state if rows is None else (part.index_select(0, rows) for part in state)
    inputs, forget, new, output = (gates + linear(hidden, weight)).chunk(4, dim=1)
    cell = torch.sigmoid(forget) * cell + torch.sigmoid(inputs) * torch.tanh(new)
    return torch.sigmoid(output) * torch.tanh(cell), cell


def read(lstm: nn.LSTM, inputs: Tensor, lengths: Tensor, start: State | None = None) -> Tensor:
    """Return an LSTM's outputs at every token, as `nn.LSTM` has them of each caption alone.

    Args:
        lstm: of one layer, `batch_first`.
        inputs: (M, E) packed.
        lengths: (N,) long, at least 1, M in all.
        start: before the first token; None for zeros.

    Returns:
        (M, H) packed.
    """
    if len(lengths) == 0:
        return inputs.new_zeros(0, lstm.hidden_size)
    layout = lengths.cpu()  # all that follows from it is known without asking another device again
    order = layout.argsort(descending=True, stable=True)
    steps = torch.arange(int(layout[order[0]]))[:, None]
    first = (layout.cumsum(0) - layout)[order]
    going = layout[order] > steps  # (T, N)
    places = (first + steps)[going]  # (M,): step after step, the longest captions first
    order, places = (index.to(inputs.device, non_blocking=True) for index in (order, places))
    if start is None:
        start = (inputs.new_zeros(len(lengths), lstm.hidden_size),) * 2
    hidden, cell = start[0].index_select(0, order), start[1].index_select(0, order)
    words = inputs.index_select(0, places)
    if is_plain():
        packed = nn.utils.rnn.PackedSequence(words, going.sum(1))
        outputs = lstm(packed, (hidden[None], cell[None]))[0].data
    elif inputs.device.type != "cpu" or torch.is_autocast_enabled("cpu"):  # PyTorch has kernels of its own
        outputs = pytorch_lstm(lstm, words, going.sum(1), hidden, cell)
    else:
        counts = going.sum(1).tolist()
        outputs = PackedLSTM.apply(input_gates(lstm, words), lstm.all_weights[0][1], hidden, cell, counts)
    unpacked: Tensor = outputs.index_select(0, places.argsort())
    return unpacked


def pytorch_lstm(lstm: nn.LSTM, words: Tensor, counts: Tensor, hidden: Tensor, cell: Tensor) -> Tensor:
    """Return the outputs (M, H) of PyTorch's own kernel, which can be differentiated in eval mode as well.

    cuDNN keeps what the gradient needs only where it is told that it trains. The module tells it so in train mode
    alone, and policies learn in eval mode, without dropout. With one layer nothing else depends on it.

    Args:
        lstm: of one layer.
        words: (M, E), step after step, the longest captions first.
        counts: (T,) long, on the host: how many captions each step has.
        hidden: (N, H), before the first step.
        cell: (N, H), likewise.
    """
    outputs: Tensor = torch._VF.lstm(
        words, counts, (hidden[None], cell[None]), [*lstm.all_weights[0]], True, 1, 0.0, torch.is_grad_enabled(), False
    )[0]
    return outputs
