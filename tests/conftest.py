from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from gan_caption.configuration.launching import conf_dir
from tests.tiny_runs import TINY_SEQGAN

# Tests are tiny: a second thread costs more than it computes, and sums in one order are the same everywhere.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"  # for the processes that tests start
# What a shell starts in the background ignores Ctrl-C, and so would all that tests start, and end by it.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def configured(tmp_path: Path):
    """Compose a tiny configuration, as the command line does, that writes into the test's folder."""

    def make(*overrides: str, base: list[str] = TINY_SEQGAN, config_name: str = "config") -> dict:
        with initialize_config_dir(str(conf_dir()), version_base="1.3"):
            places = [f"outputs={tmp_path}/outputs"] if config_name == "config" else []
            config = compose(config_name, [*base, *places, f"++cache={tmp_path}/cache", *overrides])
        return OmegaConf.to_container(config, resolve=True)

    return make
