"""What a process that trains does with signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gan_caption.training.interruption import asked_to_stop

ROOT = Path(__file__).parents[2]
WORKING = """
import os, signal
from gan_caption.training.interruption import asked_to_stop

with asked_to_stop() as asked:
    os.kill(os.getpid(), signal.{first})
    print(asked.signal.name, flush=True)
    os.kill(os.getpid(), signal.{second})
    print("went on", flush=True)
"""


@pytest.mark.parametrize(("first", "second"), [("SIGTERM", "SIGTERM"), ("SIGINT", "SIGTERM"), ("SIGTERM", "SIGINT")])
def test_the_first_signal_is_noted_and_a_second_one_ends_the_process(first, second):
    command = [sys.executable, "-c", WORKING.format(first=first, second=second)]
    ended = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert ended.stdout == f"{first}\n"
    assert ended.returncode == -signal.Signals[second]


OF_TWO = WORKING.replace(
    "with asked", "from gan_caption.training import interruption\ninterruption.world.size = lambda: 2\n\nwith asked"
)


def test_of_several_processes_one_may_be_sent_the_same_signal_twice():
    command = [sys.executable, "-c", OF_TWO.format(first="SIGTERM", second="SIGTERM")]
    ended = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert (ended.stdout, ended.returncode) == ("SIGTERM\nwent on\n", 0), ended.stderr


LAUNCHED = """
import os, signal, sys
from gan_caption.configuration.running import leave_at_once
from gan_caption.training.interruption import asked_to_stop

signal.signal(signal.SIGUSR2, lambda *_: sys.exit(144))  # as submitit's does, when it has queued the job again
{before}
try:
    with asked_to_stop() as asked:
        for name in {signals}:
            os.kill(os.getpid(), getattr(signal, name))
            print(asked.signal.name, flush=True)
        print("saved", flush=True)
    print("went on", flush=True)
finally:
    print("unwound", flush=True)
"""


@pytest.mark.parametrize(
    ("signals", "noted"),
    [
        (["SIGUSR2"], ["SIGUSR2"]),
        (["SIGUSR2", "SIGTERM", "SIGUSR2"], ["SIGUSR2"] * 3),
        (["SIGTERM", "SIGUSR2"], ["SIGTERM", "SIGUSR2"]),
    ],
)
@pytest.mark.parametrize(("before", "last"), [("", ["unwound"]), ("leave_at_once()", [])])
def test_a_launcher_that_preempts_is_heard_when_the_work_is_saved(signals, noted, before, last):
    command = [sys.executable, "-c", LAUNCHED.format(before=before, signals=signals)]
    ended = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert (ended.stdout.split(), ended.returncode) == ([*noted, "saved", *last], 144), ended.stderr


AT_ONCE = """
import os, signal, sys
from gan_caption.configuration.running import leave_at_once

signal.signal(signal.SIGUSR2, lambda *_: sys.exit(144))
leave_at_once()
try:
    os.kill(os.getpid(), signal.SIGUSR2)
    print("went on", flush=True)
finally:
    print("unwound", flush=True)
    raise ValueError("clean-up that was broken off")
"""


def test_a_run_that_is_preempted_leaves_without_clean_up_that_could_fail_it():
    command = [sys.executable, "-c", AT_ONCE]
    ended = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert (ended.stdout, ended.stderr, ended.returncode) == ("", "", 144)


def test_what_a_process_was_started_to_ignore_it_goes_on_to_ignore():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with asked_to_stop() as asked:
            signal.raise_signal(signal.SIGINT)
        assert asked.signal is None
    finally:
        signal.signal(signal.SIGINT, before)
