"""What a process that trains does with signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

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
