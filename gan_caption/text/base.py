"""The contract of a tokenizer: text to token ids, ids to text, and how the metrics count text.

Captions inside the program are lists of ids in which `PAD`, `BOS`, `UNK` and `EOS` are 0 to 3 (`data.captions`), and
everything from `EOS` on may be written, `UNK` where a generator is told so. A tokenizer with other ids of its own
translates in `encode` and `decode`; README.md says how.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar

from gan_caption.errors import UserError
from gan_caption.metrics.tokenizer import ptb_tokenize


class Tokenizer(ABC):
    """Text and token ids, there and back; immutable.

    The defaults of `learn`, `normalize` and `tokenized` are those of one that comes trained and reads text as it is.
    """

    file: ClassVar[str] = "tokenizer.json"
    """The name of what `save` writes, in a run's folder."""
    counted_by: ClassVar[str] = "word"
    """What the metrics count as one token; tables say it where it is no word."""

    notes: tuple[str, ...] = ()
    """What learning chose by itself, one sentence each."""

    def learn(self, captions: Iterable[str]) -> Tokenizer:
        """Return the tokenizer that has learned from captions.

        Args:
            captions: of training, as `normalize` leaves them; gone through once, or not at all.

        Raises:
            UserError: nothing can be learned from them.
        """
        return self

    def extended(self, other: Tokenizer) -> Tokenizer:
        """Return the tokenizer that also knows what another has learned; ids that are known stay.

        Raises:
            UserError: the other is of another kind, or, of those that come trained, another one.
        """
        if type(other) is not type(self) or other.fingerprint != self.fingerprint:
            raise UserError("another tokenizer reads these captions than the known run's: give the same tokenizer=...")
        return self

    def normalize(self, captions: Sequence[str]) -> list[str]:
        """Turn people's captions into the text that `encode` and `tokenized` read: `decode` writes such text."""
        return list(captions)

    @abstractmethod
    def encode(self, text: str, *, max_length: int) -> list[int]:
        """Turn text into at most `max_length` ids, none of them `PAD` or `BOS`; `EOS` ends it where it fits."""

    @abstractmethod
    def decode(self, ids: Iterable[int]) -> str:
        """Turn ids into text, up to `EOS`; `PAD` and `BOS` are left out, and `UNK` is shown as `<unk>`."""

    def tokenized(self, texts: Sequence[str]) -> list[str]:
        """Split text as every metric reads it: tokens joined by single spaces.

        So CIDEr-D as a reward, validation, tables and reports count the same. By default as coco-caption does it.
        """
        return ptb_tokenize(texts)

    @abstractmethod
    def __len__(self) -> int:
        """Return V, the four special tokens included; ids are below."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """A hash: the ids of two models mean the same exactly when these are equal."""

    @abstractmethod
    def save(self, path: Path) -> None:
        """Write what was learned to a file."""

    @abstractmethod
    def load(self, path: Path) -> Tokenizer:
        """Return the tokenizer whose `save` wrote this file.

        Raises:
            UserError: the file is missing, or holds something else.
        """
