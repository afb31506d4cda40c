"""Seeds, and the random states that a resumed run takes up again."""

from __future__ import annotations

import os

import torch
from torch import Tensor

from gan_caption.distributed import world


def seed_everything(seed: int, *, deterministic: bool) -> None:
    """Seed torch on every device and, on request, avoid algorithms that differ from run to run, or warn of them.

    Several processes are seeded differently, or dropout would fall on the same places of their images. Numpy and
    Python's `random` are not seeded: nothing in the package draws from their global states.
    """
    torch.manual_seed(seed if world.is_main() else _mixed(seed, world.rank()))
    torch.use_deterministic_algorithms(deterministic, warn_only=True)
    if deterministic:
        # cuBLAS reads this when it starts; without it, its reductions may differ from run to run.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        # What nobody has written nobody reads; on a GPU each fill is a launch.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        torch.backends.cudnn.benchmark = False


def random_generator(*seeds: int) -> torch.Generator:
    """Return a CPU generator whose stream is a function of all the seeds; for this process alone."""
    return torch.Generator().manual_seed(_mixed(*seeds))


def shared_generator(*seeds: int) -> world.Shared:
    """Return a CPU generator with the same stream, for the rows of all processes; see `world.Shared`."""
    made = world.Shared()
    made.manual_seed(_mixed(*seeds))
    return made


def random_states(rng: torch.Generator) -> dict[str, Tensor]:
    """Return the states of every process's global generators (dropout) and of `rng` (sampling)."""
    states = {"sampling": rng.get_state()}
    for rank, own in enumerate(world.everyone(_global_states())):
        states |= {f"{_prefix(rank)}{name}": state for name, state in own.items()}
    return states


def restore_random_states(states: dict[str, Tensor], rng: torch.Generator) -> None:
    """Take back what `random_states` gave; devices that this machine lacks are passed over.

    A process that there was not when the states were taken is seeded anew.
    """
    rng.set_state(states["sampling"].cpu())
    prefix = _prefix(world.rank())
    if f"{prefix}cpu" not in states:
        torch.set_rng_state(states["cpu"].cpu())
        torch.manual_seed(_mixed(int(torch.randint(2**62, ())), world.rank()))
        return
    torch.set_rng_state(states[f"{prefix}cpu"].cpu())
    own = [state for name, state in states.items() if name.startswith(f"{prefix}cuda")]  # once with its number
    if own and torch.cuda.is_available():
        torch.cuda.set_rng_state(own[0].cpu())


def _global_states() -> dict[str, Tensor]:
    """Return the states of this process's own generators: of the CPU, and of the GPU that it works on, whichever."""
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def _prefix(rank: int) -> str:
    return f"rank {rank}, " if rank else ""


def _mixed(*seeds: int) -> int:
    mixed = 0
    for seed in seeds:
        mixed = (mixed * 1_000_003 + seed + 1) % (2**63)
    return mixed
