"""Arrays that another program wrote: .npy files, whose headers may claim anything."""

from __future__ import annotations

import io
import math
import tokenize
import zipfile
import zlib
from typing import IO, NamedTuple

import numpy as np

DAMAGED = (
    *(OSError, ValueError, TypeError, EOFError, LookupError, OverflowError, RecursionError, MemoryError, SyntaxError),
    *(NotImplementedError, RuntimeError, tokenize.TokenError, zipfile.BadZipFile, zlib.error),
)
"""What the readers of numpy and zipfile raise on damaged content, and zipfile on what is encrypted or packed strangely.

The MemoryError is that of a header nested too deeply; nothing large is asked for.
"""


_LONGEST_HEADER = 10_000
"""Bytes, as numpy allows."""


class Header(NamedTuple):
    """What an .npy file says of itself."""

    shape: tuple[int, ...]
    fortran: bool
    """Whether the first index runs fastest."""
    kind: np.dtype
    """Of its numbers."""


def header(file: IO[bytes]) -> Header:
    """Read the header of an .npy file, and leave the file at its numbers.

    Raises:
        one of `DAMAGED`: it is none, or its elements are no numbers.
    """
    version = np.lib.format.read_magic(file)
    shape, fortran, kind = _read_header(file, version)
    if kind.kind not in "fiub":
        raise ValueError(f"its elements are {kind}; wanted are numbers")
    return Header(shape, fortran, kind)


def _read_header(file: IO[bytes], version: tuple[int, int]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Let numpy read what follows the magic, no more than a header may have: it reads first, and looks at it then."""
    length, read = (2, np.lib.format.read_array_header_1_0) if version == (1, 0) else (
        4, np.lib.format.read_array_header_2_0
    )  # fmt: skip
    told = file.read(length)
    claimed = int.from_bytes(told, "little")
    if claimed > _LONGEST_HEADER:
        raise ValueError(f"its header has {claimed} bytes; {_LONGEST_HEADER} are enough for any array")
    return read(io.BytesIO(told + file.read(claimed)))


def numbers(file: IO[bytes], about: Header) -> np.ndarray:
    """Return the rest of an .npy file in single precision; no more is read, and unpacked, than its checked shape takes.

    numpy's own reader would reserve the memory of any shape, and unpack all of an archive.

    Raises:
        one of `DAMAGED`: there are fewer, or one is no finite number in single precision.
    """
    count = math.prod(about.shape)
    found = np.frombuffer(file.read(count * about.kind.itemsize), about.kind, count)
    with np.errstate(over="ignore"):
        shaped = found.reshape(about.shape, order="F" if about.fortran else "C").astype(np.float32)
    faulty = np.argwhere(~np.isfinite(shaped))
    if len(faulty):
        place = tuple(faulty[0].tolist())
        raise ValueError(f"{len(faulty)} of its {count} numbers are NaN or infinite, the first at {place}")
    return shaped
