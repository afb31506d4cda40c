"""A sweep of six runs on scenes, killed in the middle and continued, beside one that was not killed: see README.md."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from experiments.reports.run import picture

HERE = Path(__file__).parent
OUTPUTS = HERE / "outputs"
SWEEP = (
    "+sweep=grid", "+experiment=mle,scst,seqgan", "seed=0,1", "tracker=local", "data.train=2000",
    "validation.images=100", "data.test=200", "discriminator_training.steps=60",
    "adversarial.steps=60", "adversarial.learning_rate=2e-4",
    "save_every=20",
)  # fmt: skip
"""Method by method, each with two seeds, small enough for minutes."""
FINISHED = 3
"""Runs that shall have finished when the sweep is killed."""


def main(overrides: list[str]) -> None:
    shutil.rmtree(OUTPUTS, ignore_errors=True)  # what has finished could not be killed
    whole, killed = OUTPUTS / "whole", OUTPUTS / "killed"
    sweep(whole, *overrides)
    kill_in_the_middle(killed, *overrides)
    at_the_kill = {folder.name: state(folder) for folder in runs(killed)}
    finished = {path: path.stat().st_mtime_ns for path in killed.glob("*/results.json")}
    sweep(killed, *overrides)

    repeated = sum(path.stat().st_mtime_ns != made for path, made in finished.items())
    equal = sum(
        (whole / folder.name / name).read_bytes() == (folder / name).read_bytes()
        for folder in runs(killed)
        for name in ("results.json", "checkpoints/best_mle.safetensors")
    )
    note = (
        f"At the SIGKILL: {'; '.join(f'{name}: {told}' for name, told in at_the_kill.items())}.\n"
        f"After the same command again: {len(runs(killed))} run folders, {len(finished)} had finished before and "
        f"{repeated} of these were repeated. Of {2 * len(runs(whole))} files (results.json and the baseline's weights "
        f"of every run) {equal} are bitwise those of the sweep that was not killed."
    )
    table = (killed / "sweeps" / "grid" / "table.md").read_text()
    (HERE / "table.md").write_text(f"{note}\n\n{table}")
    print(f"{note}\n\n{table}")
    report = OUTPUTS / "report"
    together = (f"runs={killed / 'sweeps' / 'grid'}", f"out={report}", "gallery=12")
    subprocess.run([sys.executable, "-m", "gan_caption.compare", *together], check=True)
    picture(report / "index.html", HERE / "report.png")
    subprocess.run([sys.executable, "-m", "gan_caption.dashboard", f"out={HERE / 'dashboard.json'}"], check=True)


def start(outputs: Path, *overrides: str) -> subprocess.Popen[bytes]:
    """Start the sweep in a process of its own, what it prints going to a file."""
    outputs.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "gan_caption.train", *SWEEP, *overrides, f"outputs={outputs}"]
    print(f"$ python {' '.join(command[1:])}    (follow it in {outputs / 'log.txt'})", flush=True)
    with (outputs / "log.txt").open("ab") as log:
        return subprocess.Popen([*command, f"cache={OUTPUTS / 'cache'}"], stdout=log, stderr=subprocess.STDOUT)


def sweep(outputs: Path, *overrides: str) -> None:
    """Run the sweep to its end."""
    if start(outputs, *overrides).wait():
        raise SystemExit(f"the sweep failed: {outputs / 'log.txt'}")


def kill_in_the_middle(outputs: Path, *overrides: str) -> None:
    """Kill the sweep when the first runs have finished and the next has a checkpoint."""
    process = start(outputs, *overrides)
    while len(list(outputs.glob("*/checkpoints/last.pt"))) <= FINISHED:
        if process.poll() is not None:
            raise SystemExit(f"the sweep ended before its kill: {outputs / 'log.txt'}")
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()


def runs(outputs: Path) -> list[Path]:
    """Return the run folders, the oldest first."""
    return sorted((path.parent for path in outputs.glob("*/config.json")), key=lambda path: path.stat().st_mtime)


def state(folder: Path) -> str:
    """Say how far a run has come."""
    if (folder / "results.json").exists():
        return "finished"
    return "with a checkpoint" if (folder / "checkpoints" / "last.pt").exists() else "begun"


if __name__ == "__main__":
    main(sys.argv[1:])
