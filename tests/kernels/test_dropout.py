from __future__ import annotations

import contextlib

import pytest
import torch

from gan_caption.kernels import plain
from gan_caption.kernels.dropout import Dropout

WAYS = pytest.mark.parametrize("way", [contextlib.nullcontext, plain], ids=["fast", "plain"])


@WAYS
@pytest.mark.parametrize("p", [0.1, 0.25, 0.5, 0.9])
def test_dropout_drops_its_share_and_keeps_the_mean(p, way):
    torch.manual_seed(0)
    count = 1_000_003  # not a multiple of four
    with way():
        values = Dropout(p)(torch.ones(count))
    dropped = (values == 0).double()
    error = (p * (1 - p) / count) ** 0.5
    assert abs(dropped.mean().item() - p) < 4 * error
    assert values.unique().tolist() == pytest.approx([0, 1 / (1 - p)], rel=1e-4)
    assert abs(values.double().mean().item() - 1) < 4 * error / (1 - p)
    # Neighbours come from the same draw of 64 bits, and know nothing of each other.
    for apart in (1, 2, 3, 4):
        both = (dropped[:-apart] * dropped[apart:]).mean().item()
        assert abs(both - p * p) < 5 * (p * p * (1 - p * p) / count) ** 0.5 + 1e-4


@WAYS
def test_dropout_passes_gradients_where_it_passed_values(way):
    torch.manual_seed(0)
    inputs = torch.rand(30, 20).add(1).requires_grad_()
    with way():
        values = Dropout(0.5)(inputs)
    values.sum().backward()
    torch.testing.assert_close(inputs.grad * inputs.detach(), values.detach())


def test_dropout_is_a_function_of_the_seed_and_silent_in_eval_mode():
    layer, inputs = Dropout(0.5), torch.rand(100)
    torch.manual_seed(3)
    once = layer(inputs)
    torch.manual_seed(3)
    assert torch.equal(layer(inputs), once)
    assert torch.equal(layer.eval()(inputs), inputs)
    assert torch.equal(Dropout(0.0)(inputs), inputs)
    assert (Dropout(1.0)(inputs) == 0).all()
