"""Many texts, or many lists of numbers, without a Python object each, which would cost several times their bytes.

Elements are made anew when they are looked at. Shapes: C elements, G groups.
"""

from __future__ import annotations

import hashlib
import tempfile
import threading
from abc import ABC, abstractmethod
from array import array
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate, pairwise
from operator import eq
from typing import Any, Generic, TypeVar, overload

import numpy as np

from gan_caption.errors import UserError
from gan_caption.files import read_at

T = TypeVar("T")
_READ = 1000
"""Texts read at once by whoever wants all of them."""


class Elements(Sequence[T], ABC):
    """A sequence that knows how to make one element."""

    @abstractmethod
    def one(self, index: int) -> T:
        """Make element `index`, 0 to the length less 1."""

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        if isinstance(index, slice):
            return [self.one(place) for place in range(*index.indices(len(self)))]
        return self.one(range(len(self))[index])

    def __iter__(self) -> Iterator[T]:
        return map(self.one, range(len(self)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Elements) and len(self) == len(other) and all(map(eq, self, other))

    __hash__ = None  # type: ignore[assignment]


@contextmanager
def _room() -> Iterator[None]:
    """Say where a temporary file found no room."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"captions are kept in a temporary file, and none can be written ({error.strerror}): make room for "
            "temporary files, or set TMPDIR to a folder that has some"
        ) from error


class Texts(Elements[str]):
    """Texts, in a temporary file that goes when they go; in memory is where each ends."""

    def __init__(self, texts: Iterable[str]) -> None:
        """Take the texts in.

        Raises:
            UserError: there is no room for them.
        """
        ends = array("q", [0])
        self._reading = threading.Lock()  # images are decoded in threads, and each looks its path up
        with _room():
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed, and gone, with this object
        for text in texts:
            with _room():
                ends.append(ends[-1] + self._file.write(text.encode("utf-8", "surrogatepass")))
        with _room():
            self._file.flush()
        self._ends = _smallest(ends)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def one(self, index: int) -> str:
        """Make a text."""
        return next(self._between(index, index + 1))

    def __iter__(self) -> Iterator[str]:
        for first in range(0, len(self), _READ):
            yield from self._between(first, min(first + _READ, len(self)))

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice) and index.step in (None, 1):
            first, last, _ = index.indices(len(self))
            return list(self._between(first, max(first, last)))
        return super().__getitem__(index)

    def _between(self, first: int, last: int) -> Iterator[str]:
        """Make the texts from `first` to before `last`, neighbours in the file."""
        ends = self._ends[first : last + 1].tolist()
        with self._reading:
            content = read_at(self._file, ends[0], ends[-1] - ends[0])
        for begin, end in pairwise(ends):
            yield content[begin - ends[0] : end - ends[0]].decode("utf-8", "surrogatepass")


class Numbers(Elements[list[int]]):
    """Lists of numbers, such as captions as token ids."""

    def __init__(self, lists: Iterable[Iterable[int]]) -> None:
        """Take the lists in; no number is below 0."""
        content, ends = array("q"), array("q", [0])
        for numbers in lists:
            content.extend(numbers)
            ends.append(len(content))
        whole = np.frombuffer(content, np.int64)
        self._content = whole.astype(np.min_scalar_type(whole.max(initial=0)))
        self._ends = _smallest(ends)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def one(self, index: int) -> list[int]:
        """Make a list."""
        numbers: list[int] = self._content[self._ends[index] : self._ends[index + 1]].tolist()
        return numbers


class Groups(Elements[list[T]], Generic[T]):
    """Neighbouring elements taken together, such as the captions of an image."""

    def __init__(self, elements: Sequence[T], sizes: Iterable[int]) -> None:
        """Group the elements.

        Args:
            elements: of all groups, in order.
            sizes: of each group its number of elements; C in all.
        """
        self._elements = elements
        self._ends = _smallest(array("q", accumulate(sizes, initial=0)))

    def __len__(self) -> int:
        return len(self._ends) - 1

    def one(self, index: int) -> list[T]:
        """Make a group."""
        return list(self._elements[int(self._ends[index]) : int(self._ends[index + 1])])


class TextSet(Container[str]):
    """A set of texts that can only be asked whether it holds one: 8 bytes each.

    Texts are told apart by 64 bits of their BLAKE2b hash; among a billion texts, one that is not there is taken for one
    of them once in 10^10 times.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        """Take the texts in."""
        self._hashes = np.unique(np.fromiter(map(hashed, texts), np.uint64))

    def __contains__(self, text: object) -> bool:
        if not isinstance(text, str) or not len(self._hashes):
            return False
        own = np.uint64(hashed(text))
        place = int(np.searchsorted(self._hashes, own))
        return place < len(self._hashes) and bool(self._hashes[place] == own)


def hashed(text: str) -> int:
    """Return a text's hash of 8 bytes."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def _smallest(ends: array[int]) -> np.ndarray:
    return np.array(ends, dtype=np.min_scalar_type(ends[-1]))
