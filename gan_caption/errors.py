"""The exceptions that are meant for the person at the keyboard, and the checks of arguments behind most of them."""

from functools import partial
from signal import Signals
from typing import Any


class UserError(Exception):
    """Something that the user gave cannot be used.

    The message says what was given, what is allowed, and what to do next. Entry points print it
    without a traceback and exit with status 2; every other exception is a bug and keeps its traceback.
    """


class Interrupted(KeyboardInterrupt):
    """The process was asked to stop, and its work is saved."""

    def __init__(self, message: str, *, signal: Signals) -> None:
        """Say what is saved where, and which signal asked."""
        super().__init__(message)
        self.signal = signal

    def __reduce__(self) -> tuple[Any, ...]:
        """Go from process to process with the signal."""
        return partial(Interrupted, signal=self.signal), self.args


class NoReference(ValueError):
    """An objective needs the policy that `pretraining` names, and no phase has left one."""


class Unreachable(UserError):
    """Something cannot be had just now, such as what a server holds: no reason to go on without it."""


class Told(UserError):
    """A UserError of the main process, which prints it; the other processes end with it."""


def is_number(value: object) -> bool:
    """Tell whether a value that was read is a finite number; True, which Python takes for one, is none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= 1e300


def at_least(bound: float, **values: float | None) -> None:
    """Refuse arguments below a bound; None is none.

    Raises:
        ValueError: "name=value: at least bound"; the door of configuration puts the rest of the key before it.
    """
    for name, value in values.items():
        if value is not None and not value >= bound:  # NaN is not, either
            raise ValueError(f"{name}={value}: at least {bound}")


def above(bound: float, **values: float | None) -> None:
    """Refuse arguments that are not above a bound; None is none.

    Raises:
        ValueError: as `at_least`.
    """
    for name, value in values.items():
        if value is not None and not value > bound:
            raise ValueError(f"{name}={value}: above {bound}")


def probability(**values: float) -> None:
    """Refuse arguments outside [0, 1].

    Raises:
        ValueError: as `at_least`.
    """
    for name, value in values.items():
        if not 0 <= value <= 1:
            raise ValueError(f"{name}={value}: at least 0, at most 1")


def proportion(**values: float) -> None:
    """Refuse arguments outside (0, 1].

    Raises:
        ValueError: as `at_least`.
    """
    for name, value in values.items():
        if not 0 < value <= 1:
            raise ValueError(f"{name}={value}: above 0, at most 1")


def share(**values: float) -> None:
    """Refuse arguments outside [0, 1).

    Raises:
        ValueError: as `at_least`.
    """
    for name, value in values.items():
        if not 0 <= value < 1:
            raise ValueError(f"{name}={value}: at least 0, below 1")
