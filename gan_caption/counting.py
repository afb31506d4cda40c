"""Counting more distinct texts than memory holds: exactly, in one pass, with sorted runs on disk."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from heapq import merge
from itertools import groupby, islice
from operator import itemgetter
from typing import IO

_CHUNK = 50_000


def counted(texts: Iterable[str], *, at_once: int = 1_000_000) -> Iterator[tuple[str, int]]:
    """Yield every distinct text with how often it occurs, in ascending order; there is no error.

    Args:
        texts: without line feeds; gone through once.
        at_once: distinct texts in memory, about 150 bytes each (50,000 more may come before a run is written). Where
            there are no more, nothing is written to disk.
    """
    counts: Counter[str] = Counter()
    texts = iter(texts)
    with ExitStack() as stack:
        runs: list[IO[str]] = []
        while chunk := list(islice(texts, _CHUNK)):
            counts.update(chunk)
            if len(counts) > at_once:
                runs.append(stack.enter_context(_run(counts)))
                counts.clear()
        parts = [*map(_read, runs), iter(sorted(counts.items()))]
        for text, same in groupby(merge(*parts), key=itemgetter(0)):
            yield text, sum(count for _, count in same)


def _run(counts: Counter[str]) -> IO[str]:
    """Write counts to a file that goes when it is closed, sorted."""
    file = tempfile.TemporaryFile("w+", encoding="utf-8", errors="surrogatepass", newline="\n")  # noqa: SIM115
    file.writelines(f"{count} {text}\n" for text, count in sorted(counts.items()))
    file.seek(0)
    return file


def _read(run: IO[str]) -> Iterator[tuple[str, int]]:
    for line in run:
        count, _, text = line[:-1].partition(" ")
        yield text, int(count)
