"""A million samples streamed from shards: rate, memory, exact resume, no repeats; see README.md."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from experiments.speed.growth.point import resident
from experiments.streaming.opening import opened
from experiments.streaming.reader import MARKS
from gan_caption.data.corpus import CaptionedImage, Split
from gan_caption.data.shards.writer import ShardFolder
from gan_caption.reporting.table import markdown

HERE = Path(__file__).parent
SAMPLES = 1_000_000
A_SHARD = 5000
WORDS, LENGTH = 20_000, 9
"""Captions of nine words out of so many, drawn by Zipf's law."""


def main(samples: int = SAMPLES) -> None:
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as made:
        text = study(Path(made), samples)
    print(text)
    if samples == SAMPLES:
        (HERE / "table.md").write_text(f"{text}\n")


def study(place: Path, samples: int) -> str:
    shards, cache = place / "shards", place / "cache"
    seconds = timed(lambda: write(shards, samples))
    size = sum(path.stat().st_size for path in shards.iterdir())
    rows = [["what", "samples/s", f"{samples:,} samples take, s"], rate("writing the shards", samples, seconds)]
    seconds = timed(lambda: opened(str(shards), str(cache)))
    rows.append(rate("indexing them, once", samples, seconds))
    seconds = timed(lambda: opened(str(shards), str(cache)))
    rows.append(rate("opening the index", samples, seconds))
    index = sum(path.stat().st_size for path in cache.rglob("*.npz"))

    alone = finish([reader(shards, cache, 0, 1, 0, place / "alone")])
    rows.append(rate("streaming, one process", samples, alone[0]["seconds"]))
    logs = [place / f"rank{rank}" for rank in range(2)]
    both = finish([reader(shards, cache, rank, 2, 2, log) for rank, log in enumerate(logs)])
    rows.append(rate("streaming, 2 ranks x 2 workers", samples, max(one["seconds"] for one in both)))

    killed = [place / f"killed{rank}" for rank in range(2)]
    stops = kill(shards, cache, killed, sum(path.stat().st_size for path in logs))
    finish([reader(shards, cache, rank, 2, 2, log) for rank, log in enumerate(killed)])
    facts = [
        ["check", "found"],
        ["names streamed by one process; distinct; missing", names([place / "alone"], samples)],
        ["names streamed by 2 x 2; distinct; missing", names(logs, samples)],
        ["samples of each of the 2 x 2 parts", ", ".join(str(len(own)) for own in parts(logs).values())],
        ["both ranks killed after samples", ", ".join(map(str, stops))],
        ["order of names, one process", digest([place / "alone"])],
        ["order of names, the 2 x 2 parts one after the other", digest(logs)],
        ["order of names, the 2 x 2 parts, killed and resumed", digest(killed)],
    ]
    memory = [["samples streamed", "VmRSS, MB"]]
    memory += [[f"{int(mark):,}", f"{value:.1f}"] for mark, value in alone[0]["megabytes"].items()]
    head = (
        f"{samples:,} samples (a JPEG of 8 x 8, a caption of {LENGTH} words) in {len(list(shards.iterdir()))} shards "
        f"of {A_SHARD:,}: {size / 1e9:.2f} GB, their index {index / 1e6:.0f} MB; windows of 16 shards. Two CPU cores."
    )
    counts = counting(shards, cache, samples)
    return "\n\n".join([head, markdown(rows), markdown(memory), markdown(facts), markdown(counts)])


def write(folder: Path, samples: int) -> None:
    """Write synthetic shards; what is written is made on the way."""
    rng = np.random.default_rng(0)
    weights = 1 / np.arange(1, WORDS + 1)
    edges = np.cumsum(weights / weights.sum())
    images = []
    for _ in range(256):
        packed = io.BytesIO()
        Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(packed, "JPEG")
        images.append(packed.getvalue())

    class Items(Sequence[CaptionedImage]):
        def __len__(self) -> int:
            return samples

        def __getitem__(self, row: Any) -> Any:
            words = np.searchsorted(edges, np.random.default_rng(row).random(LENGTH)).clip(max=WORDS - 1)
            return CaptionedImage(f"{row:07}", (" ".join(f"w{word}" for word in words),))

    with ShardFolder(folder, samples=A_SHARD) as shards:
        shards.write(Split("train", Items()), lambda row: ("jpg", images[row % 256]))


def reader(shards: Path, cache: Path, rank: int, ranks: int, workers: int, log: Path) -> subprocess.Popen:
    told = [str(shards), str(cache), str(rank), str(ranks), str(workers), str(log)]
    return subprocess.Popen(
        [sys.executable, "-m", "experiments.streaming.reader", *told],
        stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def finish(readers: Sequence[subprocess.Popen]) -> list[dict]:
    found = []
    for one in readers:
        output, _ = one.communicate()
        if one.returncode:
            raise SystemExit(f"a reader ended with status {one.returncode}")
        found.append(json.loads(output))
    return found


def kill(shards: Path, cache: Path, logs: list[Path], whole: int) -> list[int]:
    """Kill two ranks when a random share of their output is written; return after how many samples each."""
    point = random.uniform(0.1, 0.9) * whole
    ranks = [reader(shards, cache, rank, 2, 2, log) for rank, log in enumerate(logs)]
    while sum(log.stat().st_size for log in logs if log.exists()) < point:
        time.sleep(0.05)
        if any(one.poll() is not None for one in ranks):
            raise SystemExit("a rank ended before it was killed")
    for one in ranks:
        os.killpg(one.pid, signal.SIGKILL)  # the rank and its workers
        one.communicate()
    return [log.read_bytes().count(b"\n") for log in logs]


def lines(logs: Sequence[Path]) -> Iterator[list[str]]:
    for log in logs:
        with log.open() as file:
            yield from map(str.split, file)


def parts(logs: Sequence[Path]) -> dict[int, list[str]]:
    """Return the names that each part gave, in order; its counts must be without a gap."""
    found: dict[int, list[str]] = {}
    for part, taken, name, _ in lines(logs):
        own = found.setdefault(int(part), [])
        own.append(name)
        if int(taken) != len(own):
            raise SystemExit(f"part {part}: sample {len(own)} says that it is number {taken}")
    return dict(sorted(found.items()))


def digest(logs: Sequence[Path]) -> str:
    whole = hashlib.sha256()
    for own in parts(logs).values():
        whole.update("".join(f"{name}\n" for name in own).encode())
    return f"SHA-256 {whole.hexdigest()[:16]}"


def names(logs: Sequence[Path], samples: int) -> str:
    streamed = [int(name) for _, _, name, _ in lines(logs)]
    missing = len(set(range(samples)) - set(streamed))
    return f"{len(streamed):,}; {len(set(streamed)):,}; {missing}"


def counting(shards: Path, cache: Path, samples: int) -> list[list[str]]:
    rows = [["counting", "captions", "seconds", "memory, MB", "found"]]
    kinds = {
        "words, on disk where memory ends": "words",
        "document frequencies, on disk where memory ends": "disk",
        "document frequencies, in memory": "memory",
    }
    for name, what in kinds.items():
        for count in (mark for mark in MARKS if mark <= samples):
            command = [sys.executable, "-m", "experiments.streaming.counter", str(shards), str(cache), str(count), what]
            told = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
            rows.append(
                [name, f"{count:,}", f"{told['seconds']:.1f}", f"{told['megabytes']:.0f}", f"{told['found']:,}"]
            )
    return rows


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def rate(name: str, samples: int, seconds: float) -> list[str]:
    print(f"{name}: {samples / seconds:.0f} samples/s, {resident('VmRSS'):.0f} MB", file=sys.stderr, flush=True)
    return [name, f"{samples / seconds:,.0f}", f"{seconds:.0f}"]


if __name__ == "__main__":
    main()
