"""How the processes that torchrun starts find each other, and notice that one is gone."""

from __future__ import annotations

import importlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist

from gan_caption.distributed.world import ENDED, everyone, first_line, rank, size
from gan_caption.errors import UserError

_ARRIVAL = timedelta(minutes=15)
"""That a rank is waited for when all begin."""
_TIMEOUT = timedelta(days=1)
"""That a rank is waited for, e.g. while another run extracts features; one that has died is noticed at once."""


@contextmanager
def joined(*, silence: float = 45.0) -> Iterator[None]:
    """Join the processes that torchrun started, and leave them at the end.

    Args:
        silence: seconds after which a process that gives no sign of life counts as dead; this one then ends.

    Raises:
        UserError: they cannot be reached.
    """
    # Optimizers import it with their first step. Imported while there is a process group it would keep the group to the
    # interpreter's end, and the group's threads, still there, then abort the process now and then (PyTorch 2.13).
    importlib.import_module("torch._dynamo")
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)) % torch.cuda.device_count())
        backend = "cpu:gloo,cuda:nccl" if dist.is_nccl_available() else "gloo"
    else:
        backend = "gloo"
    try:
        store, number, count = next(dist.rendezvous("env://", timeout=_ARRIVAL))
        store.set_timeout(_TIMEOUT)
        dist.init_process_group(backend, timeout=_TIMEOUT, store=_of_this_start(store), rank=number, world_size=count)
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f"the other processes cannot be reached ({first_line(error)}): start them with torchrun, which sets RANK, "
            "WORLD_SIZE, MASTER_ADDR and MASTER_PORT"
        ) from error
    leaving = threading.Event()
    watcher = threading.Thread(target=_watch, args=(leaving, silence), daemon=True)
    watcher.start()
    try:
        yield
        everyone(None)  # nobody misses one who has merely finished first
    finally:
        leaving.set()
        watcher.join(10)  # one that is cut off by the interpreter's end would abort the process
        dist.destroy_process_group()


def own_gpu() -> torch.device:
    """Return the GPU of this process; of several processes on a machine, each has its own.

    Raises:
        UserError: there are fewer GPUs than processes here.
    """
    processes, there = int(os.environ.get("LOCAL_WORLD_SIZE", 1)) if size() > 1 else 1, torch.cuda.device_count()
    if processes > there:
        raise UserError(
            f"{processes} processes on this machine and {there} GPU{'s' * (there != 1)}: each needs one of its own. "
            f"Give --nproc_per_node={there}, or device=cpu"
        )
    return torch.device("cuda", torch.cuda.current_device())


def restarted() -> bool:
    """Tell whether torchrun has started the processes again, because one of them ended."""
    return dist.is_initialized() and _restarts() > 0


def _watch(leaving: threading.Event, silence: float) -> None:
    """Give signs of life, and end this process where another one gives none.

    A process that is killed closes its connections, and whoever waits for it is told at once. One whose machine has
    gone, or that has stopped, closes nothing; and one that computes for long does not listen.
    """
    others = {other: (b"", time.monotonic()) for other in range(size()) if other != rank()}
    beats = 0
    try:
        client = dist.TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), wait_for_workers=False)
        store = dist.PrefixStore("signs of life", _of_this_start(client))
        while not leaving.wait(silence / 10):
            beats += 1
            store.set(str(rank()), str(beats))
            for other, (last, since) in others.items():
                told = store.get(str(other)) if store.check([str(other)]) else b""
                if told != last:
                    others[other] = (told, time.monotonic())
                elif time.monotonic() - since > silence:
                    _give_up(f"rank {other} has given no sign of life for {silence:.0f} seconds", leaving)
    except RuntimeError as error:
        _give_up(f"rank {rank()} of {size()} can no longer reach the others ({first_line(error)})", leaving)


def _restarts() -> int:
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", 0))


def _of_this_start(store: dist.Store) -> dist.Store:
    """Keep apart what torchrun's store still holds of processes that have ended, such as their addresses."""
    return dist.PrefixStore(f"start {_restarts()}", store)


def _give_up(why: str, leaving: threading.Event) -> None:
    """End this process from another thread than its main one, which may wait for ever."""
    if not leaving.wait(2):  # in which the main thread may find out by itself
        print(f"error: {why}: {ENDED}", file=sys.stderr, flush=True)
        os._exit(2)
