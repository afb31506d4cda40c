"""One rank that streams an epoch in a process of its own; prints its rate and its memory as it goes.

    python -m experiments.streaming.reader FOLDER CACHE RANK RANKS WORKERS LOG

LOG gets a line a sample: part, number taken from it, name. What it holds already is where the stream goes on.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from torch.utils.data import DataLoader

from experiments.speed.growth.point import resident
from experiments.streaming.opening import opened
from gan_caption.data.shards.stream import ShardStream

MARKS = (10_000, 100_000, 1_000_000)


def main(folder: str, cache: str, rank: int, ranks: int, workers: int, log: Path) -> None:
    split = opened(folder, cache)
    stream = ShardStream(split, seed=0, rank=rank, ranks=ranks, taken=positions(log))
    loader = DataLoader(stream, 64, num_workers=workers, collate_fn=list)
    samples = (one for own in loader for one in own) if workers else stream
    memory, count = {}, 0
    start = time.perf_counter()
    with log.open("a") as file:
        for count, sample in enumerate(samples, 1):
            file.write(f"{sample.part} {sample.taken} {sample.item.image_id} {len(sample.content)}\n")
            if count in MARKS:
                memory[count] = resident("VmRSS")
    print(json.dumps({"seconds": time.perf_counter() - start, "samples": count, "megabytes": memory}))


def positions(log: Path) -> dict[int, int]:
    """Return how many samples of each part the log holds; a line that was being written is cut off."""
    if not log.exists():
        return {}
    whole = log.read_bytes()
    whole = whole[: whole.rfind(b"\n") + 1]
    log.write_bytes(whole)
    return {int(part): int(taken) for part, taken, *_ in map(bytes.split, whole.splitlines())}


if __name__ == "__main__":
    folder, cache, rank, ranks, workers, log = sys.argv[1:]
    main(folder, cache, int(rank), int(ranks), int(workers), Path(log))
