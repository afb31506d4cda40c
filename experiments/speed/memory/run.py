"""Whether a training run's memory grows with the number of images: see README.md."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from experiments.speed.growth.point import resident
from gan_caption.reporting.table import markdown

HERE = Path(__file__).parent
COUNTS = (8_000, 80_000)
METHODS = {"mle": "10%", "nsc": "10%"}
"""With the most that is allowed; nsc also holds the references, for CIDEr-D."""
STEPS = 380
"""After which memory is looked at: the smaller data set has 400 steps an epoch."""
WORDS, VALIDATION = 3000, 100


def main() -> None:
    rows = [["method", *(f"{count:,} images, MB" for count in COUNTS), "more", "at most", "at the highest, MB"]]
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        data = [made(Path(folder) / str(count), count) for count in COUNTS]
        for method, asked in METHODS.items():
            (small, _), (large, highest) = (while_training(method, own) for own in data)
            more = f"{large / small - 1:+.1%}"
            rows.append([method, f"{small:.0f}", f"{large:.0f}", more, asked, f"{highest:.0f}"])
            print(rows[-1], file=sys.stderr, flush=True)
    head = (
        f"Resident memory of training: at step {STEPS}, and at its highest (while it starts) with {COUNTS[1]:,} images."
    )
    text = f"{head}\n\n{markdown(rows)}"
    (HERE / "table.md").write_text(f"{text}\n")
    print(text)


def made(root: Path, count: int) -> Path:
    """Lay out `count` photographs with five captions each as Flickr8k has them, and extract their features."""
    photographs = root / "Flicker8k_Dataset"
    photographs.mkdir(parents=True)
    rng = np.random.default_rng(0)
    one = root / "one.jpg"
    Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(one)
    names = [f"{index:07d}_photograph.jpg" for index in range(count + VALIDATION)]
    words = np.array([f"word{index}" for index in range(WORDS)])
    with (root / "Flickr8k.token.txt").open("w") as file:
        for name in names:
            (photographs / name).symlink_to(one)
            for place in range(5):
                told = words[(WORDS * rng.random(rng.integers(8, 14)) ** 3).astype(int)]
                file.write(f"{name}#{place}\t{' '.join(told)} .\n")
    (root / "Flickr_8k.trainImages.txt").write_text("\n".join(names[:count]))
    (root / "Flickr_8k.devImages.txt").write_text("\n".join(names[count:]))
    subprocess.run(command("prepare", root), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return root


def command(program: str, root: Path) -> list[str]:
    return [
        sys.executable, "-m", f"gan_caption.{program}", "--config-dir", str(HERE / "conf"), "allow=[experiments]",
        "encoder=pooling", "data=flickr8k", f"data.root={root}", f"cache={root}/cache",
    ]  # fmt: skip


def while_training(method: str, root: Path) -> tuple[float, float]:
    """Return the MB that a run holds at step STEPS, and the most that it ever held."""
    outputs = root / f"outputs-{method}"
    extra = [f"+experiment={method}", f"outputs={outputs}", "tracker=local", "log_every=10"]
    with subprocess.Popen(
        [*command("train", root), *extra], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        while not any(f'"step": {STEPS},' in records.read_text() for records in outputs.glob("*/metrics.jsonl")):
            if process.poll() is not None:
                raise SystemExit(f"{method} ended before step {STEPS}")
            time.sleep(0.5)
        found = resident("VmRSS", process.pid), resident("VmHWM", process.pid)
        process.terminate()
    return found


if __name__ == "__main__":
    main()
