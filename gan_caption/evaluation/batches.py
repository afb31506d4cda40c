"""A split in batches, each divided among the processes, and joined again."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import TypeVar

from gan_caption.distributed import world

T = TypeVar("T")


def batches_of(total: int, size: int) -> list[range]:
    """Return the rows of each batch."""
    return [range(start, min(start + size, total)) for start in range(0, total, size)]


def of_all(batches: Sequence[list[T]]) -> list[T]:
    """Join what every rank made of its part of each batch, in the order of the rows."""
    return [one for parts in zip(*world.everyone(batches), strict=True) for part in parts for one in part]


def grouped(values: Sequence[T], sizes: Sequence[int]) -> list[list[T]]:
    """Divide values into neighbours, so many each."""
    remaining = iter(values)
    return [list(islice(remaining, size)) for size in sizes]
