"""Runs are killed at random moments, resumed, and compared with runs that were left alone: see README.md."""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from experiments.composing import composed
from gan_caption.experiment import run_experiment
from gan_caption.reporting.table import markdown
from gan_caption.training.checkpoint import load_state

HERE = Path(__file__).parent
METHODS = ("mle", "scst", "actor_critic", "ppo", "seqgan", "scratchgan", "shetty")
"""One of each family: likelihood, self-critical, learned critic, several updates a batch, rollouts, dense, Gumbel."""
ENCODERS = {
    "learns": ["encoder.width=8", "phases.words.steps=3", "phases.words.images_per_batch=8"],
    "frozen": ["encoder=pooling", "allow=[experiments]", "phases.words=null"],
}
"""With the frozen one there is a feature cache, and no phase `words`."""
SMALL = [
    "tracker=local", "threads=1", "log_every=1", "save_every=2", "resume=auto", "max_length=8",
    "data.train=40", "data.val=8", "data.test=8", "size.hidden=16", "size.embedding=16",
    "phases.mle.epochs=2", "phases.mle.images_per_batch=8", "phases.mle.learning_rate_schedule.warmup_steps=2",
    "discriminator_training.steps=4", "adversarial.steps=6", "adversarial.images_per_batch=4",
    "adversarial.quality_floor=0",
]  # fmt: skip
WRITES = ("a checkpoint", "weights", "a metrics line", "features")
AT_ANY_TIME = "any time"
BEFORE, EVALUATION = "before the first step", "evaluation"
"""What there is beside the phases of the training."""


@dataclass
class Trial:
    """What happened to one run."""

    method: str
    encoder: str
    kills: list[tuple[str, str]] = field(default_factory=list)
    """What was being done, and in which phase."""
    fault: str | None = None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS)
    parser.add_argument("--out", type=Path, default=HERE / "table.md")
    told = parser.parse_args()
    torch.set_num_threads(1)  # of this process, which is forked: it must have no others
    importlib.import_module("torch._dynamo")  # as optimizers do at their first step, which takes each fork two seconds
    gc.freeze()  # a collection in a fork would copy all of it
    with tempfile.TemporaryDirectory() as place:
        home = Path(place)
        pairs = [(method, encoder) for method in told.methods for encoder in ENCODERS]
        times = {pair: left_alone(pair, home) for pair in pairs}
        with ThreadPoolExecutor(told.workers) as pool:
            trials = list(pool.map(lambda number: trial(number, told.seed, times, home), range(told.trials)))
    text, whole = report(trials, told.seed)
    told.out.write_text(f"{text}\n")
    print(text)
    if not whole:
        raise SystemExit(1)


def trial(number: int, seed: int, times: dict[tuple[str, str], dict[str, float]], home: Path) -> Trial:
    """Kill a run one to three times, each in a phase drawn from those that are left; take it up, and compare its end.

    Args:
        number: of the trial.
        seed: of all trials.
        times: the runs, by method and encoder, and how many seconds each of their phases takes.
        home: has the runs that were left alone.
    """
    rng = random.Random(f"{seed} {number}")
    pair = list(times)[number % len(times)]
    phases = list(times[pair])
    done = Trial(*pair)
    folder = home / f"trial{number}"
    try:
        kills = rng.randint(1, 3)
        while len(done.kills) < kills:
            phase = rng.choice(phases[phases.index(phase_of(folder)) :])
            writes = {BEFORE: WRITES[3:] if pair[1] == "frozen" else (), EVALUATION: ()}.get(phase, WRITES[:3])
            moment = rng.choice((AT_ANY_TIME, *writes))
            process = start(pair, folder)
            if killed(process, until(phase, moment, folder, rng, times[pair][phase])):
                done.kills.append((moment, phase_of(folder)))
                check_readable(folder)
            elif not done.kills:  # it ended before: from the beginning
                shutil.rmtree(folder)
            else:
                break
        process = start(pair, folder)
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        assert status == 0, (folder / "log.txt").read_text()[-2000:]
        check_readable(folder)
        compare(home / "-".join(pair), folder)
    except Exception:
        done.fault = traceback.format_exc()
    print(f"{number}: {done}", file=sys.stderr, flush=True)
    return done


def left_alone(pair: tuple[str, str], home: Path) -> dict[str, float]:
    """Train without interruption; return the seconds of each phase, in their order."""
    begun = time.monotonic()
    folder = home / "-".join(pair)
    process = start(pair, folder)
    times = {BEFORE: 0.0}
    while True:
        ended, status = os.waitpid(process, os.WNOHANG)
        times.setdefault(phase_of(folder), time.monotonic() - begun)
        if ended:
            break
        time.sleep(0.005)
    if status:
        raise SystemExit((folder / "log.txt").read_text()[-3000:])
    ends = [*list(times.values())[1:], time.monotonic() - begun]
    return {phase: end - start for (phase, start), end in zip(times.items(), ends, strict=True)}


def start(pair: tuple[str, str], folder: Path) -> int:
    """Begin a run, or take it up, in a process of its own; return its number. A fork saves the imports."""
    folder.mkdir(exist_ok=True)
    process = os.fork()
    if process:
        return process
    try:
        log = os.open(folder / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        run_experiment(configuration(*pair, folder), data="scenes")
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


def configuration(method: str, encoder: str, folder: Path) -> dict[str, Any]:
    places = [f"outputs={folder}/outputs", f"cache={folder}/cache"]
    pages = str(HERE.parent / "speed" / "memory" / "conf")
    overrides = [f"+experiment={method}", f"hydra.searchpath=[file://{pages}]"]
    plain = composed(*overrides, *SMALL, *ENCODERS[encoder], *places)
    for phase in filter(None, (plain["phases"].get("adversarial"), plain["phases"].get("policy_gradient"))):
        phase["validate_every"] = 3
        if "most" in phase.get("gate", {}):
            phase["gate"] |= {"fewest": 1, "most": 2}  # steps of D, of which its page has up to 50 an update
        if "samples_per_image" in phase["objective"]:
            phase["objective"]["samples_per_image"] = 3
    return plain


def killed(process: int, waits: Iterator[bool]) -> bool:
    """Kill a process at the moment that is waited for; False if it ended before."""
    for now in waits:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            assert os.waitstatus_to_exitcode(status) == 0, "the run failed before it was killed"
            return False
        if now:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            return True
    raise AssertionError("waiting never ends by itself")


def until(phase: str, moment: str, folder: Path, rng: random.Random, seconds: float) -> Iterator[bool]:
    """Yield True once the moment has come in this phase, which takes so many seconds."""
    while phase_of(folder) != phase and phase != BEFORE:
        yield False
        time.sleep(0.003)
    if moment == AT_ANY_TIME:
        end = time.monotonic() + rng.uniform(0, seconds)
        while True:
            yield time.monotonic() >= end
            time.sleep(0.001)
    look: dict[str, Callable[[], object]] = {
        "a checkpoint": lambda: names(folder, "outputs/*/checkpoints/.last.pt.*.tmp"),
        "weights": lambda: names(folder, "outputs/*/checkpoints/.best_*.tmp"),
        "a metrics line": lambda: sizes(folder, "outputs/*/metrics.jsonl"),
        "features": lambda: names(folder, "cache/**/*"),
    }
    times, before = rng.randint(1, 8 if moment == "a metrics line" else 3), look[moment]()
    while True:
        now = look[moment]()
        if now and now != before:
            times -= 1
        before = now
        yield times <= 0
        time.sleep(0.0005)  # a file is being written for milliseconds; who looks all the time takes a core from the run


def names(folder: Path, pattern: str) -> tuple[str, ...]:
    return tuple(sorted(str(path) for path in folder.glob(pattern)))


def sizes(folder: Path, pattern: str) -> tuple[int, ...]:
    return tuple(path.stat().st_size for path in folder.glob(pattern))


def phase_of(folder: Path) -> str:
    """Return how far a run has come: the phase of its last whole record, or what is before or after all."""
    whole = "outputs/[!.]*"  # not one that is still being made, whose hidden folder goes when it takes its name
    if any(folder.glob(f"{whole}/captions_*.json")):
        return EVALUATION
    phase = BEFORE
    for path in folder.glob(f"{whole}/metrics.jsonl"):
        if whole_lines := path.read_bytes().split(b"\n")[:-1]:
            phase = json.loads(whole_lines[-1])["phase"]
    return phase


def check_readable(folder: Path) -> None:
    """Read every file of a run, as it lies there after a kill; a line that was being written is the last."""
    for run in folder.glob("outputs/*"):
        for path in run.glob("*.json"):
            json.loads(path.read_text())
        for path in run.glob("*.jsonl"):
            for line in path.read_bytes().split(b"\n")[:-1]:
                json.loads(line)
        for path in run.glob("checkpoints/*.safetensors"):
            load_file(path)
        for path in run.glob("checkpoints/last.pt"):
            load_state(path)


def compare(alone: Path, resumed: Path) -> None:
    """Compare what two runs left: weights, optimizers, random states, records and results."""
    one, other = (only(folder.glob("outputs/*")) for folder in (alone, resumed))
    for path in sorted(one.glob("checkpoints/*.safetensors")):
        assert path.read_bytes() == (other / "checkpoints" / path.name).read_bytes(), path.name
    states = [vars(load_state(run / "checkpoints" / "last.pt")) for run in (one, other)]
    same(*states, where="last.pt")
    same(records(one), records(other), where="metrics.jsonl")
    assert (one / "results.json").read_bytes() == (other / "results.json").read_bytes(), "results.json"


def records(run: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "time"} for line in lines]


def only(paths: Iterator[Path]) -> Path:
    (path,) = paths
    return path


def same(one: Any, other: Any, *, where: str) -> None:
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other), where
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            same(one[key], other[key], where=f"{where}.{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), where
        for index, pair in enumerate(zip(one, other, strict=True)):
            same(*pair, where=f"{where}.{index}")
    else:
        assert repr(one) == repr(other), where  # to which one NaN is like another


def report(trials: list[Trial], seed: int) -> tuple[str, bool]:
    """Return tables of what was killed and how it ended, with the faults, and whether there were none."""
    kills = [kill for own in trials for kill in own.kills]
    whole = sum(own.fault is None for own in trials)
    rows = [["killed while writing", *(by_moment := Counter(moment for moment, _ in kills))]]
    rows.append(["kills", *map(str, by_moment.values())])
    phases = Counter(phase for _, phase in kills)
    more = [["killed in phase", *phases], ["kills", *map(str, phases.values())]]
    methods = Counter(own.method for own in trials)
    good = Counter(own.method for own in trials if own.fault is None)
    last = [["method", *methods], ["bitwise the uninterrupted run", *(f"{good[m]} of {n}" for m, n in methods.items())]]
    head = f"{whole} of {len(trials)} runs end bitwise equal to the uninterrupted one; {len(kills)} kills, seed {seed}."
    text = "\n\n".join([head, *(markdown(table) for table in (rows, more, last))])
    faults = [f"{own.method}, {own.encoder}, {own.kills}:\n\n{own.fault}" for own in trials if own.fault]
    return "\n\n".join([text, *faults]), not faults


if __name__ == "__main__":
    main()
