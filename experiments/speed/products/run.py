"""Dense products, forward and backward, by `gan_caption.kernels.products` and by PyTorch's default: see README.md."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from experiments.speed.timing import interleaved
from gan_caption.kernels.products import linear
from gan_caption.reporting.table import markdown

HERE = Path(__file__).parent
SHAPES = ((2048, 2048, 2048), (60, 512, 2048), (100, 512, 2048), (1000, 512, 2048), (1175, 512, 2541), (980, 1280, 512))
"""Rows, inputs, outputs: a large one; an LSTM's gates for few captions, for a batch, for rollouts; words; a grid."""
REPEATS = 21


def main() -> None:
    rows = [["rows x inputs x outputs", "default, GFLOP/s", "ours, GFLOP/s", "times", "with gradients, times"]]
    for count, inputs, outputs in SHAPES:
        x, weight = torch.randn(count, inputs), torch.randn(outputs, inputs)
        bias, slope = torch.randn(outputs), torch.randn(count, outputs)
        with torch.no_grad():
            plain = interleaved(
                {
                    "default": partial(functional.linear, x, weight, bias),
                    "ours": partial(linear, x, weight, bias),
                },
                repeats=REPEATS,
            )
        leaves = [tensor.clone().requires_grad_() for tensor in (x, weight, bias)]
        learning = interleaved(
            {
                "default": partial(backward, functional.linear, leaves, slope),
                "ours": partial(backward, linear, leaves, slope),
            },
            repeats=REPEATS,
        )
        work = 2e-9 * count * inputs * outputs
        rows.append([
            f"{count} x {inputs} x {outputs}", f"{work / plain['default']:.0f}", f"{work / plain['ours']:.0f}",
            f"{plain['default'] / plain['ours']:.2f}", f"{learning['default'] / learning['ours']:.2f}",
        ])  # fmt: skip
    head = f"{torch.get_num_threads()} threads, float32; medians of {REPEATS} interleaved repeats in one run."
    text = f"{head}\n\n{markdown(rows)}"
    (HERE / "table.md").write_text(f"{text}\n")
    print(text)


def backward(product: Callable[..., Tensor], leaves: list[Tensor], slope: Tensor) -> None:
    torch.autograd.grad(product(*leaves), leaves, slope)


if __name__ == "__main__":
    main()
