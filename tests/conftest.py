from __future__ import annotations

import gc
import os
import signal
from pathlib import Path

import hypothesis
import pytest
import torch

from tests.tiny_runs import TINY_SEQGAN, composed

# Tests are tiny: a second thread costs more than it computes, and sums in one order are the same everywhere.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"  # for the processes that tests start
os.fsync = lambda descriptor: None  # what tests write outlives no power cut, and a disk takes long over small files
# What a shell starts in the background ignores Ctrl-C, and so would all that tests start, and end by it.
signal.signal(signal.SIGINT, signal.default_int_handler)
# Other programs may have the processor. The search for new examples is the fuzzing study's.
hypothesis.settings.register_profile("unhurried", deadline=None, derandomize=True)
hypothesis.settings.load_profile("unhurried")
gc.disable()  # until all is imported, of which nothing is ever garbage


LONGEST = (
    "test_commands.py", "test_same_result.py", "test_soak.py", "test_losses.py", "test_export.py", "test_resume.py",
    "test_policy_gradient.py", "test_elsewhere.py", "test_methods.py", "test_sweep.py", "test_comparison.py",
    "test_ratio.py", "test_java.py", "test_clusters.py", "test_experiment.py", "test_pretrained_lm.py",
    "test_own_generator.py", "test_generalised_advantage.py", "test_discriminator_trainer.py", "test_pages.py",
)  # fmt: skip
"""Files that take minutes: they begin first, so that no process is left with one of them at the end."""


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config.option, "loadscopereorder"):  # of pytest-xdist, which would begin with the files of most tests
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    order = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))


def pytest_collection_finish() -> None:
    gc.freeze()  # a million objects of libraries that no collection needs to look at again
    gc.enable()


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
