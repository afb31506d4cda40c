"""The processes that train together. One process is a world of size 1, and nothing else in the package asks."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import torch
import torch.distributed


def rank() -> int:
    """Return this process's number; 0 writes, the others do not."""
    return torch.distributed.get_rank() if torch.distributed.is_initialized() else 0


def is_main() -> bool:
    """Tell whether this process is the one that writes."""
    return rank() == 0


def mean(values: Mapping[str, float]) -> dict[str, float]:
    """Average numbers over all processes, which must give the same names."""
    if not torch.distributed.is_initialized():
        return dict(values)
    total = torch.tensor([values[name] for name in sorted(values)], dtype=torch.float64)
    torch.distributed.all_reduce(total)
    total /= torch.distributed.get_world_size()
    return dict(zip(sorted(values), total.tolist(), strict=True))


def say(line: str) -> None:
    """Tell the person who watches, on stderr, once; stdout is for results."""
    if is_main():
        print(line, file=sys.stderr, flush=True)
