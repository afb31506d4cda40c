"""What people said of the training images, as metric rewards read it. Shapes: B images, N captions."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from gan_caption.data.captions import EOS, UNK, Captions, captions_from_ids
from gan_caption.data.compact import Groups, Texts
from gan_caption.data.features import ImageFeatures
from gan_caption.text.base import Tokenizer

END = "<eos>"
"""Counted as a word, in references and candidates alike: without it a caption that breaks off ("a man on a") has the
reward of one that ends, and about a third come to break off."""


class References:
    """The references of every training image, as the metrics read them, each closed by `<eos>`."""

    def __init__(self, captions: Sequence[Sequence[str]], tokenizer: Tokenizer, *, max_length: int) -> None:
        """Hold the references.

        Args:
            captions: of each training image its captions, as the tokenizer's `normalize` leaves them.
            tokenizer: turns a candidate's ids into text, and both into what the metrics read.
            max_length: of `captions`, in tokens.
        """
        closed = Texts(f"{text} {END}" for own in captions for text in tokenizer.tokenized(own))
        self.texts: Sequence[list[str]] = Groups(closed, map(len, captions))
        self.written = captions
        self.tokenizer = tokenizer
        self.max_length = max_length

    def rows(self, features: ImageFeatures, captions: Captions) -> list[int]:
        """Return, for each caption, the row of its image among the training images, N in all.

        Raises:
            ValueError: the features do not say whose they are.
        """
        rows: list[int] = self._rows(features)[captions.images].tolist()
        return rows

    def captions(self, features: ImageFeatures) -> Captions:
        """Return the references of B images as captions, but for those with unknown words: of some images none.

        Raises:
            ValueError: the features do not say whose they are.
        """
        ids, images = [], []
        for image, row in enumerate(self._rows(features).tolist()):
            for text in self.written[row]:
                encoded = self.tokenizer.encode(text, max_length=self.max_length)
                if UNK not in encoded:
                    ids.append(encoded)
                    images.append(image)
        return captions_from_ids(ids, images).to(features.pooled.device)

    def _rows(self, features: ImageFeatures) -> Tensor:
        if features.rows is None:
            raise ValueError("a reward that reads references needs features of training images, with their rows")
        return features.rows

    def candidates(self, captions: Captions) -> list[str]:
        """Return captions as the metrics read them; `<eos>` closes those that ended, and not those that were cut."""
        rows = list(zip(captions.tokens.tolist(), captions.lengths.tolist(), strict=True))
        texts = self.tokenizer.tokenized([self.tokenizer.decode(tokens[:length]) for tokens, length in rows])
        return [
            f"{text} {END}".lstrip() if tokens[length - 1] == EOS else text
            for text, (tokens, length) in zip(texts, rows, strict=True)
        ]
