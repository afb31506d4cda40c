"""Text by character, for scripts that are written without spaces."""

from __future__ import annotations

from collections.abc import Sequence

from gan_caption.metrics.characters import NO_SPACE, character_tokenize, characters
from gan_caption.text.vocabulary import Vocabulary


class CharacterTokenizer(Vocabulary):
    """A list of characters, and of the Latin words and numbers that occur among them; see `metrics.characters`."""

    counted_by = "character"
    no_space = NO_SPACE

    def split(self, text: str) -> list[str]:
        """Return the characters."""
        return characters(text)

    def tokenized(self, texts: Sequence[str]) -> list[str]:
        """Join the characters by spaces."""
        return character_tokenize(texts)
