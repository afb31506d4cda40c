"""LM and reverse-LM scores (Caccia et al. 2020, arXiv 1811.02549, section 3): quality and coverage by n-gram models.

LM score: how probable samples are under a model of human captions (quality). Reverse-LM score: how probable unseen
human captions are under a model of samples (it pays for quality and variety at once). Both in nats a token; lower is
better.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import cache

from nltk.lm import Vocabulary, WittenBellInterpolated
from nltk.util import everygrams

from gan_caption.metrics.diversity import check_samples
from gan_caption.metrics.ngrams import check_captions


class NgramModel:
    """An interpolated n-gram model (Witten and Bell 1991, as NLTK has it) over the words of human captions."""

    def __init__(self, captions: Sequence[str], *, words: Iterable[str], order: int = 3) -> None:
        """Count.

        Args:
            captions: tokenized, to learn from.
            words: the vocabulary. The same one for every model that is compared: each of its words is counted once
                more than it occurs, so that no human word is impossible, and any other word is one and the same.
            order: n.

        Raises:
            UserError: there are no captions.
        """
        check_samples([captions], at_least=1)
        check_captions(words, "words")
        known = sorted({*words, "</s>"})
        self.order = order
        self._model = WittenBellInterpolated(order, vocabulary=Vocabulary([*known, "<s>", "<UNK>"], unk_cutoff=1))
        self._model.fit([[(word,)] for word in [*known, "<UNK>"]])
        # The mark of the beginning is context only: it is never predicted.
        self._model.fit(
            [gram for gram in everygrams(self._padded(caption), max_len=order) if gram[-1] != "<s>"]
            for caption in captions
        )
        self._log_probability = cache(self._score)

    def nll_per_token(self, captions: Sequence[str]) -> float:
        """Return nats a token, the end of each caption counted as a token.

        Raises:
            UserError: there are no captions.
        """
        check_samples([captions], at_least=1)
        nll, tokens = 0.0, 0
        for caption in captions:
            words = self._model.vocab.lookup(self._padded(caption))
            for end in range(self.order - 1, len(words)):
                nll -= self._log_probability(words[end], words[end - self.order + 1 : end])
                tokens += 1
        return nll / tokens

    def _padded(self, caption: str) -> list[str]:
        """Return a caption behind n - 1 marks of the beginning, with one end."""
        return [*["<s>"] * (self.order - 1), *caption.split(), "</s>"]

    def _score(self, word: str, context: tuple[str, ...]) -> float:
        return math.log(self._model.score(word, context))


def lm_scores(
    samples: Sequence[str], unseen: Sequence[str], *, human: NgramModel, words: Iterable[str]
) -> dict[str, float]:
    """Return `lm_nll`, nats a token of samples under a model of people's captions, and `reverse_lm_nll`.

    Args:
        samples: tokenized.
        unseen: people's captions, tokenized, that no model has learned from: scored under a model of the samples.
        human: the model of people's captions.
        words: its vocabulary, which the model of the samples shares.
    """
    reverse = NgramModel(samples, words=words, order=human.order).nll_per_token(unseen)
    return {"lm_nll": human.nll_per_token(samples), "reverse_lm_nll": reverse}
