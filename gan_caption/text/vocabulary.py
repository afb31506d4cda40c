"""Words and their ids."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from gan_caption.counting import counted
from gan_caption.errors import UserError
from gan_caption.files import write_atomically
from gan_caption.text.special import EOS, UNK
from gan_caption.untrusted.parsing import parse_json

SPECIAL = ("<pad>", "<bos>", "<unk>", "<eos>")
"""In the order of their ids (`captions.PAD`, `BOS`, `UNK`, `EOS`)."""


class Vocabulary:
    """A fixed list of words; id = position, the four special tokens first."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = (*SPECIAL, *words)
        self.ids = {word: index for index, word in enumerate(self.words)}
        if len(self.ids) != len(self.words):
            raise ValueError("a vocabulary holds every word once")

    @classmethod
    def build(cls, captions: Iterable[str], *, min_count: int) -> Vocabulary:
        """Collect the words that occur at least `min_count` times, the most frequent first, ties by alphabet.

        Args:
            captions: tokenized (`metrics.ptb_tokenize`), words joined by single spaces; gone through once. Memory
                grows with the words that are kept, not with those that occur.
            min_count: at least 1.
        """
        counts = counted(word for caption in captions for word in caption.split())
        frequent = {word: count for word, count in counts if count >= min_count}
        kept = sorted(frequent, key=lambda word: (-frequent[word], word))
        if not kept:
            raise UserError(
                f"no word occurs {min_count} times or more (vocabulary.min_count): lower it, or give more captions"
            )
        return cls(kept)

    def __len__(self) -> int:
        return len(self.words)

    @property
    def fingerprint(self) -> str:
        """A hash of the words in order: two models share their token ids exactly when these are equal."""
        return hashlib.sha256("\n".join(self.words).encode()).hexdigest()[:16]

    def encode(self, caption: str, *, max_length: int) -> list[int]:
        """Turn a tokenized caption into at most `max_length` ids; `<eos>` ends it where it fits."""
        ids = [self.ids.get(word, UNK) for word in caption.split()]
        return [*ids, EOS][:max_length]

    def decode(self, ids: Iterable[int]) -> str:
        """Turn ids back into words joined by spaces, up to `<eos>`; special tokens but `<unk>` are left out."""
        words = []
        for token in ids:
            if token == EOS:
                break
            if token >= len(SPECIAL) or token == UNK:
                words.append(self.words[token])
        return " ".join(words)

    def save(self, path: Path) -> None:
        """Write the words as JSON."""
        text = json.dumps(list(self.words[len(SPECIAL) :]), ensure_ascii=False, indent=0)
        write_atomically(path, lambda file: file.write(text.encode()))

    @classmethod
    def load(cls, path: Path) -> Vocabulary:
        """Read what `save` wrote.

        Raises:
            UserError: the file is missing or is not a list of distinct words, which are texts without spaces.
        """
        try:
            words = parse_json(path.read_bytes())
        except (OSError, ValueError) as error:
            raise UserError(f"{path} cannot be read as a vocabulary ({error}): a run folder holds one") from error
        if not isinstance(words, list) or not all(isinstance(word, str) and word.split() == [word] for word in words):
            raise UserError(f"{path} is not a vocabulary: it must be a JSON list of words, as a run folder holds it")
        try:
            return cls(words)
        except ValueError as error:
            raise UserError(f"{path}: {error}, and <pad>, <bos>, <unk>, <eos> by itself. Take the run's own") from error
