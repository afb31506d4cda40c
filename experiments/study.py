"""What the studies share: train a configuration over seeds, each run resumable, and read what it left."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path


def train(*overrides: str, outputs: Path) -> Path:
    """Train in a process of its own, unless it was finished before; return the run folder."""
    before = set(outputs.glob("*/results.json"))
    command = [sys.executable, "-m", "gan_caption.train", *overrides, f"outputs={outputs}", "resume=auto"]
    marker = outputs / "finished.json"
    finished = json.loads(marker.read_text()) if marker.exists() else {}
    key = " ".join(overrides)
    if key in finished:
        return outputs / finished[key]["folder"]
    print(f"$ python -m gan_caption.train {key}", flush=True)
    start = time.monotonic()
    subprocess.run(command, check=True)
    (made,) = set(outputs.glob("*/results.json")) - before
    finished[key] = {
        "folder": made.parent.name,
        "minutes": round((time.monotonic() - start) / 60, 1),
        # ru_maxrss is in KiB on Linux: the largest child so far.
        "peak_gigabytes": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e9, 2),
    }
    marker.write_text(json.dumps(finished, indent=1))
    return made.parent


def evaluate(*overrides: str) -> dict[str, dict[str, float]]:
    """Evaluate a run as `gan_caption.evaluate` does, unless that was done before; return metrics by system."""
    run = Path(next(one for one in overrides if one.startswith("run=")).removeprefix("run="))
    marker = run / "evaluated.json"
    done = json.loads(marker.read_text()) if marker.exists() else {}
    key = " ".join(overrides)
    if key not in done:
        print(f"$ python -m gan_caption.evaluate {key}", flush=True)
        subprocess.run([sys.executable, "-m", "gan_caption.evaluate", *overrides], check=True)
        made = max(run.glob("evaluation-*/results.json"), key=lambda path: path.stat().st_mtime)
        done[key] = made.parent.name
        marker.write_text(json.dumps(done, indent=1))
    return systems(run / done[key])


def cost(outputs: Path) -> str:
    """Say how long the runs took and how much memory they needed."""
    finished = json.loads((outputs / "finished.json").read_text()).values()
    minutes = [run["minutes"] for run in finished]
    return (
        f"{len(minutes)} runs, {min(minutes)} to {max(minutes)} minutes each, "
        f"peak memory {max(run['peak_gigabytes'] for run in finished)} GB"
    )


def systems(folder: Path) -> dict[str, dict[str, float]]:
    """Return a run's metrics by system."""
    return json.loads((folder / "results.json").read_text())["systems"]


def captions(folder: Path, system: str) -> dict[str, str]:
    """Return a run's decoded captions by image."""
    return {row["image_id"]: row["caption"] for row in json.loads((folder / f"captions_{system}.json").read_text())}
