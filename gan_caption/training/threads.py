"""How many CPU threads a run computes with: chosen once, when it begins, and kept in its folder.

Threads of one operation wait for each other. Where operations are tiny, as those of a small network's step, a second
thread brings next to nothing; and beside another process it costs several times what it computes, for every operation
then waits until the busy core comes round to it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
import torch

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


def threads_of(folder: Path, asked: int | None, *, weights: int) -> Threads:
    """Return a run's threads: those that were asked for, or that it began with, or that suit the machine now.

    Args:
        folder: the run's.
        asked: `threads=...`; None leaves the choice to this function.
        weights: of the generator.
    """
    if asked is not None:
        return Threads(asked, asked)
    path = folder / FILE
    if path.exists():
        return Threads(**read_json(path))
    chosen = suitable(weights, idle=idle_cores())
    write_json(path, asdict(chosen))
    return chosen


def suitable(weights: int, *, idle: int) -> Threads:
    """Return the threads of a generator of so many weights on a machine with so many idle cores."""
    return Threads(training=1 if weights < SMALL else idle, evaluation=idle)


def idle_cores(seconds: float = 0.5) -> int:
    """Watch the machine for a moment; return how many of this process's cores others leave idle, at least 1.

    No more than PyTorch would take by itself: OMP_NUM_THREADS and the like count.
    """
    percent = psutil.cpu_percent(seconds, percpu=True)
    own = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(len(percent))
    idle = sum(1 - percent[core] / 100 for core in own)
    return max(1, min(round(idle), torch.get_num_threads()))
