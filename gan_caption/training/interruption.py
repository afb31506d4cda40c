"""Being told to stop: by Ctrl-C, or by a scheduler that needs the machine (SIGTERM)."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from gan_caption.distributed import world

SIGNALS = (signal.SIGINT, signal.SIGTERM)
_PASSED_ON = 2.0
"""Seconds: torchrun hands a signal on to processes that may have been sent it as well, as systemd and Ctrl-C do."""


class Asked:
    """Whether somebody has asked the process to stop."""

    def __init__(self) -> None:
        """Nobody has, yet."""
        self.signal: signal.Signals | None = None
        self._since = 0.0

    def note(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal: remember the first; a second one ends the process where it is, as it would have before.

        Of several processes each may be sent the first one twice.
        """
        del frame
        if self.signal is not None:
            if world.size() > 1 and time.monotonic() - self._since < _PASSED_ON:
                return
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self.signal, self._since = signal.Signals(number), time.monotonic()


@contextmanager
def asked_to_stop() -> Iterator[Asked]:
    """Let signals be noted, so that work ends where it can be taken up; outside of the block they end it at once.

    Python delivers signals to the main thread alone; in any other nothing changes. One that the process was started to
    ignore, as a shell's background jobs ignore Ctrl-C, stays ignored.
    """
    asked = Asked()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    heard = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, asked.note) for number in heard}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
