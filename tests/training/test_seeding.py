"""What a run's seed settles beside its random numbers."""

from __future__ import annotations

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from gan_caption.training.seeding import seed_everything


@pytest.fixture
def _as_before():
    """Give back what is set for the whole process."""
    before = torch.are_deterministic_algorithms_enabled(), torch.utils.deterministic.fill_uninitialized_memory
    yield
    torch.use_deterministic_algorithms(before[0])
    torch.utils.deterministic.fill_uninitialized_memory = before[1]


@pytest.mark.usefixtures("_as_before")
def test_a_deterministic_run_does_not_fill_memory_that_it_will_write():
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = True
    assert fills() == 1  # as PyTorch has it
    seed_everything(0, deterministic=True)
    assert torch.are_deterministic_algorithms_enabled()
    seed_everything(0, deterministic=False)  # of the next run in this process
    assert not torch.are_deterministic_algorithms_enabled()
    assert fills() == 0


def fills() -> int:
    with profile(activities=[ProfilerActivity.CPU]) as told:
        torch.empty(3)
    return sum(event.count for event in told.key_averages() if event.key == "aten::fill_")
