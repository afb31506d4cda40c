"""What a neighbour costs: a training alone, and two of it at a time on one machine. See README.md."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from gan_caption.reporting.table import markdown

HERE = Path(__file__).parent
SCENES = (
    "+experiment=seqgan", "data.train=800", "data.val=100", "data.test=100", "phases.words.steps=80",
    "phases.mle.epochs=2", "phases.discriminator.steps=30", "phases.adversarial.steps=15",
)  # fmt: skip
PHOTOGRAPHS = (
    "+experiment=seqgan", "encoder=efficientnet_lite0", "validation.images=100", "phases.mle.epochs=1",
    "phases.discriminator.steps=20", "phases.adversarial.steps=5",
)  # fmt: skip


def main(root: str = "", cache: str = "cache") -> None:
    rows = [["", "alone, s", "two at a time, s", "ratio"]]
    rows.append(measured("scenes", SCENES))
    if root:
        data = ("data=flickr8k", f"data.root={root}", f"cache={cache}")
        subprocess.run([sys.executable, "-m", "gan_caption.prepare", *data, "encoder=efficientnet_lite0"], check=True)
        rows.append(measured("photographs", (*PHOTOGRAPHS, *data)))
    text = f"Whole commands, from start to final table; features of photographs are in the cache.\n\n{markdown(rows)}"
    (HERE / "table.md").write_text(f"{text}\n")
    print(text)


def measured(name: str, overrides: tuple[str, ...]) -> list[str]:
    alone, both = seconds(1, overrides), seconds(2, overrides)
    return [name, f"{alone:.0f}", f"{both:.0f}", f"{both / alone:.2f}"]


def seconds(count: int, overrides: tuple[str, ...]) -> float:
    """Return how long it takes until so many trainings, begun at once, have all ended."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "gan_caption.train", *overrides, "tracker=local", f"outputs={folder}"]
        start = time.perf_counter()
        runs = [
            subprocess.Popen([*command, f"seed={seed}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for seed in range(count)
        ]
        statuses = [run.wait() for run in runs]
        if any(statuses):
            raise SystemExit(f"one failed: {' '.join(command)}")
        return time.perf_counter() - start


if __name__ == "__main__":
    main(*sys.argv[1:])
