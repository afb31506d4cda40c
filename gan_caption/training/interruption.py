"""Being told to stop: by Ctrl-C, or by a scheduler that needs the machine (SIGTERM)."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Asked:
    """Whether somebody has asked the process to stop."""

    def __init__(self) -> None:
        """Nobody has, yet."""
        self.signal: signal.Signals | None = None

    def note(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal: remember the first; a second one ends the process where it is, as it would have before."""
        del frame
        if self.signal is not None:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self.signal = signal.Signals(number)


@contextmanager
def asked_to_stop() -> Iterator[Asked]:
    """Let signals be noted, so that work ends where it can be taken up; outside of the block they end it at once.

    Python delivers signals to the main thread alone; in any other nothing changes.
    """
    asked = Asked()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = {number: signal.signal(number, asked.note) for number in SIGNALS}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
