"""Matrix products in single precision on a CPU: oneDNN's, as for LSTMs and convolutions, in place of MKL's.

PyTorch hands `nn.Linear` to MKL there, which leaves more than half of an AMD processor's rate unused; of oneDNN, which
PyTorch brings along, it makes use for LSTMs and convolutions alone. Measured by `experiments/speed/products`. On any
other device, in any other precision and for small products everything is as PyTorch has it.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn
from torch.nn import functional

from gan_caption.kernels.switch import is_plain

_WORTH_IT = 1 << 20
"""Multiplications; below it, handing tensors over costs more than it brings."""


class Linear(nn.Linear):
    """`nn.Linear`, its product made by `linear`."""

    def forward(self, input: Tensor) -> Tensor:
        """Map (..., in_features) to (..., out_features)."""
        return linear(input, self.weight, self.bias)


def linear(inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return inputs (..., I) @ weight (O, I) transposed + bias (O,): (..., O), with gradients to all three."""
    if is_plain() or not _suits_onednn(inputs, weight) or not _works():
        return functional.linear(inputs, weight, bias)
    rows = inputs.reshape(-1, inputs.shape[-1])
    spare = rounded(len(rows)) - len(rows)
    rows = functional.pad(rows, (0, 0, 0, spare)) if spare else rows
    product = _onednn(rows, weight, bias)
    kept: Tensor = product[: len(product) - spare]
    return kept.view(*inputs.shape[:-1], len(weight))


def rounded(rows: int) -> int:
    """Return a number of rows, filled up by a sixteenth of it at most (to a multiple of four where it is small).

    oneDNN makes and keeps code for every size that it meets: a quarter of a millisecond, and half a megabyte, each.
    """
    granule = max(1 << rows.bit_length() >> 5, 4)
    return -(-rows // granule) * granule


def _onednn(rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    if torch.is_grad_enabled():
        return functional.linear(rows.to_mkldnn(), weight, bias).to_dense()
    # The same product, without a copy on either side; torch.compile calls it so.
    product: Tensor = torch.ops.mkldnn._linear_pointwise(rows.contiguous(), weight.contiguous(), bias, "none", [], "")
    return product


def _suits_onednn(inputs: Tensor, weight: Tensor) -> bool:
    return (
        inputs.numel() * weight.shape[0] >= _WORTH_IT
        and inputs.device.type == "cpu"
        and inputs.dtype == weight.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
    )


@functools.cache  # of a build of PyTorch, of which a process has one
def _works() -> bool:
    """Try whether this build of PyTorch has oneDNN, and operators of the names and arguments that are used here."""
    inputs, weight, bias = (torch.ones(shape, dtype=torch.float32, device="cpu") for shape in ((4, 3), (2, 3), (2,)))
    try:
        for gradients in (False, True):
            with torch.set_grad_enabled(gradients):
                if not torch.equal(_onednn(inputs, weight, bias), inputs.new_full((4, 2), 4.0)):
                    return False
    except (AttributeError, RuntimeError, TypeError):
        return False
    return True
