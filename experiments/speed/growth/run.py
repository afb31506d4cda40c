"""How the cost of a SeqGAN generator step grows with batch, length, rollouts and vocabulary: see README.md."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from gan_caption.extras import require
from gan_caption.reporting.table import markdown

HERE = Path(__file__).parent
BASE = {"B": 64, "T": 16, "N": 16, "V": 2540}
"""Images, longest caption, rollouts of each prefix, words."""
SIZES = {
    "B": (16, 32, 64, 128),
    "T": (8, 12, 16, 24),
    "N": (1, 8, 16, 32),
    "V": (1000, 2540, 5000, 10000),
}
LAWS: dict[str, tuple[str, Callable[[np.ndarray], np.ndarray]]] = {
    "B": ("a + b B", lambda x: x),
    "T": ("a + b T (T - 1) / 2", lambda x: x * (x - 1) / 2),
    "N": ("a + b N", lambda x: x),
    "V": ("a + b V", lambda x: x),
}
"""What is expected of the time: each of the B captions has T - 1 prefixes, of which the t-th takes T - t steps of N
rows each; a row costs the products of both LSTMs, and of V words."""


def main() -> None:
    require("matplotlib", extra="report", what="the figure")
    measured = {name: [measure({**BASE, name: size}) for size in sizes] for name, sizes in SIZES.items()}
    rows = [["of", "size", "seconds", "law, seconds", "memory, MB"]]
    for name, points in measured.items():
        sizes = np.array(SIZES[name], dtype=float)
        expected = fitted(name, sizes, np.array([point["seconds"] for point in points]))
        for size, law, point in zip(SIZES[name], expected, points, strict=True):
            rows.append([name, f"{size:,}", f"{point['seconds']:.2f}", f"{law:.2f}", f"{point['megabytes']:.0f}"])
    base = ", ".join(f"{name}={size:,}" for name, size in BASE.items())
    text = (
        f"{base} but for the one that changes; H=512, captions that never end, LSTM discriminator.\n\n{markdown(rows)}"
    )
    (HERE / "table.md").write_text(f"{text}\n")
    draw(measured)
    print(text)


def measure(sizes: dict[str, int]) -> dict[str, float]:
    told = [str(sizes[name]) for name in ("B", "T", "N", "V")]
    done = subprocess.run(
        [sys.executable, "-m", "experiments.speed.growth.point", *told], check=True, capture_output=True, text=True
    )
    print(sizes, done.stdout.strip(), file=sys.stderr, flush=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def fitted(name: str, sizes: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """Return the law's values, its two constants by least squares of the relative errors."""
    terms = np.stack([np.ones(len(sizes)), LAWS[name][1](sizes)], axis=1)
    constants, *_ = np.linalg.lstsq(terms / seconds[:, None], np.ones(len(sizes)), rcond=None)
    values: np.ndarray = terms @ constants
    return values


def draw(measured: dict[str, list[dict[str, float]]]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, len(SIZES), figsize=(3 * len(SIZES), 5), sharex="col", layout="constrained")
    meaning = {"B": "images a batch", "T": "longest caption", "N": "rollouts", "V": "words"}
    for column, (name, points) in enumerate(measured.items()):
        sizes = np.array(SIZES[name], dtype=float)
        seconds = np.array([point["seconds"] for point in points])
        top, bottom = axes[0][column], axes[1][column]
        top.plot(sizes, fitted(name, sizes, seconds), color="0.6", label=LAWS[name][0])
        top.plot(sizes, seconds, "o", color="tab:blue", label="measured")
        bottom.plot(sizes, [point["megabytes"] for point in points], "o-", color="tab:blue")
        bottom.set_xlabel(f"{name}: {meaning[name]}")
        for one in (top, bottom):
            one.set_ylim(bottom=0)
            one.spines[["top", "right"]].set_visible(False)
        top.legend(frameon=False, fontsize="small")
    axes[0][0].set_ylabel("seconds a step")
    axes[1][0].set_ylabel("memory of a step, MB")
    figure.savefig(HERE / "figure.png", dpi=150)


if __name__ == "__main__":
    main()
