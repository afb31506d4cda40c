"""The matrix products of a step, found as it runs: how long would they take alone?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from experiments.speed.timing import interleaved
from gan_caption.kernels.products import linear

Product = tuple[int, int, int, int]
"""How many at once, and of each the rows, what is summed over, and the columns."""


def products_of(step: Callable[[], object]) -> Counter[Product]:
    """Return the products of a step, forward and backward, with how often each is made."""
    with _Products() as found:
        step()
    return found.made


def replay(made: Counter[Product]) -> Callable[[], None]:
    """Return a call that multiplies as often, matrices of the same sizes, and does nothing else."""
    singles = [
        (torch.randn(rows, inner), torch.randn(columns, inner), times)
        for (many, rows, inner, columns), times in made.items() if many == 1
    ]  # fmt: skip
    batches = [
        (torch.randn(many, rows, inner), torch.randn(many, inner, columns), times)
        for (many, rows, inner, columns), times in made.items() if many > 1
    ]  # fmt: skip

    @torch.no_grad()
    def call() -> None:
        for one, other, times in singles:
            for _ in range(times):
                linear(one, other)
        for one, other, times in batches:
            for _ in range(times):
                torch.bmm(one, other)

    return call


def beside_products(step: Callable[[], object], *, repeats: int) -> dict[str, float]:
    """Return the "seconds" of a step, and those that its "products" take alone; it runs once before it is watched."""
    step()
    return interleaved({"seconds": step, "products": replay(products_of(step))}, repeats=repeats)


class _Products(TorchDispatchMode):
    """Counts products; convolutions, of discriminators, as the products that they are."""

    def __init__(self) -> None:
        super().__init__()
        self.made: Counter[Product] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        size = _SIZES.get(func.overloadpacket.__name__)
        if size is not None:
            self.made.update(size(*args))
        return func(*args, **(kwargs or {}))


def _single(one: Tensor, other: Tensor, *rest: Any) -> list[Product]:
    return [(1, one.shape[0], one.shape[1], other.shape[1])]


def _batched(one: Tensor, other: Tensor, *rest: Any) -> list[Product]:
    return [(len(one), one.shape[1], one.shape[2], other.shape[2])]


def _linear(inputs: Tensor, weight: Tensor, *rest: Any) -> list[Product]:
    return [(1, inputs.numel() // inputs.shape[-1], weight.shape[1], weight.shape[0])]


def _linear_backward(inputs: Tensor, slope: Tensor, weight: Tensor, *rest: Any) -> list[Product]:
    rows, (columns, inner) = inputs.numel() // inputs.shape[-1], weight.shape
    return [(1, rows, columns, inner), (1, columns, rows, inner)]


def _attention(query: Tensor, key: Tensor, value: Tensor, *rest: Any) -> list[Product]:
    many, (rows, inner), columns = query.shape[0] * query.shape[1], query.shape[2:], key.shape[2]
    return [(many, rows, inner, columns), (many, rows, columns, inner)]


def _attention_backward(slope: Tensor, query: Tensor, key: Tensor, value: Tensor, *rest: Any) -> list[Product]:
    weights, answers = _attention(query, key, value)
    many, rows, inner, columns = weights
    summed = (many, columns, rows, inner)  # to keys, and to values
    return [weights, weights, answers, summed, summed]  # weights anew, their slopes, to queries


def _convolution(inputs: Tensor, weight: Tensor, *rest: Any) -> list[Product]:
    windows = inputs.shape[2] - weight.shape[2] + 1  # over words, without padding, as `SentenceCNN` has them
    return [(1, len(inputs) * windows, weight[0].numel(), len(weight))]


def _convolution_backward(slope: Tensor, inputs: Tensor, weight: Tensor, *rest: Any) -> list[Product]:
    ((_, rows, inner, columns),) = _convolution(inputs, weight)
    return [(1, rows, columns, inner), (1, columns, rows, inner)]


_SIZES: dict[str, Callable[..., list[Product]]] = {
    "mm": _single, "addmm": lambda bias, *factors: _single(*factors),
    "bmm": _batched, "baddbmm": lambda bias, *factors: _batched(*factors),
    "mkldnn_linear": _linear, "_linear_pointwise": _linear, "mkldnn_linear_backward": _linear_backward,
    "convolution": _convolution, "convolution_backward": _convolution_backward,
    "_scaled_dot_product_flash_attention_for_cpu": _attention,
    "_scaled_dot_product_flash_attention_for_cpu_backward": _attention_backward,
}  # fmt: skip
"""By the operator's name, the products that it makes of its arguments."""
