"""When runs reached a CIDEr-D: see README.md."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from gan_caption.reporting.table import markdown

HERE = Path(__file__).parent
WANTED = 0.46


def main(*folders: str) -> None:
    runs = {name: Path(folder) for name, folder in (given.split("=", 1) for given in folders)}
    rows = [
        ["", "minutes to the first step", f"minutes to CIDEr-D {100 * WANTED:.0f}", "epochs", "CIDEr-D x 100 there"]
    ]
    for name, folder in runs.items():
        begun = (folder / "command.txt").stat().st_mtime
        first = next(records(folder))["time"] - begun
        reached = next((own for own in records(folder) if own.get("val/cider_d", 0) >= WANTED), None)
        if reached is None:
            raise SystemExit(f"{folder} has not reached {WANTED}")
        epochs = next(own["epoch"] for own in records(folder) if own["step"] == reached["step"] and "epoch" in own)
        rows.append([
            name, f"{first / 60:.1f}", f"{(reached['time'] - begun) / 60:.1f}", f"{epochs:.0f}",
            f"{100 * reached['val/cider_d']:.1f}",
        ])  # fmt: skip
    text = markdown(rows)
    (HERE / "table.md").write_text(f"{text}\n")
    print(text)


def records(folder: Path) -> Iterator[dict[str, float]]:
    for line in (folder / "metrics.jsonl").read_text().splitlines():
        yield json.loads(line)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit("give run folders: python -m experiments.speed.minutes.run before=outputs/... after=...")
    main(*sys.argv[1:])
