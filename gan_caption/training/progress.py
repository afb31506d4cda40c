"""How far a phase is: a bar in a terminal, a line now and then where there is none. Always on stderr, and once."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID


class Progress:
    """Shows one phase: its step of the total, rate, time left, and a few of the latest values.

    Use it as a context manager around the phase; phases follow each other, each with a Progress of its own.
    """

    def __init__(
        self,
        *,
        phase: str,
        total: int,
        start: int = 0,
        seconds_between_lines: float = 10.0,
        stream: TextIO | None = None,
    ) -> None:
        """Prepare the display; nothing is shown before the phase is entered.

        Args:
            phase: its name.
            total: steps of the whole phase.
            start: steps done before, where the phase is resumed.
            seconds_between_lines: how often a line is written where there is no terminal.
            stream: where to; None stands for stderr.
        """
        self.phase = phase
        self.total = total
        self.step = start
        self._between_lines = seconds_between_lines
        self._stream = stream
        self._values = ""
        self._recent: deque[tuple[float, int]] = deque(maxlen=100)  # (time, step): the rate is that of these
        self._bars: Bars | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Progress:
        self._out = self._stream or sys.stderr
        self._quiet = not _is_main()
        self._began = self._last_line = time.monotonic()
        self._recent.append((self._began, self.step))
        if self._out.isatty() and not self._quiet:
            self._open_bar()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._bars is not None:
            self._bars.stop()
        else:
            self._line(f"after {_clock(time.monotonic() - self._began)}")

    def update(self, step: int, values: Mapping[str, float] | None = None) -> None:
        """Show that this many steps of the phase are done, and the latest values (None keeps those shown)."""
        now = time.monotonic()
        self.step = step
        self._recent.append((now, step))
        if values is not None:
            self._values = "  ".join(f"{name} {float(value):.4g}" for name, value in values.items())
        if self._bars is not None and self._task is not None:
            self._bars.update(self._task, completed=step, state=f"{self._pace()}  {self._values}")
        elif now - self._last_line >= self._between_lines:
            self._last_line = now
            self._line(self._pace())

    def _pace(self) -> str:
        """Return rate and time left, from the latest updates."""
        (first_time, first_step), (last_time, last_step) = self._recent[0], self._recent[-1]
        if last_step <= first_step or last_time <= first_time:
            return "- steps/s"
        rate = (last_step - first_step) / (last_time - first_time)
        return f"{rate:.3g} steps/s  {_clock((self.total - self.step) / rate)} left"

    def _line(self, pace: str) -> None:
        if self._quiet:
            return
        print(f"{self.phase} {self.step}/{self.total}  {pace}  {self._values}".rstrip(), file=self._out, flush=True)

    def _open_bar(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as Bars

        self._bars = Bars(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[state]}", markup=False),
            console=Console(file=self._out),
            refresh_per_second=4,
            redirect_stdout=sys.stdout.isatty(),  # above the bar where both share the terminal, else untouched
        )
        self._task = self._bars.add_task(self.phase, total=self.total, completed=self.step, state="")
        self._bars.start()


def _is_main() -> bool:
    from gan_caption.distributed import world  # which imports torch

    return world.is_main()


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(max(seconds, 0.0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
