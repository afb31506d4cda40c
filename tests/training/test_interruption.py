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


def test_what_a_process_was_started_to_ignore_it_goes_on_to_ignore():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with asked_to_stop() as asked:
            signal.raise_signal(signal.SIGINT)
        assert asked.signal is None
    finally:
        signal.signal(signal.SIGINT, before)
