"""One process against two and four, method by method: see README.md."""

from __future__ import annotations

import json
import math
import os
import socket
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable
from functools import partial
from itertools import pairwise
from pathlib import Path

from experiments.composing import composed
from gan_caption.configuration.launching import conf_dir
from gan_caption.evaluation.result_files import read_results

HERE = Path(__file__).parent
OUTPUTS = HERE / "outputs"
RANKS = (1, 2, 4)
SMALL = [
    "tracker=local", "threads=1", "log_every=1", "save_every=1000", "max_length=10",
    # 47 images in batches of 10 leave 7, which four processes share unequally.
    "data.train=47", "data.val=20", "data.test=30", "encoder.width=8", "generator.hidden=32", "generator.embedding=32",
    "generator.dropout=0", "phases.words.steps=10", "phases.words.images_per_batch=10",
    "phases.mle.epochs=3", "phases.mle.images_per_batch=10",
]  # fmt: skip
ADVERSARIAL = [
    "adversarial.steps=10", "adversarial.images_per_batch=10", "adversarial.validate_every=5",
    "adversarial.quality_floor=0",
]  # fmt: skip
CRITIC = ["phases.discriminator.steps=10", "discriminator_trainer.images_per_batch=10", "discriminator.dropout=0"]
LARGER = [
    "+experiment=seqgan", "tracker=local", "threads=1", "log_every=1", "save_every=1000", "generator.dropout=0",
    "data.train=448", "data.val=8", "data.test=8", "phases.words.steps=1", "phases.mle.epochs=1",
    "phases.mle.images_per_batch=64", "phases.discriminator.steps=6", "discriminator_trainer.images_per_batch=64",
    "phases.adversarial.steps=5", "phases.adversarial.images_per_batch=64", "phases.adversarial.validate_every=1000",
]  # fmt: skip
"""The scenes' own sizes, in batches that are worth sharing out."""


def main() -> None:
    (HERE / "table.md").write_text("\n".join(differences()) + "\n")
    (HERE / "elsewhere.md").write_text("\n".join(elsewhere()) + "\n")
    (HERE / "speed.md").write_text("\n".join(rates()) + "\n")


def differences() -> list[str]:
    """Return a table of how far runs of several processes are from those of one.

    Beside them stands how far one process is from itself where PyTorch computes without vector instructions.
    """
    lines = ["| method | processes | losses and the like | gradient norms | final metrics | captions that differ |"]
    lines += ["| --- | --- | --- | --- | --- | --- |"]
    for page in sorted(path.stem for path in (conf_dir() / "experiment").glob("*.yaml")):
        alone = train(1, page, *overrides(page))
        others = {str(ranks): train(ranks, page, *overrides(page)) for ranks in RANKS[1:]}
        others["1, other kernels"] = train(1, f"{page}-kernels", *overrides(page), ATEN_CPU_CAPABILITY="default")
        for ranks, other in others.items():
            norms, logged = (
                largest(zip(steps(alone), steps(other), strict=True), partial(is_norm, asked=own))
                for own in (True, False)
            )
            final = largest((systems(alone)[name], systems(other)[name]) for name in systems(alone))
            told = f"{logged:.0e} | {norms:.0e} | {final:.0e} | {differing(alone, other)}"
            lines.append(f"| {page} | {ranks} | {told} |")
            print(lines[-1], flush=True)
    return lines


def elsewhere() -> list[str]:
    """Return a table of SeqGAN over several nodes, and from shards, against one process."""
    shards = OUTPUTS / "shards"
    settings = overrides("seqgan")
    if not shards.exists():
        sizes = [one for one in settings if one.startswith("data.")]
        asked = [*sizes, f"shards.folder={shards}", "shards.samples=7", f"cache={OUTPUTS / 'cache'}"]
        subprocess.run([sys.executable, "-m", "gan_caption.prepare", *asked], check=True)
    rest = [one for one in settings if not one.startswith(("data.", "phases.words"))]
    from_shards = [*rest, "data=shards", f"data.root={shards}", "encoder=scene_cnn", "vocabulary.min_count=1"]
    lines = ["| what | processes | losses and the like | final metrics | captions that differ |"]
    lines += ["| --- | --- | --- | --- | --- |"]
    for what, alone, ranks, other in (
        ("two nodes", train(1, "seqgan", *settings), "2 x 2", two_nodes(*settings)),
        ("data=shards", train(1, "shards", *from_shards), "2", train(2, "shards", *from_shards)),
        ("data=shards", train(1, "shards", *from_shards), "4", train(4, "shards", *from_shards)),
    ):
        lines.append(f"| {' | '.join([what, ranks, *compared(alone, other)])} |")
        print(lines[-1], flush=True)
    return lines


def two_nodes(*settings: str) -> Path:
    """Train by two launchers of two processes each, which find each other by an address, as on two machines."""
    place = OUTPUTS / "nodes"
    if not any(place.glob("*/results.json")):
        place.mkdir(parents=True, exist_ok=True)
        port = free_port()
        nodes = []
        for node in (0, 1):
            where = ["--nnodes=2", f"--node_rank={node}", "--master_addr=127.0.0.1"]
            with (place / f"node{node}.txt").open("wb") as log:
                around = {**os.environ, "OMP_NUM_THREADS": "1"}
                asked = command(2, place, *settings, where=where, port=port)
                nodes.append(subprocess.Popen(asked, stdout=log, stderr=subprocess.STDOUT, env=around))
        if any([node.wait() for node in nodes]):  # noqa: C419 - every one is waited for
            raise SystemExit(f"a node failed: {place}")
    return next(place.glob("*/results.json")).parent


def rates() -> list[str]:
    """Return a table of what is done in a second, each process on one thread."""
    lines = ["| processes | maximum likelihood, captions/s | discriminator, images/s | seqgan, images/s |"]
    lines += ["| --- | --- | --- | --- |"]
    for ranks in RANKS:
        run = train(ranks, "speed", *LARGER)
        images = {"mle": 5 * 64, "discriminator": 64, "adversarial": 64}  # five captions each
        per_second = [count / seconds(run, phase) for phase, count in images.items()]
        lines.append(f"| {ranks} | " + " | ".join(f"{rate:.0f}" for rate in per_second) + " |")
        print(lines[-1], flush=True)
    return lines


def overrides(page: str) -> list[str]:
    """Return the settings with which a method runs in seconds."""
    given = [f"+experiment={page}", *SMALL]
    return given + ADVERSARIAL + (CRITIC if composed(f"+experiment={page}").get("discriminator") else [])


def train(ranks: int, name: str, *settings: str, place: Path | None = None, **environment: str) -> Path:
    """Train in so many processes, unless that was done before; return the run folder."""
    place = place or OUTPUTS / f"{name}-{ranks}"
    if not any(place.glob("*/results.json")):
        place.mkdir(parents=True, exist_ok=True)
        with (place / "log.txt").open("wb") as log:
            around = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
            subprocess.run(
                command(ranks, place, *settings), stdout=log, stderr=subprocess.STDOUT, env=around, check=True
            )
    return next(place.glob("*/results.json")).parent


def command(ranks: int, place: Path, *settings: str, where: Iterable[str] = (), port: int | None = None) -> list[str]:
    """Return what is typed to train in so many processes."""
    launcher = [
        "-m",
        "torch.distributed.run",
        f"--nproc_per_node={ranks}",
        f"--master_port={port or free_port()}",
        *where,
    ]
    return [sys.executable, *launcher, "-m", "gan_caption.train", *settings, f"outputs={place}", f"cache={place}"]


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def steps(run: Path) -> list[dict]:
    """Return what a run logged of its updates; validations are compared by their captions."""
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [record for record in records if not any(name.startswith("val/") for name in record)]


def systems(run: Path) -> dict[str, dict[str, float]]:
    return read_results(run, run)["systems"]


def largest(pairs: Iterable[tuple[dict, dict]], wanted: Callable[[str], bool] = bool) -> float:
    """Return the largest difference of two numbers of a wanted name, relative to the first or to .01 at least."""
    return max(
        abs(one[name] - other[name]) / max(abs(one[name]), 0.01)
        for one, other in pairs
        for name in one
        if isinstance(one[name], int | float) and name != "time" and math.isfinite(one[name]) and wanted(name)
    )


def is_norm(name: str, *, asked: bool) -> bool:
    """Tell whether a name is a norm's, or, where norms are not asked for, another's."""
    return ("norm" in name) == asked


def compared(alone: Path, other: Path) -> list[str]:
    """Return how far two runs are from each other: in what they logged but for norms, final metrics, captions."""
    logged = largest(zip(steps(alone), steps(other), strict=True), lambda name: "norm" not in name)
    final = largest((systems(alone)[name], systems(other)[name]) for name in systems(alone))
    return [f"{logged:.0e}", f"{final:.0e}", differing(alone, other)]


def differing(alone: Path, other: Path) -> str:
    """Say how many decoded captions and samples of the test images are others."""
    told = [
        [text for row in json.loads((run / path.name).read_text()) for text in (row["caption"], *row["samples"])]
        for path in sorted(alone.glob("captions_*.json"))
        for run in (alone, other)
    ]
    pairs = [pair for one, two in zip(told[::2], told[1::2], strict=True) for pair in zip(one, two, strict=True)]
    return f"{sum(one != two for one, two in pairs)} of {len(pairs)}"


def seconds(run: Path, phase: str) -> float:
    """Return the median duration of a step."""
    times = [record["time"] for record in steps(run) if record["phase"] == phase]
    return statistics.median(after - before for before, after in pairwise(times))


if __name__ == "__main__":
    main()
