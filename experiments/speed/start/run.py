"""How long `--help` and an import take, and the first training step on a prepared data set: see README.md."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

from gan_caption.reporting.table import markdown

HERE = Path(__file__).parent
REPEATS = 5


def main(root: str, cache: str) -> None:
    data = ("data=flickr8k", f"data.root={root}", f"cache={cache}", "encoder=efficientnet_lite0")
    subprocess.run([sys.executable, "-m", "gan_caption.prepare", *data], check=True)
    rows = [
        ["", "seconds", "at most"], ["`--help`", f"{middle(show_help):.1f}", "2.5"],
        ["`import gan_caption.metrics`", f"{middle(import_metrics):.2f}", "0.3"],
    ]  # fmt: skip
    for page in ("mle", "nsc"):
        rows.append([f"first step, `+experiment={page}`", f"{middle(partial(first_step, page, data)):.1f}", "10"])
    text = f"Medians of {REPEATS} starts, files in the system's cache.\n\n{markdown(rows)}"
    (HERE / "table.md").write_text(f"{text}\n")
    print(text)


def middle(call: Callable[[], float]) -> float:
    call()
    return median(call() for _ in range(REPEATS))


def show_help() -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "gan_caption.train", "--help"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def import_metrics() -> float:
    """Return the seconds of a program that imports the metrics and does nothing else, Python's own start counted."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import gan_caption.metrics"], check=True)
    return time.perf_counter() - start


def first_step(page: str, data: tuple[str, ...]) -> float:
    """Return the seconds until the record of the first step has been written."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        command = [sys.executable, "-m", "gan_caption.train", f"+experiment={page}", *data, "tracker=local"]
        with subprocess.Popen(
            [*command, f"outputs={folder}", "log_every=1"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            while not any(path.stat().st_size for path in Path(folder).glob("*/metrics.jsonl")):
                if process.poll() is not None:
                    raise SystemExit(f"it ended before its first step: {' '.join(command)}")
                time.sleep(0.02)
            seconds = time.perf_counter() - start
            process.terminate()
    return seconds


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(
            "say where Flickr8k and its features lie: python -m experiments.speed.start.run ~/flickr8k cache"
        )
    main(sys.argv[1], sys.argv[2])
