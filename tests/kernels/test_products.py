from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from gan_caption.kernels import plain, products
from gan_caption.kernels.products import _WORTH_IT, Linear, linear


def wide(*, inputs=(4, 16), size=96, outputs=256, bias=True, seed=0):
    """Large enough for oneDNN."""
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(*inputs, size, generator=rng)
    assert x.numel() * outputs >= _WORTH_IT
    weight = torch.randn(outputs, size, generator=rng)
    return x, weight, torch.randn(outputs, generator=rng) if bias else None


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("inputs", [(64,), (4, 16)])
def test_product_and_gradients_are_those_of_double_precision(inputs, bias):
    x, weight, add = wide(inputs=inputs, bias=bias)
    leaves = [tensor.requires_grad_() for tensor in (x, weight, add) if tensor is not None]
    exact = [leaf.detach().double().requires_grad_() for leaf in leaves]
    truth = exact[0] @ exact[1].T + (exact[2] if bias else 0)
    slope = torch.randn(truth.shape, generator=torch.Generator().manual_seed(1))
    product = linear(*leaves)
    torch.testing.assert_close(product.double(), truth, rtol=1e-5, atol=1e-4)
    with torch.no_grad():
        torch.testing.assert_close(linear(*leaves).double(), truth, rtol=1e-5, atol=1e-4)
    found = torch.autograd.grad(product, leaves, slope)
    wanted = torch.autograd.grad(truth, exact, slope.double())
    for own, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(own.double(), other, rtol=1e-5, atol=1e-4)


def test_gradients_of_weights_alone():
    """The features of a frozen encoder want none."""
    x, weight, bias = wide()
    linear(x, weight.requires_grad_(), bias).sum().backward()
    torch.testing.assert_close(weight.grad, x.flatten(0, 1).sum(0).expand_as(weight), rtol=1e-5, atol=1e-4)


def test_columns_that_are_not_neighbours_in_memory():
    x, weight, bias = wide(inputs=(64,))
    with torch.no_grad():
        found = linear(x.T.contiguous().T, weight.T.contiguous().T, bias)
    exact = x.double() @ weight.double().T + bias.double()
    torch.testing.assert_close(found, exact.float(), rtol=1e-4, atol=1e-4)


def test_second_derivatives_are_had_of_pytorch():
    x, weight, bias = wide()
    x.requires_grad_(), weight.requires_grad_()
    with plain():
        (slope,) = torch.autograd.grad(linear(x, weight, bias).square().sum(), x, create_graph=True)
        (second,) = torch.autograd.grad(slope.sum(), weight)
    assert torch.isfinite(second).all()
    assert second.abs().sum() > 0


@pytest.mark.parametrize("kind", [torch.float64, torch.bfloat16])
def test_other_precisions_stay_what_they_are(kind):
    x, weight, bias = (tensor.to(kind) for tensor in wide())
    assert torch.equal(linear(x, weight, bias), torch.nn.functional.linear(x, weight, bias))


def test_autocast_is_heeded():
    x, weight, bias = wide()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert linear(x, weight, bias).dtype == torch.bfloat16


def test_a_layer_has_the_weights_of_pytorchs():
    torch.manual_seed(0)
    ours = Linear(96, 256)
    theirs = torch.nn.Linear(96, 256)
    theirs.load_state_dict(ours.state_dict())
    x, _, _ = wide()
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-5, atol=1e-5)


def refusing(*_):
    raise RuntimeError("mkldnn::_linear_pointwise() expected another argument")


def answering_otherwise(rows, weight, *_):
    return torch.zeros(len(rows), len(weight))


@pytest.fixture
def without_onednn(monkeypatch, request):
    """A build of PyTorch whose operator is missing, is called otherwise, or does something else."""
    operators = SimpleNamespace() if request.param is None else SimpleNamespace(_linear_pointwise=request.param)
    monkeypatch.setattr(torch.ops, "mkldnn", operators, raising=False)
    products._works.cache_clear()
    yield
    products._works.cache_clear()


@pytest.mark.parametrize("without_onednn", [None, refusing, answering_otherwise], indirect=True)
@pytest.mark.parametrize("gradients", [True, False])
def test_where_the_operator_is_not_there_the_plain_twin_runs(without_onednn, gradients):
    x, weight, bias = wide()
    with torch.set_grad_enabled(gradients):
        found = linear(x, weight.requires_grad_(), bias)
        assert torch.equal(found, torch.nn.functional.linear(x, weight, bias))
    assert not products._works()


def test_the_operator_that_this_build_has_is_used(monkeypatch):
    """Else the tests above compare the plain twin with itself."""
    works, calls = products._works(), []
    monkeypatch.setattr(products, "_onednn", lambda *own: calls.append(own) or torch.zeros(64, 256))
    x, weight, bias = wide(inputs=(64,))
    linear(x, weight, bias)
    assert len(calls) == works
    with plain():
        assert torch.equal(linear(x, weight, bias), torch.nn.functional.linear(x, weight, bias))
    assert len(calls) == works
