"""Shallow fusion: a language model advises at every word (Gulcehre et al. 2015, arXiv 1503.03535, section 4.1).

Shapes: B images, N captions, M tokens in all, V vocabulary, W words that may be written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.encoders.none import no_image
from gan_caption.generators.base import Generator
from gan_caption.generators.state import PolicyState


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
    return Fusion(generator, language_model, weight) if weight else generator


def word_scores(generator: Generator, logits: Tensor) -> Tensor:
    """Return what a search adds up for each word that a caption may go on with: log p, or a fusion's scores (N, W).

    Args:
        generator: whose `step` gave the logits.
        logits: (N, W).
    """
    return logits if isinstance(generator, Fusion) else logits.float().log_softmax(1)


@dataclass(frozen=True)
class FusedState(PolicyState):
    """Where the same captions stand in both."""

    own: PolicyState
    """The generator's."""
    language: PolicyState
    """The language model's."""

    @property
    def images(self) -> Tensor:
        """(N,) long; see `PolicyState.images`."""
        return self.own.images

    @property
    def row_bytes(self) -> int:
        """Memory of a row in both, in bytes."""
        return self.own.row_bytes + self.language.row_bytes

    def select(self, rows: Tensor) -> FusedState:
        """Return the state of these rows; see `PolicyState.select`."""
        return FusedState(self.own.select(rows), self.language.select(rows))

    def split(self, images: int) -> list[FusedState]:
        """Return the state of so many images at a time; see `PolicyState.split`."""
        return list(map(FusedState, self.own.split(images), self.language.split(images)))

    @classmethod
    def stack(cls, states: Sequence[FusedState]) -> FusedState:
        """Return T states of the same rows as one; see `PolicyState.stack`."""
        own, language = [state.own for state in states], [state.language for state in states]
        return FusedState(own[0].stack(own), language[0].stack(language))


class Fusion(Generator[FusedState]):
    """A generator with an adviser; see `shallow_fusion`."""

    def __init__(self, generator: Generator, language_model: Generator, weight: float) -> None:
        """Take both; `shallow_fusion` is the usual way."""
        super().__init__(
            vocabulary_size=generator.vocabulary_size, noise_size=generator.noise_size, noise_law=generator.noise_law
        )
        self.first_word = max(generator.first_word, language_model.first_word)
        self.uses_grid = generator.uses_grid
        self.generator = generator
        self.language_model = language_model
        self.weight = weight

    def weights(self) -> list[Tensor]:
        """Return those of both; see `Generator.weights`."""
        return [*self.generator.weights(), *self.language_model.weights()]

    def start(self, features: ImageFeatures, max_length: int) -> FusedState:
        """Return the state before the first word; see `Generator.start`."""
        nothing = no_image(len(features), features.pooled.device)
        return FusedState(self.generator.start(features, max_length), self.language_model.start(nothing, max_length))

    def step(self, tokens: Tensor, state: FusedState, rows: Tensor | None = None) -> tuple[Tensor, FusedState]:
        """Read one token a row; see `Generator.step`. The logits are weighted sums of log-probabilities."""
        own_logits, own = self.generator.step(tokens, state.own, rows)
        language_logits, language = self.language_model.step(tokens, state.language, rows)
        return self._fused(own_logits, language_logits), FusedState(own, language)

    def logits(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Score all tokens in one pass; see `Generator.logits`."""
        own_logits = self.generator.logits(features, captions)
        nothing = no_image(len(features), own_logits.device)
        return self._fused(own_logits, self.language_model.logits(nothing, captions))

    def _fused(self, own: Tensor, language: Tensor) -> Tensor:
        """Add up log-probabilities (N, W), each over those of its generator's words that both may write."""
        own = own[:, self.first_word - self.generator.first_word :]
        language = language[:, self.first_word - self.language_model.first_word :]
        return own.float().log_softmax(1) + self.weight * language.float().log_softmax(1)
