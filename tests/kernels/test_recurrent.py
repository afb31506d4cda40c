from __future__ import annotations

import contextlib

import pytest
import torch
from torch import nn

from gan_caption.kernels import plain
from gan_caption.kernels.recurrent import input_gates, pytorch_lstm, read, step

LENGTHS = torch.tensor([3, 1, 4, 4, 2, 1])
WAYS = [contextlib.nullcontext, plain]


def world(*, start: bool, kind=torch.float64):
    torch.manual_seed(0)
    lstm = nn.LSTM(6, 5, batch_first=True).to(kind)
    inputs = torch.randn(int(LENGTHS.sum()), 6, dtype=kind, requires_grad=True)
    state = tuple(torch.randn(len(LENGTHS), 5, dtype=kind, requires_grad=True) for _ in range(2)) if start else None
    return lstm, inputs, state


def one_by_one(lstm, inputs, state):
    """PyTorch's LSTM over each caption alone: no padding, no packing."""
    outputs, begin = [], 0
    for row, length in enumerate(LENGTHS.tolist()):
        own = None if state is None else tuple(part[None, row : row + 1] for part in state)
        outputs.append(lstm(inputs[None, begin : begin + length], own)[0][0])
        begin += length
    return torch.cat(outputs)


@pytest.mark.parametrize("way", WAYS, ids=["fast", "plain"])
@pytest.mark.parametrize("start", [True, False])
def test_captions_read_together_are_read_as_each_alone(start, way):
    lstm, inputs, state = world(start=start)
    leaves = [inputs, *lstm.parameters(), *(state or ())]
    with way():
        found = read(lstm, inputs, LENGTHS, state)
        truth = one_by_one(lstm, inputs, state)
        torch.testing.assert_close(found, truth)
        slope = torch.randn_like(truth)
        pairs = zip(torch.autograd.grad(found, leaves, slope), torch.autograd.grad(truth, leaves, slope), strict=True)
        for own, other in pairs:
            torch.testing.assert_close(own, other)


def test_second_derivatives_are_refused_where_they_would_be_wrong():
    """Of a gradient's square; what would go through the kernel would be missing from that by the weights."""
    lstm, inputs, _ = world(start=False)
    (slope,) = torch.autograd.grad(read(lstm, inputs, LENGTHS).square().sum(), inputs)
    with pytest.raises(RuntimeError, match=r"second derivatives: .* within gan_caption\.kernels\.plain\(\)"):
        torch.autograd.grad(read(lstm, inputs, LENGTHS).square().sum(), inputs, create_graph=True)
    with plain():
        (same,) = torch.autograd.grad(read(lstm, inputs, LENGTHS).square().sum(), inputs, create_graph=True)
        torch.testing.assert_close(same, slope)
        (second,) = torch.autograd.grad(same.square().sum(), lstm.weight_ih_l0)
    assert second.any()


def test_gradients_are_finite_differences():
    lstm, inputs, state = world(start=True)
    assert torch.autograd.gradcheck(lambda x, h, c: read(lstm, x, LENGTHS, (h, c)), (inputs, *state))
    names = [f"lstm.{name}" for name, _ in lstm.named_parameters()]
    weights = [weight.detach().requires_grad_() for weight in lstm.parameters()]

    def by_weights(*own):
        return torch.func.functional_call(Reading(lstm), dict(zip(names, own, strict=True)), (inputs,))

    assert torch.autograd.gradcheck(by_weights, weights)


@pytest.mark.parametrize("learns", [True, False])
def test_a_step_in_bfloat16_rounds_no_worse_than_pytorchs(learns):
    """Gates near 0, where 2 sigmoid(2 x) - 1 would have lost what bfloat16 keeps of tanh x."""
    torch.manual_seed(0)
    lstm = nn.LSTM(6, 64).double()
    words = torch.randn(50, 6, dtype=torch.float64) / 30
    state = tuple(torch.randn(50, 64, dtype=torch.float64) / 30 for _ in range(2))
    exact = step(lstm, input_gates(lstm, words), state)
    errors = {}
    for way in WAYS:
        with way(), torch.set_grad_enabled(learns):
            low = lstm.bfloat16()
            found = step(low, input_gates(low, words.bfloat16()), tuple(part.bfloat16() for part in state))
        errors[way] = [(one - other).abs().mean().item() for one, other in zip(found, exact, strict=True)]
        lstm.double()
    fast, plainly = (errors[way] for way in WAYS)
    assert all(one < 1.2 * other for one, other in zip(fast, plainly, strict=True)), errors


class Reading(nn.Module):
    def __init__(self, lstm):
        super().__init__()
        self.lstm = lstm

    def forward(self, inputs):
        return read(self.lstm, inputs, LENGTHS)


@pytest.mark.parametrize("way", WAYS, ids=["fast", "plain"])
def test_a_step_is_pytorchs(way):
    lstm, inputs, state = world(start=True)
    words = inputs[: len(LENGTHS)]
    for own in (state, None):
        with way():
            found = step(lstm, input_gates(lstm, words), own)
        _, truth = lstm(words[:, None], None if own is None else tuple(part[None] for part in own))
        for one, other in zip(found, truth, strict=True):
            torch.testing.assert_close(one, other[0])


@pytest.mark.parametrize("gradients", [True, False])
@pytest.mark.parametrize("rows", [[5, 2, 2], [0, 0, 1, 2, 3, 4, 5, 5, 5], [0, 1, 2, 3, 4, 5]])
@pytest.mark.parametrize("way", WAYS, ids=["fast", "plain"])
def test_steps_that_go_on_from_the_same_row(rows, gradients, way):
    lstm, inputs, state = world(start=True)
    rows = torch.tensor(rows)
    words = inputs[: len(rows)]
    before = [part.clone() for part in state]
    with torch.set_grad_enabled(gradients), way():
        gates = input_gates(lstm, words)
        given = gates.clone()
        found = step(lstm, gates, state, rows)
    _, truth = lstm(words[:, None], tuple(part[None, rows] for part in state))
    for one, other in zip(found, truth, strict=True):
        torch.testing.assert_close(one, other[0].detach() if not gradients else other[0])
    for kept, was in zip((gates, *state), (given, *before), strict=True):
        assert torch.equal(kept, was)


def test_pytorchs_kernel_is_the_module():
    """What is called on a GPU, beside the module's own call in train mode; here the module is in eval mode."""
    lstm, inputs, state = world(start=True)
    leaves = [inputs, *state, *lstm.parameters()]
    counts = torch.tensor([6, 5, 3, 1])
    truth = lstm(nn.utils.rnn.PackedSequence(inputs, counts), tuple(part[None] for part in state))[0].data
    found = pytorch_lstm(lstm.eval(), inputs, counts, *state)
    assert torch.equal(found, truth)
    slope = torch.randn_like(truth)
    pairs = zip(torch.autograd.grad(found, leaves, slope), torch.autograd.grad(truth, leaves, slope), strict=True)
    for own, other in pairs:
        assert torch.equal(own, other)


def test_single_precision_through_onednn():
    """With 64 captions of 64 numbers every product is oneDNN's."""
    torch.manual_seed(0)
    lstm = nn.LSTM(128, 128, batch_first=True)
    lengths = torch.randint(1, 9, (64,))
    inputs = torch.randn(int(lengths.sum()), 128, requires_grad=True)
    found = read(lstm, inputs, lengths)
    with plain():
        truth = read(lstm, inputs, lengths)
        torch.testing.assert_close(found, truth, rtol=1e-4, atol=1e-5)
        leaves = [inputs, *lstm.parameters()]
        slope = torch.randn_like(truth)
        wanted = torch.autograd.grad(truth, leaves, slope)
    for own, other in zip(torch.autograd.grad(found, leaves, slope), wanted, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-3, atol=1e-3)


def test_no_captions():
    lstm, _, _ = world(start=False)
    assert read(lstm, torch.empty(0, 6, dtype=torch.float64), torch.empty(0, dtype=torch.long)).shape == (0, 5)


def test_gradients_of_a_step_are_those_of_its_plain_twin():
    lstm, inputs, state = world(start=True)
    leaves = [inputs, *state, *list(lstm.parameters())]
    rows = torch.tensor([0, 0, 2, 3, 3, 5, 5])
    found, wanted = [], []
    for way, gradients in zip(WAYS, (found, wanted), strict=True):
        with way():
            hidden, cell = step(lstm, input_gates(lstm, inputs[:7]), state, rows)
            gradients += torch.autograd.grad((hidden * cell.cos()).sum(), leaves)
    for own, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(own, other)
