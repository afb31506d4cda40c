"""How many threads a run has: by its size, by what else the machine does, and the same again when it is resumed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import namedtuple

import psutil
import pytest
import torch

from gan_caption.training.threads import Neighbours, Threads, suitable, threads_of


def test_a_small_network_trains_with_one_thread_and_is_evaluated_with_all_that_are_idle():
    assert suitable(300_000, idle=8) == Threads(training=1, evaluation=8)
    assert suitable(5_000_000, idle=8) == Threads(training=8, evaluation=8)


def clock(monkeypatch, *, seconds, worked, own, torchs, cores):
    """A machine whose four cores work so many of the seconds that pass between a look and the next."""
    looks = iter([[0.0] * 4, worked])
    times = namedtuple("times", "user idle")
    monkeypatch.setattr(psutil, "cpu_times", lambda percpu: [times(user, 0.0) for user in next(looks)])
    monkeypatch.setattr("os.times", iter([(0.0,) * 5, (own, 0.0, 0.0, 0.0, 0.0)]).__next__)
    monkeypatch.setattr("time.monotonic", iter([0.0, seconds, seconds]).__next__)
    monkeypatch.setattr(torch, "get_num_threads", lambda: torchs)
    monkeypatch.setattr("os.sched_getaffinity", lambda process: cores)


@pytest.mark.parametrize(
    ("worked", "own", "torchs", "cores", "idle"),
    [
        ([10.0, 0.2, 0.1, 0.0], 10.0, 4, {0, 1, 2, 3}, 4),  # what works is this process
        ([10.0, 9.9, 0.1, 9.8], 9.9, 4, {0, 1, 2, 3}, 2),  # two neighbours
        ([10.0] * 4, 2.0, 4, {0, 1, 2, 3}, 1),
        ([0.0] * 4, 0.0, 4, {1, 2}, 2),  # taskset, a container
        ([0.0] * 4, 0.0, 1, {0, 1, 2, 3}, 1),  # OMP_NUM_THREADS=1
    ],
)
def test_cores_that_others_use_are_left_to_them(monkeypatch, worked, own, torchs, cores, idle):
    clock(monkeypatch, seconds=10.0, worked=worked, own=own, torchs=torchs, cores=cores)
    assert Neighbours().idle_cores() == idle


def test_a_run_keeps_the_threads_that_it_began_with(tmp_path):
    first = threads_of(tmp_path, None, Neighbours(), weights=5_000_000)
    (tmp_path / "threads.json").write_text(json.dumps({"training": 3, "evaluation": 4}))
    assert threads_of(tmp_path, None, Neighbours(), weights=5_000_000) == Threads(3, 4) != first
    assert threads_of(tmp_path, 2, Neighbours(), weights=5_000_000) == Threads(2, 2)  # asked for
    assert threads_of(tmp_path, None, Neighbours(), weights=5_000_000) == Threads(2, 2)  # when it was last started


SEEN = """
import sys, torch
from gan_caption.experiment import run_experiment
from gan_caption.training.phases.maximum_likelihood import MaximumLikelihoodPhase
from gan_caption.evaluation.evaluator import Evaluator
import gan_caption.training.threads as threads
from tests.tiny_runs import TINY, composed

threads.Neighbours.idle_cores = lambda self: 2
torch.set_num_threads(2)
seen = {}
def watched(kind, name):
    function = getattr(kind, name)
    def watching(*arguments, **named):
        seen.setdefault(name, set()).add(torch.get_num_threads())
        return function(*arguments, **named)
    setattr(kind, name, watching)
watched(MaximumLikelihoodPhase, "step")
watched(Evaluator, "evaluate")
config = composed("+experiment=mle", *TINY, "threads=null", f"outputs={sys.argv[1]}", f"cache={sys.argv[1]}/cache")
run_experiment(config, data="scenes")
assert seen["step"] == {1}, seen
assert 2 in seen["evaluate"], seen
assert torch.get_num_threads() == 2  # for the next run of a sweep
"""


@pytest.mark.slow
def test_training_and_evaluation_have_their_threads_and_the_process_its_own_afterwards(tmp_path):
    subprocess.run([sys.executable, "-c", SEEN, str(tmp_path)], check=True)
