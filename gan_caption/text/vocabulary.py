"""A list of tokens that is learned from captions: what the tokenizers by word and by character share."""

from __future__ import annotations

import hashlib
import json
import re
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar, TypeVar

from gan_caption.counting import counted
from gan_caption.errors import UserError, at_least
from gan_caption.files import write_atomically
from gan_caption.text.base import Tokenizer
from gan_caption.text.special import EOS, UNK
from gan_caption.untrusted.parsing import parse_json

SPECIAL = ("<pad>", "<bos>", "<unk>", "<eos>")
"""In the order of their ids (`captions.PAD`, `BOS`, `UNK`, `EOS`)."""

V = TypeVar("V", bound="Vocabulary")


class Vocabulary(Tokenizer):
    """A fixed list of tokens; id = position, the four special ones first."""

    file = "vocabulary.json"
    no_space: ClassVar[str] = ""
    """A pattern of the spaces that are left out of text after its tokens were joined by spaces; "" leaves none out."""

    def __init__(self, *, min_count: int | None) -> None:
        """Begin without tokens.

        Args:
            min_count: how often a token occurs at least in what is learned from; rarer ones become `<unk>`. None: once
                for every thousand captions, from 1 to 5 times (5 is the field's choice for Flickr8k and what is larger;
                of a few hundred captions it would leave hardly one without `<unk>`).
        """
        at_least(1, min_count=min_count)
        self.min_count = min_count
        self.tokens: tuple[str, ...] = SPECIAL
        self.ids = {token: index for index, token in enumerate(SPECIAL)}

    @classmethod
    def of(cls: type[V], tokens: Sequence[str], *, min_count: int | None = 1) -> V:
        """Return a tokenizer with these tokens behind the special ones.

        Raises:
            ValueError: one comes twice.
        """
        made = cls(min_count=min_count)
        made.tokens = (*SPECIAL, *tokens)
        made.ids = {token: index for index, token in enumerate(made.tokens)}
        if len(made.ids) != len(made.tokens):
            raise ValueError("a vocabulary holds every word once")
        return made

    @abstractmethod
    def split(self, text: str) -> list[str]:
        """Split normalized text into tokens, none of which has a space."""

    def learn(self: V, captions: Iterable[str]) -> V:
        """Return one with the tokens that occur at least `min_count` times, the most frequent first, ties by alphabet.

        Args:
            captions: normalized; gone through once. Memory grows with the tokens that are kept, not with those that
                occur.

        Raises:
            UserError: no token occurs so often.
        """
        number = 0

        def tokens() -> Iterator[str]:
            nonlocal number
            for caption in captions:
                number += 1
                yield from self.split(caption)

        frequent: dict[str, int] = {}
        least = self.min_count
        for token, count in counted(tokens()):  # which has read all captions before the first
            least = min(max(number // 1000, 1), 5) if least is None else least
            if count >= least and token not in SPECIAL:  # which no caption may bring about by saying it
                frequent[token] = count
        kept = sorted(frequent, key=lambda token: (-frequent[token], token))
        if not kept and least is None:
            raise UserError(f"the captions have no {self.counted_by}: give others")
        if not kept:
            raise UserError(
                f"no {self.counted_by} occurs {least} times or more (vocabulary.min_count): lower it, or give more "
                "captions"
            )
        learned = self.of(kept, min_count=least)
        if self.min_count is None:
            learned.notes = (f"vocabulary.min_count={least} is chosen for {number:,} captions",)
        return learned

    def extended(self: V, other: Tokenizer) -> V:
        """Return one with the other's tokens behind its own; see `Tokenizer.extended`."""
        if type(other) is not type(self):
            raise UserError(
                f"the known vocabulary is by {self.counted_by}, the captions are read by {other.counted_by}: give the "
                "same tokenizer=..."
            )
        new = [token for token in other.tokens if token not in self.ids]
        return self.of([*self.tokens[len(SPECIAL) :], *new], min_count=self.min_count)

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def fingerprint(self) -> str:
        """A hash of the tokens in order: two models share their token ids exactly when these are equal."""
        return hashlib.sha256("\n".join(self.tokens).encode()).hexdigest()[:16]

    def encode(self, text: str, *, max_length: int) -> list[int]:
        """Turn normalized text into at most `max_length` ids; `<eos>` ends it where it fits, and is unknown inside."""
        ids = (self.ids.get(token, UNK) for token in self.split(text))
        return [*(one if one > EOS else UNK for one in ids), EOS][:max_length]

    def decode(self, ids: Iterable[int]) -> str:
        """Turn ids back into text, up to `<eos>`; special tokens but `<unk>` are left out."""
        tokens = []
        for token in ids:
            if token == EOS:
                break
            if token >= len(SPECIAL) or token == UNK:
                tokens.append(self.tokens[token])
        text = " ".join(tokens)
        return re.sub(self.no_space, "", text) if self.no_space else text

    def save(self, path: Path) -> None:
        """Write the tokens as JSON."""
        text = json.dumps(list(self.tokens[len(SPECIAL) :]), ensure_ascii=False, indent=0)
        write_atomically(path, lambda file: file.write(text.encode()))

    def load(self: V, path: Path) -> V:
        """Read what `save` wrote.

        Raises:
            UserError: the file is missing or is not a list of distinct tokens, which are texts without spaces.
        """
        try:
            tokens = parse_json(path.read_bytes())
        except (OSError, ValueError) as error:
            raise UserError(f"{path} cannot be read as a vocabulary ({error}): a run folder holds one") from error
        if not isinstance(tokens, list) or not all(isinstance(one, str) and one.split() == [one] for one in tokens):
            raise UserError(f"{path} is not a vocabulary: it must be a JSON list of words, as a run folder holds it")
        try:
            return self.of(tokens, min_count=self.min_count)
        except ValueError as error:
            raise UserError(f"{path}: {error}, and <pad>, <bos>, <unk>, <eos> by itself. Take the run's own") from error
