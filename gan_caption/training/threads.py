"""How many CPU threads a run computes with: chosen once, when it begins, and kept in its folder.

Threads of one operation wait for each other. Where operations are tiny, as those of a small network's step, a second
thread brings next to nothing; and beside another process it costs several times what it computes, for every operation
then waits until the busy core comes round to it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
import torch

from gan_caption.configuration.building import read
from gan_caption.errors import at_least
from gan_caption.training.folders import read_json, write_json

FILE = "threads.json"
"""In a run's folder: sums depend on the number of threads in their last bits, and a resumed run shall not."""
SMALL = 2_000_000
"""Weights of a generator below which a training step has one thread; experiments/speed/contention measures it."""


@dataclass(frozen=True)
class Threads:
    """CPU threads of a run."""

    training: int
    """Of a gradient step."""
    evaluation: int
    """Of decoding many images at once."""

    def __post_init__(self) -> None:
        at_least(1, training=self.training, evaluation=self.evaluation)

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Compute what is inside with those of evaluation, and go on with those of training."""
        torch.set_num_threads(self.evaluation)
        try:
            yield
        finally:
            torch.set_num_threads(self.training)


@contextmanager
def lent_threads(asked: int | None) -> Iterator[None]:
    """Begin with the threads that were asked for, if any; when the block ends, the process has its own number again."""
    before = torch.get_num_threads()
    torch.set_num_threads(asked or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Neighbours:
    """Watches what other processes take of this one's cores, from when it is made.

    Runs that begin together see each other at work while they read their data; a glance at one moment, when both wait,
    would not do.
    """

    def __init__(self) -> None:
        """Begin to watch."""
        self._since, self._taken = time.monotonic(), self._taken_by_others()

    def idle_cores(self) -> int:
        """Return how many cores others have left idle, at least 1; a second is watched at least.

        No more than PyTorch would take by itself: OMP_NUM_THREADS and the like count.
        """
        time.sleep(max(0.0, self._since + 1 - time.monotonic()))
        taken = (self._taken_by_others() - self._taken) / (time.monotonic() - self._since)
        return max(1, min(round(len(_own_cores()) - taken), torch.get_num_threads()))

    def _taken_by_others(self) -> float:
        """Return the seconds that this process's cores have worked for others since the machine's start."""
        cores = psutil.cpu_times(percpu=True)
        worked = sum(sum(cores[core]) - cores[core].idle - getattr(cores[core], "iowait", 0.0) for core in _own_cores())
        return worked - sum(os.times()[:4])  # of this process and of those that it has waited for


def _own_cores() -> list[int]:
    """Return the numbers of the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(psutil.cpu_count() or 1))


def threads_of(folder: Path, asked: int | None, neighbours: Neighbours, *, weights: int) -> Threads:
    """Return a run's threads: those that were asked for, or that it began with, or that suit the machine now.

    Args:
        folder: the run's.
        asked: `threads=...`; None leaves the choice to this function.
        neighbours: watched since the run's beginning.
        weights: of the generator.
    """
    path = folder / FILE
    if asked is None and path.exists():
        return read(Threads, read_json(path))
    chosen = suitable(weights, idle=neighbours.idle_cores()) if asked is None else Threads(asked, asked)
    write_json(path, asdict(chosen))
    return chosen


def suitable(weights: int, *, idle: int) -> Threads:
    """Return the threads of a generator of so many weights on a machine with so many idle cores."""
    return Threads(training=1 if weights < SMALL else idle, evaluation=idle)
