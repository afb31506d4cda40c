"""The switch of all kernels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

_plain = 0
"""How many `plain()` are entered."""


def is_plain() -> bool:
    """Tell whether the plain twins are asked for."""
    return _plain > 0


@contextmanager
def plain() -> Iterator[None]:
    """Compute with PyTorch's plain operators alone: no kernel of this package, of oneDNN or cuDNN, no fused attention.

    Second derivatives need it, for the fused kernels have none, and so does an export to ONNX. It holds for all threads
    of the process.
    """
    global _plain
    with ExitStack() as flags:
        flags.enter_context(torch.backends.mkldnn.flags(enabled=False))
        flags.enter_context(torch.backends.cudnn.flags(enabled=False))
        flags.enter_context(sdpa_kernel(SDPBackend.MATH))
        _plain += 1
        try:
            yield
        finally:
            _plain -= 1
