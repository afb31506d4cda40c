"""Images of a split, decoded ahead in threads; what cannot be read is collected, not fatal at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from PIL import Image

from gan_caption.data.corpus import Split
from gan_caption.distributed import world
from gan_caption.errors import Unreachable, UserError

T = TypeVar("T")
_THREADS = 2
_AHEAD = 96
"""Images decoded before they are asked for, at most."""


def load(split: Split, rows: Sequence[int], prepare: Callable[[Image.Image], T]) -> Iterator[tuple[int, T | UserError]]:
    """Yield every row with its prepared image, or with the error that it cannot be read, in order.

    Raises:
        UserError: the split has no pictures, or they cannot be had just now.
    """
    check_pictures(split)

    def one(row: int) -> T | UserError:
        try:
            return prepare(split.image(row))
        except Unreachable:
            raise
        except UserError as error:
            return error

    waiting: deque[tuple[int, Future[T | UserError]]] = deque()
    with ThreadPoolExecutor(_THREADS) as pool:
        try:
            for row in rows:
                waiting.append((row, pool.submit(one, row)))
                if len(waiting) > _AHEAD:
                    first, future = waiting.popleft()
                    yield first, future.result()
            for first, future in waiting:
                yield first, future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def check_pictures(split: Split) -> None:
    """Refuse a split of features alone.

    Raises:
        UserError: it is one.
    """
    if not split.pictured:
        raise UserError(f"the {split.name} shards hold features and no pictures: give data=... with photographs")


def of_all_processes(errors: Sequence[tuple[int, UserError]]) -> list[tuple[int, UserError]]:
    """Return the rows that any process cannot read, once each, in order: machines may have copies of their own."""
    told = {row: error for own in reversed(world.everyone(list(errors))) for row, error in own}
    return sorted(told.items(), key=lambda one: one[0])


def readable(split: Split, errors: Sequence[tuple[int, UserError]], *, skip: bool) -> list[int]:
    """Return the rows that can be read.

    Args:
        split: the images.
        errors: the rows that cannot, with the reasons.
        skip: leave them out; otherwise they stop the run.

    Raises:
        UserError: some cannot and `skip` is off, or none can; the message names all of them.
    """
    lost = {row for row, _ in errors}
    kept = [row for row in range(len(split)) if row not in lost]
    if errors and not (skip and kept):
        listed = "".join(f"\n  {error}" for _, error in errors)
        remedy = "replace them, or leave them out with skip_unreadable=true" if kept else "check the folder"
        raise UserError(f"{len(errors)} of {len(split)} {split.name} images cannot be read: {remedy}{listed}")
    return kept
