"""Starts tiny runs in one process and in several."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch
import torch.multiprocessing

from gan_caption.distributed import processes
from gan_caption.evaluation.result_files import read_results
from tests.started import FORKS

TOLERANCE = {"rel": 1e-4, "abs": 1e-6}
"""Floats are added in another order (within products, over a batch, of gradients), which changes about their seventh
digit; AdamW divides small gradients by small numbers, and a few steps make some of it."""


def together(ranks: int, *arguments: str, restarts: int = 0) -> subprocess.CompletedProcess:
    """Have torchrun start `several` in as many processes; returns once all have ended."""
    launcher = [sys.executable, "-m", "torch.distributed.run", f"--nproc_per_node={ranks}"]
    launcher += ["--standalone", f"--max_restarts={restarts}"]
    return subprocess.run(
        [*launcher, "-m", "tests.distributed.several", *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=1800,
    )  # fmt: skip


def in_processes(what: Callable[..., None], *arguments, ranks: int = 3, join: bool = True, silence: float = 600):
    """Call a function in several processes, which know each other; an exception in one is raised here."""
    return torch.multiprocessing.start_processes(
        _joined, (ranks, free_port(), silence, what, arguments), nprocs=ranks, join=join, daemon=True,
        start_method=FORKS.get_start_method(),
    )  # fmt: skip


def _joined(rank: int, ranks: int, port: int, silence: float, what, arguments) -> None:
    torch.set_num_threads(1)
    os.environ |= {"RANK": f"{rank}", "WORLD_SIZE": f"{ranks}", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": f"{port}"}
    with processes.joined(silence=silence):
        what(*arguments)


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def only_run(folder: Path, method: str) -> Path:
    """Return the folder of the one run of a method."""
    (run,) = (folder / method).iterdir()
    return run


def records(run: Path) -> list[dict]:
    """Return what a run logged, but for the time."""
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [{key: value for key, value in json.loads(line).items() if key != "time"} for line in lines]


def systems(run: Path) -> dict[str, dict[str, float]]:
    """Return the final metrics."""
    return read_results(run, run)["systems"]
