"""One epoch of a corpus of shards as a stream, divided over ranks and workers, for training loops of one's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch.utils.data import IterableDataset, get_worker_info

from gan_caption.data.corpus import CaptionedImage
from gan_caption.data.shards.corpus import ShardSplit
from gan_caption.data.shards.order import part_of
from gan_caption.errors import at_least


@dataclass(frozen=True)
class Streamed:
    """A sample, and where the stream stands after it."""

    row: int
    """In its split."""
    item: CaptionedImage
    """Its name and captions."""
    content: bytes
    """The image's file, or features as .npz: not decoded."""
    part: int
    """Which of the stream's parts this is from ..."""
    taken: int
    """... and how many of that part's samples have been taken, this one counted."""


class ShardStream(IterableDataset[Streamed]):
    """An epoch's samples in an order that is a pure function of (seed, epoch), each rank's and worker's share of them.

    `DataLoader(stream, num_workers=2, batch_size=64, collate_fn=list)` reads in two processes. The position is the
    epoch and, for each part, the `taken` of the last sample that came from it; a stream begun with them goes on with
    the very next samples. It holds for the same ranks, workers and shards.
    """

    def __init__(
        self,
        split: ShardSplit,
        *,
        seed: int,
        epoch: int = 0,
        rank: int = 0,
        ranks: int = 1,
        taken: Mapping[int, int] | None = None,
    ) -> None:
        """Describe the stream; iterating reads.

        Args:
            split: of a corpus of shards.
            seed: of the order, at least 0.
            epoch: each has an order of its own.
            rank: of this process, 0 to `ranks` - 1.
            ranks: processes that share the epoch; their shares differ by one sample at most, and so do workers'.
            taken: the position to go on from, by part; None begins the epoch.
        """
        at_least(0, seed=seed, epoch=epoch, rank=rank)
        at_least(rank + 1, ranks=ranks)
        self.split = split
        self.seed = seed
        self.epoch = epoch
        self.rank = rank
        self.ranks = ranks
        self.taken = dict(taken or {})

    def __iter__(self) -> Iterator[Streamed]:
        worker = get_worker_info()
        workers, own = (1, 0) if worker is None else (worker.num_workers, worker.id)
        part = self.rank * workers + own
        order = self.split.order([self.seed, self.epoch])
        first, last = part_of(len(order), part, self.ranks * workers)
        begun = self.taken.get(part, 0)
        for taken, row in enumerate(order.rows(first + begun, last), begun + 1):
            yield Streamed(row, self.split.items[row], self.split.content(row), part, taken)
