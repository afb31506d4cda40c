from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import torch

from tests.tiny_runs import TINY_SEQGAN, composed

# Tests are tiny: a second thread costs more than it computes, and sums in one order are the same everywhere.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"  # for the processes that tests start
# What a shell starts in the background ignores Ctrl-C, and so would all that tests start, and end by it.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def configured(tmp_path: Path):
    """Compose a tiny configuration, as the command line does, that writes into the test's folder."""

    def make(*overrides: str, base: list[str] = TINY_SEQGAN, config_name: str = "config") -> dict:
        places = {"cache": f"{tmp_path}/cache"}
        if config_name == "config":
            places["outputs"] = f"{tmp_path}/outputs"
        if "data=shards" in overrides:  # whose page takes the cache from there
            return composed(*base, *(f"{key}={place}" for key, place in places.items()), *overrides)
        asked = {one.partition("=")[0] for one in overrides}
        config = composed(*base, *overrides, config_name=config_name)
        return config | {key: place for key, place in places.items() if key not in asked}

    return make
