"""Being told to stop: by Ctrl-C, or by a scheduler that needs the machine (SIGTERM; a launcher's own, SIGUSR2)."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from gan_caption.distributed import world

SIGNALS = (signal.SIGINT, signal.SIGTERM)
PREEMPTED = getattr(signal, "SIGUSR2", None)
"""What submitit has a job sent before its time is over; None where there is no such signal, on Windows."""
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

        Of several processes each may be sent the first one twice. A job that a launcher will queue again is only ended
        by the launcher.
        """
        del frame
        if self.signal is None:
            self.signal, self._since = signal.Signals(number), time.monotonic()
        elif PREEMPTED in (number, self.signal):
            self.signal = PREEMPTED
        elif world.size() == 1 or time.monotonic() - self._since >= _PASSED_ON:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)


@contextmanager
def asked_to_stop() -> Iterator[Asked]:
    """Let signals be noted, so that work ends where it can be taken up; outside of the block they end it at once.

    Python delivers signals to the main thread alone; in any other nothing changes. One that the process was started to
    ignore, as a shell's background jobs ignore Ctrl-C, stays ignored. A launcher that listens for SIGUSR2 hears it when
    the block is over, and the work saved.
    """
    asked = Asked()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    heard = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    if PREEMPTED is not None and callable(signal.getsignal(PREEMPTED)):
        heard.append(PREEMPTED)
    before = {number: signal.signal(number, asked.note) for number in heard}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if asked.signal is not None and asked.signal == PREEMPTED:
            signal.raise_signal(asked.signal)
