"""What the studies share: train a configuration over seeds, each run resumable, and read what it left."""

from __future__ import annotations

import hashlib
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.composing import composed
from gan_caption.configuration.command_line import read_command_line
from gan_caption.configuration.launching import conf_dir
from gan_caption.configuration.settings import OF_ONE_MACHINE
from gan_caption.evaluation.result_files import read_results
from gan_caption.files import write_atomically
from gan_caption.metrics.metric import Metrics
from gan_caption.reporting.results import metrics_of
from gan_caption.training.folders import read_config, write_text
from gan_caption.training.identity import configuration_hash

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def train(*overrides: str, outputs: Path) -> Path:
    """Train in a process of its own, unless it was finished before; return the run folder."""
    done = finished(*overrides, outputs=outputs)
    if done is None:
        place = _place(overrides, outputs)
        place.mkdir(parents=True, exist_ok=True)
        (place / "command.txt").write_text(f"{' '.join(overrides)}\n")
        command = [sys.executable, "-m", "gan_caption.train", *overrides, f"outputs={place}", "resume=auto"]
        _watch(command, log=place / "log.txt", cost=place / "cost.json")
        done = finished(*overrides, outputs=outputs)
        assert done is not None, f"{place} has no results.json"
    return done


def finished(*overrides: str, outputs: Path) -> Path | None:
    """Return the folder of a run that `train` has finished, by what its pages mean today; None where it has not."""
    results = sorted(_place(overrides, outputs).glob("*/results.json"), key=lambda path: path.stat().st_mtime)
    today = settings_by(overrides) if results else None
    return next((path.parent for path in reversed(results) if settings_in(read_config(path.parent)) == today), None)


def settings_in(config: Mapping[str, Any]) -> str:
    """Return a digest of all settings of a run, none of a machine's, and of paths of the data the last name."""
    own = {key: value for key, value in config.items() if key not in OF_ONE_MACHINE}
    own["data"] = {
        key: value.rpartition("/")[2] if isinstance(value, str) else value for key, value in own["data"].items()
    }
    return configuration_hash(own)


def settings_by(overrides: Sequence[str]) -> str:
    """Return the same of what overrides mean by today's pages."""
    asked = read_command_line(list(overrides), entry=conf_dir() / "config.yaml")[1]
    return settings_in(composed(*asked.overrides))


def _place(overrides: Sequence[str], outputs: Path) -> Path:
    return outputs / hashlib.sha256(" ".join(overrides).encode()).hexdigest()[:10]


def train_all(runs: Sequence[Sequence[str]], *, outputs: Path, workers: int) -> list[Path]:
    """Train several configurations, `workers` at a time, each on one thread; return their run folders in order."""
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(lambda overrides: train(*overrides, "threads=1", outputs=outputs), runs))


def evaluate(run: Path, *overrides: str) -> dict[str, dict[str, float]]:
    """Return the metrics of an `evaluation`, by system."""
    return systems(evaluation(run, *overrides))


def evaluation(run: Path, *overrides: str) -> Path:
    """Evaluate a run as `gan_caption.evaluate` does, unless that was done before; return the folder of it."""
    marker = run / "evaluated.json"
    done = json.loads(marker.read_text()) if marker.exists() else {}
    key = " ".join(overrides)
    if key not in done:
        command = [sys.executable, "-m", "gan_caption.evaluate", f"run={run}", "curve=null", *overrides]
        _watch(command, log=run / "evaluate.txt")
        made = max(run.glob("evaluation-*/results.json"), key=lambda path: path.stat().st_mtime)
        done[key] = made.parent.name
        write_text(marker, json.dumps(done, indent=1))
    return run / done[key]


def _watch(command: Sequence[str], *, log: Path, cost: Path | None = None) -> None:
    """Run a command to its end, what it prints going to a file; `cost` adds up the CPU minutes of its starts."""
    print(f"$ python {' '.join(command[1:])}    (follow it in {log})", flush=True)
    if cost is not None:
        before = _so_far(cost)
        write_text(cost, json.dumps({**before, "begun": time.time()}))
    with log.open("ab") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if cost is not None:
        minutes = before["minutes"] + (usage.ru_utime + usage.ru_stime) / 60  # whatever else the machine had to do
        peak = max(before["gigabytes"], usage.ru_maxrss * 1024 / 1e9)  # ru_maxrss is in KiB on Linux
        write_text(cost, json.dumps({"minutes": minutes, "gigabytes": peak}))
    if process.returncode:
        lines = log.read_text(errors="replace").splitlines()[-15:]
        raise SystemExit("\n".join([*lines, f"exit status {process.returncode}: {log}; start again to go on"]))


def _so_far(cost: Path) -> dict[str, float]:
    """Return the minutes and the most memory of a run's starts.

    Of one that was killed with the study, all minutes count to the last line that it printed, and memory is not known.
    """
    told: dict[str, float] = json.loads(cost.read_text()) if cost.exists() else {"minutes": 0.0, "gigabytes": 0.0}
    begun, log = told.pop("begun", None), cost.with_name("log.txt")
    if begun is not None and log.exists():
        told["minutes"] += max(0.0, log.stat().st_mtime - begun) / 60
    return told


def seen(interval: tuple[float, float]) -> float:
    """Return the effect that a two-sided test at 5% sees with 80%, by the 95% interval of a difference.

    A bootstrap's is 2 x 1.96 standard errors wide, and 1.96 + .84 of them are seen. Where Student's t made it wider,
    less is seen than is told here: with five seeds a fifteenth less.
    """
    low, high = interval
    return (1.96 + 0.84) * (high - low) / (2 * 1.96)


def cost(outputs: Path) -> str:
    """Say how long the runs took and how much memory they needed."""
    costs = [_so_far(path) for path in outputs.glob("*/cost.json")]
    minutes = [one["minutes"] for one in costs]
    return (
        f"{len(costs)} runs, {min(minutes):.1f} to {max(minutes):.1f} minutes each, "
        f"{sum(minutes) / 60:.1f} hours in all, peak memory {max(one['gigabytes'] for one in costs):.1f} GB a run"
    )


def cost_of(folder: Path) -> float:
    """Return the CPU minutes that a run took, in all its starts; NaN where they were not kept."""
    return _cost_of(folder)["minutes"]


def gigabytes_of(folder: Path) -> float:
    """Return the most memory that a run took, in GB; NaN where it was not kept."""
    return _cost_of(folder)["gigabytes"]


def _cost_of(folder: Path) -> dict[str, float]:
    path = folder.parent / "cost.json"
    told = _so_far(path) if path.exists() else {}
    return {name: told.get(name) or math.nan for name in ("minutes", "gigabytes")}


def systems(folder: Path) -> dict[str, dict[str, float]]:
    """Return a run's metrics by system."""
    return read_results(folder, folder)["systems"]


def humans(folder: Path) -> dict[str, float]:
    """Return what people score by a run's metrics, each beside the others of the same image."""
    return read_results(folder, folder)["humans"]


def trained(folder: Path) -> str:
    """Return the system that a run's last phase left: "adversarial" or "policy_gradient"."""
    return list(systems(folder))[-1]


def metrics(folder: Path) -> Metrics:
    """Return the metrics that a run has values of."""
    return metrics_of(read_results(folder, folder))


def captions(folder: Path, system: str) -> dict[str, str]:
    """Return a run's decoded captions by image."""
    return {row["image_id"]: row["caption"] for row in json.loads((folder / f"captions_{system}.json").read_text())}


def write_png(figure: Figure | None, path: Path) -> None:
    """Write a figure, where there is one, as a whole or not at all."""
    if figure is None:
        return
    write_atomically(path, lambda file: figure.savefig(file, format="png", dpi=130))
