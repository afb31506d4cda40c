"""Every seed and every former finding, through the readers that it is for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from experiments.fuzzing.corpus_files import CORPUS, target_names
from tests.slow import mostly_slow
from tests.started import ended

ROOT = Path(__file__).parents[2]
GENEROUS = 300
"""Seconds until an input counts as one that hangs; each target takes a few."""


@pytest.mark.parametrize("name", mostly_slow(target_names(), fast=["configuration"]))
def test_no_input_crashes_hangs_or_fills_the_memory(name, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    result = ended("experiments.fuzzing.feed", name, folder=ROOT, environment=environment, within=GENEROUS)
    assert result.returncode == 0, f"{result.stdout[-4000:]}\n{result.stderr[-2000:]}"
    assert not list(tmp_path.rglob("executed")), "an input ran a command"


def test_no_corpus_is_left_without_its_target():
    assert {path.name for path in CORPUS.iterdir()} <= set(target_names())
