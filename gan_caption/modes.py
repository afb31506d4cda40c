"""Trying something out without disturbing what is under way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import nn


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put a module into eval mode without gradients, and give every part of it back the mode it had.

    Under autocast the copies of weights that were made in here are forgotten: before PyTorch 2.10 they were taken for
    what comes after as well, and these weights had no gradient (its issue 112583).
    """
    try:
        with in_eval_mode(module), torch.no_grad():
            yield
    finally:
        torch.clear_autocast_cache()


def forked_random(device: torch.device) -> AbstractContextManager[None]:
    """Give the CPU and a device back the random numbers that they had; other devices are left out of it."""
    return torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])


@contextmanager
def in_eval_mode(module: nn.Module) -> Iterator[None]:
    """Put a module into eval mode, with gradients, and give every part of it back the mode it had."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, training in modes.items():
            part.training = training
