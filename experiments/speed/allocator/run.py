"""What another allocator brings on a CPU: the same training with the system's and with tcmalloc. See README.md."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from ctypes.util import find_library
from pathlib import Path
from statistics import median
from typing import Any

from experiments.records import base_of
from gan_caption.reporting.table import markdown

HERE = Path(__file__).parent
TRAINING = (
    "+experiment=mle", "tracker=local", "threads=1", "data.train=2000", "data.val=20", "data.test=20",
    "phases.words.steps=30", "phases.mle.epochs=2", "phases.mle.images_per_batch=32",
)  # fmt: skip
REPEATS = 3


def main() -> None:
    library = find_library("tcmalloc_minimal")
    if library is None:
        sys.exit(
            "there is no tcmalloc here: apt install libtcmalloc-minimal4 (Debian, Ubuntu), or your system's package"
        )
    ways: dict[str, dict[str, str]] = {"the system's": {}, library: {"LD_PRELOAD": library}}
    found: dict[str, list[tuple[Any, ...]]] = {name: [] for name in ways}
    for _ in range(REPEATS):
        for name, more in ways.items():
            found[name].append(cost(more))
    rows = [["allocator", "seconds", "of these in the kernel", "page faults", "time of the first"]]
    first = median(seconds for seconds, *_ in found["the system's"])
    weights = {one for runs in found.values() for *_, one in runs}
    for name, runs in found.items():
        seconds, kernel, faults = (median(own) for own in list(zip(*runs, strict=True))[:3])
        rows.append([name, f"{seconds:.1f}", f"{kernel:.1f}", f"{faults:,.0f}", f"{seconds / first:.2f}"])
    text = (
        f"Whole trainings on one thread, medians of {REPEATS} interleaved runs; all left "
        f"{'the same weights' if len(weights) == 1 else 'other weights'}.\n\n{markdown(rows)}"
    )
    (HERE / "table.md").write_text(f"{text}\n")
    print(text)


def cost(environment: dict[str, str]) -> tuple[float, float, int, str | None]:
    """Return the seconds of a training, those that it spent in the kernel, its page faults, a digest of its weights."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "gan_caption.train", *TRAINING, f"outputs={folder}"]
        start = time.perf_counter()
        process = subprocess.Popen(
            command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(f"failed: {' '.join(command)}")
        seconds = time.perf_counter() - start
        (run,) = Path(folder).iterdir()
        return seconds, usage.ru_stime, usage.ru_minflt, base_of(run)


if __name__ == "__main__":
    main()
