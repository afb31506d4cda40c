"""Shallow fusion: a language model advises at every word (Gulcehre et al. 2015, arXiv 1503.03535, section 4.1).

Shapes: B images, N captions, M tokens in all, V vocabulary, W words that may be written.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gan_caption.data.captions import UNK, Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.encoders.none import no_image
from gan_caption.generators.base import DecoderState, Generator


def shallow_fusion(generator: Generator, language_model: Generator, *, weight: float) -> Generator:
    """Let a language model advise a generator.

    The result is a generator, for every decoder. Each word scores

        log p(w | words before, image) + weight * log p_LM(w | words before).

    A search (beam, diverse beam, greedy) adds these scores up as they are, as in the paper: it looks for the caption
    with the greatest log p(caption | image) + weight * log p_LM(caption), which `rerank` can compute as well. Sampling
    and scoring (`score`) need a distribution, and take the softmax of the scores at each step.

    Args:
        generator: the captioner's, in eval mode.
        language_model: of the same vocabulary, in eval mode; it is shown no image. An n-gram model, or the generator
            of a run with `encoder=none`.
        weight: the paper's beta; 0 returns the generator itself, a negative one avoids what the language model likes.

    Raises:
        ValueError: the two have different numbers of words.
    """
    if generator.vocabulary_size != language_model.vocabulary_size:
        raise ValueError(
            f"the language model knows {language_model.vocabulary_size} words and the generator "
            f"{generator.vocabulary_size}: they must share one vocabulary"
        )
    return _Fusion(generator, language_model, weight) if weight else generator


@dataclass(frozen=True)
class _FusedState(DecoderState):
    """The states of both: the generator's tensors come first."""

    own_counts: tuple[int, int] = (0, 0)
    """How many of `recurrent` and of `memory` are the generator's."""
    language_words: Tensor | None = None
    """The language model's `words`; `words` are the generator's."""

    @classmethod
    def of(cls, own: DecoderState, language: DecoderState) -> _FusedState:
        return cls(
            own.recurrent + language.recurrent, own.memory + language.memory, own.images, own.words,
            (len(own.recurrent), len(own.memory)), language.words,
        )  # fmt: skip

    def parts(self) -> tuple[DecoderState, DecoderState]:
        recurrent, memory = self.own_counts
        return (
            DecoderState(self.recurrent[:recurrent], self.memory[:memory], self.images, self.words),
            DecoderState(self.recurrent[recurrent:], self.memory[memory:], self.images, self.language_words),
        )


class _Fusion(Generator):
    def __init__(self, generator: Generator, language_model: Generator, weight: float) -> None:
        super().__init__(
            vocabulary_size=generator.vocabulary_size,
            noise_size=generator.noise_size,
            generate_unknown=generator.first_word == language_model.first_word == UNK,
        )
        self.uses_grid = generator.uses_grid
        self.generator = generator
        self.language_model = language_model
        self.weight = weight

    def start(self, features: ImageFeatures) -> DecoderState:
        own = self.generator.start(features)
        return _FusedState.of(own, self.language_model.start(no_image(len(features), own.images.device)))

    def step(self, tokens: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        logits, state = self.packed_step(tokens, state)
        return self._words_only(logits), state

    def packed_step(
        self, tokens: Tensor, state: DecoderState, rows: Tensor | None = None
    ) -> tuple[Tensor, DecoderState]:
        assert isinstance(state, _FusedState)
        own, language = state.parts()
        own_logits, own = self.generator.packed_step(tokens, own, rows)
        language_logits, language = self.language_model.packed_step(tokens, language, rows)
        return self._fused(own_logits, language_logits), _FusedState.of(own, language)

    def word_scores(self, logits: Tensor) -> Tensor:
        return logits

    @torch.no_grad()
    def anticipate(self, state: DecoderState, steps: int) -> DecoderState:
        assert isinstance(state, _FusedState)
        own, language = state.parts()
        return _FusedState.of(self.generator.anticipate(own, steps), self.language_model.anticipate(language, steps))

    def logits(self, features: ImageFeatures, captions: Captions) -> Tensor:
        return captions.unpacked(self._words_only(self.packed_logits(features, captions)))

    def packed_logits(self, features: ImageFeatures, captions: Captions) -> Tensor:
        own_logits = self.generator.packed_logits(features, captions)
        nothing = no_image(len(features), own_logits.device)
        return self._fused(own_logits, self.language_model.packed_logits(nothing, captions))

    def _fused(self, own: Tensor, language: Tensor) -> Tensor:
        """Add up log-probabilities (N, W), each over those of its generator's words that both may write."""
        own = own[:, self.first_word - self.generator.first_word :]
        language = language[:, self.first_word - self.language_model.first_word :]
        return own.log_softmax(1) + self.weight * language.log_softmax(1)
