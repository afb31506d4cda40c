"""How often the host waits for the device that computes beside it."""

from __future__ import annotations

import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import torch

from experiments.gpu.elsewhere import elsewhere

TOP = Path(__file__).parents[2]
HERE = Path(__file__).parent


class Wait(NamedTuple):
    """What the host waited for."""

    place: str
    """In the package or in a study: file and line."""
    why: str


@contextmanager
def watched(device: torch.device) -> Iterator[Counter[Wait]]:
    """Count what the host waits for.

    Args:
        device: a GPU, whose driver is asked; or `elsewhere.DEVICE`, which is there as long as this lasts.

    Returns:
        what has been waited for so far; the names of operations differ between the two.
    """
    found: Counter[Wait] = Counter()
    with _on_gpu(found) if device.type == "cuda" else elsewhere(lambda why: found.update([Wait(_place(), why)])):
        yield found


@contextmanager
def _on_gpu(found: Counter[Wait]) -> Iterator[None]:
    """Let PyTorch warn of each wait."""

    def note(message: Any, *rest: Any, **named: Any) -> None:
        if "synchroniz" in str(message):
            found.update([Wait(_place(), "the device is waited for")])

    mode = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = note
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode(mode)


def _place() -> str:
    """Return which line of ours led here."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(TOP) and path.parent != HERE:
            return f"{path.relative_to(TOP).as_posix()}:{frame.f_lineno}"
        frame = frame.f_back
    return "backward"
