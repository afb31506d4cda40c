"""Dropout (Srivastava et al. 2014), its random numbers drawn four at a time."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gan_caption.kernels.switch import is_plain

_LEVELS = 1 << 16


class Dropout(nn.Dropout):
    """`nn.Dropout`, which on a CPU spends a tenth of a training step on drawing one number after the other."""

    def forward(self, input: Tensor) -> Tensor:
        """Return the input, in training with shares of it set to 0."""
        if not self.training or is_plain() or input.device.type != "cpu":  # other devices draw in parallel
            return super().forward(input)
        return _dropped(input, self.p)


def _dropped(values: Tensor, p: float) -> Tensor:
    """Set a share p of the values to 0: one draw of 64 bits decides over four of them.

    The probability is rounded to a multiple of 2^-16, and what is kept is divided by exactly what is kept in the mean.
    """
    dropped = round(p * _LEVELS)
    if dropped in (0, _LEVELS):
        return values * float(dropped == 0)
    drawn = torch.empty(-(-values.numel() // 4), dtype=torch.int64).random_(-(2**63), None).view(torch.int16)
    kept = drawn[: values.numel()].view(values.shape) >= dropped - _LEVELS // 2
    return values * (kept * (_LEVELS / (_LEVELS - dropped))).to(values.dtype)
