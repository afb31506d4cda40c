"""One of two processes is killed in each phase, and the run taken up by one, two or four: see README.md."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from itertools import product
from pathlib import Path

import psutil

from experiments.ranks.run import HERE, OUTPUTS, command, compared, overrides, train
from gan_caption.reporting.table import markdown
from gan_caption.training.checkpoint import load_state

FROZEN = ["encoder.finetune=false", "phases.words=null"]
PHASES = {
    "features": FROZEN, "words": [], "mle": [], "discriminator": [], "adversarial": [], "evaluation": [],
}  # fmt: skip
"""With what settings there is such a phase; features are extracted where the encoder does not learn."""
GOES_ON = (1, 2, 4)
"""With how many processes, in turn."""


def main() -> None:
    rows = [
        ["killed in phase", "rank", "the others ended after, s", "goes on with", "losses and the like", "final metrics",
         "captions that differ"]
    ]  # fmt: skip
    for number, ((phase, more), rank) in enumerate(product(PHASES.items(), (0, 1))):
        settings = [*overrides("seqgan"), *more, "save_every=2", "resume=auto"]
        alone = train(1, f"whole-{'frozen' if more else 'learns'}", *settings)
        place = OUTPUTS / f"killed-{phase}-{rank}"
        shutil.rmtree(place, ignore_errors=True)
        ended_after = kill(place, settings, phase, rank)
        ranks = GOES_ON[number % len(GOES_ON)]
        run = train(ranks, place.name, *settings, place=place)
        rows.append([phase, str(rank), f"{ended_after:.1f}", str(ranks), *compared(alone, run)])
        (HERE / "kills.md").write_text(f"{markdown(rows)}\n")
        print(" | ".join(rows[-1]), flush=True)


def kill(place: Path, settings: list[str], phase: str, rank: int) -> float:
    """Kill a process of two in this phase; return the seconds until the others had ended, by themselves."""
    place.mkdir(parents=True)
    with (place / "killed.txt").open("wb") as log:
        around = {**os.environ, "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(command(2, place, *settings), stdout=log, stderr=subprocess.STDOUT, env=around)
        while process.poll() is None and not reached(place, phase):
            time.sleep(0.001)
        own = [one for one in psutil.Process(process.pid).children() if one.environ().get("RANK") == str(rank)]
        own[0].send_signal(signal.SIGKILL)
        began = time.monotonic()
        status = process.wait(timeout=60)
    said = (place / "killed.txt").read_text()
    assert status, "a run that lost a process has failed"
    assert "Signal 9 (SIGKILL)" in said, said[-3000:]
    for state in place.glob("*/checkpoints/last.pt"):
        load_state(state)  # no file is unreadable
    return time.monotonic() - began


def reached(place: Path, phase: str) -> bool:
    """Whether a run is in this phase."""
    if phase == "features":
        return any(place.glob("*/*.npy"))
    if phase == "evaluation":
        return any(place.glob("*/captions_mle.json"))
    return any(f'"phase": "{phase}"' in path.read_text() for path in place.glob("*/metrics.jsonl"))


if __name__ == "__main__":
    main()
