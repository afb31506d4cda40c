"""Seeds, and the random states that a resumed run takes up again."""

from __future__ import annotations

import os

import torch
from torch import Tensor


def seed_everything(seed: int, *, deterministic: bool) -> None:
    """Seed torch on every device and, on request, refuse algorithms that differ from run to run.

    Numpy and Python's `random` are not seeded: nothing in the package draws from their global states.
    """
    torch.manual_seed(seed)
    if deterministic:
        # cuBLAS reads this when it starts; without it, its reductions may differ from run to run.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.backends.cudnn.benchmark = False


def random_generator(*seeds: int) -> torch.Generator:
    """Return a CPU generator whose stream is a function of all the seeds."""
    mixed = 0
    for seed in seeds:
        mixed = (mixed * 1_000_003 + seed + 1) % (2**63)
    return torch.Generator().manual_seed(mixed)


def random_states(rng: torch.Generator) -> dict[str, Tensor]:
    """Return the states of torch's global generators (dropout) and of `rng` (sampling)."""
    states = {"cpu": torch.get_rng_state(), "sampling": rng.get_state()}
    if torch.cuda.is_available():
        states |= {f"cuda:{index}": state for index, state in enumerate(torch.cuda.get_rng_state_all())}
    return states


def restore_random_states(states: dict[str, Tensor], rng: torch.Generator) -> None:
    """Take back what `random_states` gave; devices that this machine lacks are passed over."""
    torch.set_rng_state(states["cpu"].cpu())
    rng.set_state(states["sampling"].cpu())
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            if f"cuda:{index}" in states:
                torch.cuda.set_rng_state(states[f"cuda:{index}"].cpu(), index)
