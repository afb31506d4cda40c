"""What a reader may answer: what it read, or a UserError that a terminal can show."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from gan_caption.errors import UserError

LONGEST_MESSAGE = 5000
"""Characters. A file must not be able to write itself into the terminal as its own error message."""


@contextmanager
def reading(reader: str, taken: set[str]) -> Iterator[None]:
    """Note in `taken` that a reader took its input, or let it refuse by a UserError; everything else comes through."""
    try:
        yield
    except UserError as error:
        message = str(error)
        assert message, "a refusal says why"
        assert len(message) <= LONGEST_MESSAGE, f"a message of {len(message)} characters: {message[:200]!r} ..."
    else:
        taken.add(reader)
