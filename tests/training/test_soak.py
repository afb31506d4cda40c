"""A short soak: runs that are killed at random moments of random phases end as if they had been left alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the soak forks, and looks at files as they are written")
def test_runs_killed_at_random_end_bitwise_like_those_that_were_not(tmp_path):
    # SeqGAN is killed in each of its phases in test_resume.py.
    asked = ["--trials", "2", "--seed", "1", "--methods", "shetty", "--out", str(tmp_path / "table.md")]
    around = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "experiments.soak.run", *asked]
    ended = subprocess.run(command, cwd=tmp_path, env=around, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.startswith("2 of 2 runs end bitwise equal to the uninterrupted one")
    assert (tmp_path / "table.md").read_text() == ended.stdout
