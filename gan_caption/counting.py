"""Counting more distinct texts than memory holds: exactly, in one pass, by a temporary SQLite database on disk."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from itertools import islice

from gan_caption.errors import UserError

_CHUNK = 50_000


def counted(texts: Iterable[str], *, at_once: int = 1_000_000) -> Iterator[tuple[str, int]]:
    """Yield every distinct text with how often it occurs, in ascending order; there is no error.

    Args:
        texts: gone through once.
        at_once: distinct texts in memory, about 150 bytes each (50,000 more may come before they are written). Where
            there are no more, nothing is written to disk.

    Raises:
        UserError: there is no room for the file.
    """
    counts: Counter[str] = Counter()
    texts = iter(texts)
    with _room(), closing(sqlite3.connect("")) as disk:  # a file without a name, which goes when it is closed
        disk.execute("PRAGMA journal_mode = OFF")
        # The order of UTF-8's bytes is that of the code points.
        disk.execute("CREATE TABLE counts (text BLOB PRIMARY KEY, count INTEGER) WITHOUT ROWID")
        while chunk := list(islice(texts, _CHUNK)):
            counts.update(chunk)
            if len(counts) > at_once:
                _add(counts, disk)
                counts.clear()
        if not disk.total_changes:
            yield from sorted(counts.items())
            return
        _add(counts, disk)
        for text, count in disk.execute("SELECT text, count FROM counts ORDER BY text"):
            yield text.decode("utf-8", "surrogatepass"), count


@contextmanager
def _room() -> Iterator[None]:
    """Say where there is none for the file."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise UserError(
            f"more distinct texts than memory holds are counted in a temporary file, and it cannot be written "
            f"({error}): make room for temporary files, or set SQLITE_TMPDIR to a folder that has some"
        ) from error


def _add(counts: Counter[str], disk: sqlite3.Connection) -> None:
    rows = sorted((text.encode("utf-8", "surrogatepass"), count) for text, count in counts.items())
    # Of SQLite before 3.35, which systems have, a conflict is told by its column.
    disk.executemany(
        "INSERT INTO counts VALUES (?, ?) ON CONFLICT (text) DO UPDATE SET count = count + excluded.count", rows
    )
