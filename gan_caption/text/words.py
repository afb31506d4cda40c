"""Text by word, as coco-caption's tokenizer finds words."""

from __future__ import annotations

from collections.abc import Sequence

from gan_caption.metrics.tokenizer import ptb_tokenize
from gan_caption.text.vocabulary import Vocabulary


class WordTokenizer(Vocabulary):
    """A list of words.

    Captions are tokenized once, on their way in: its text is words joined by single spaces, in lower case, without
    punctuation, and the metrics read it as it is.
    """

    def normalize(self, captions: Sequence[str]) -> list[str]:
        """Tokenize captions; see `metrics.ptb_tokenize`."""
        return [" ".join(text.split()) for text in ptb_tokenize(captions)]  # no other spaces, as in "1 1/2"

    def split(self, text: str) -> list[str]:
        """Return the words."""
        return text.split()

    def tokenized(self, texts: Sequence[str]) -> list[str]:
        """Return the texts as they are."""
        return list(texts)
