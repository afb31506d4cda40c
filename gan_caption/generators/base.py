"""The contract of a generator, and the state it carries.

Shapes: B images, N captions or partial captions of them, T time steps, V vocabulary size.
Every decoder, reward and objective uses the verbs below and nothing else, so a new generator is one file.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from gan_caption.data.captions import EOS, UNK, Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.errors import at_least


@dataclass(frozen=True)
class DecoderState:
    """Where N partial captions stand: one row each, free to be forked, dropped and reordered."""

    recurrent: tuple[Tensor, ...]
    """Each (N, ...): what differs from row to row."""
    memory: tuple[Tensor, ...]
    """Each (B, ...): what the rows of one image share; never copied."""
    images: Tensor
    """(N,) long, ascending: the row of `memory` that each partial caption reads."""
    words: Tensor | None = None
    """(V, ...): what each word adds to a step, where that was worked out beforehand; see `Generator.anticipate`."""

    def select(self, rows: Tensor) -> DecoderState:
        """Return the state of these rows (indices, (M,) long); a row may come several times.

        The images of the chosen rows must stay ascending.
        """
        recurrent = tuple(tensor.index_select(0, rows) for tensor in self.recurrent)
        return replace(self, recurrent=recurrent, images=self.images.index_select(0, rows))

    def split(self, images: int) -> list[DecoderState]:
        """Return the state of so many images at a time (the last may be of fewer); it must have a row an image."""
        return [
            replace(
                self,
                recurrent=tuple(tensor[first : first + images] for tensor in self.recurrent),
                memory=tuple(tensor[first : first + images] for tensor in self.memory),
                images=self.images[first : first + images] - first,
            )
            for first in range(0, max(len(self.images), 1), images)
        ]

    def repeat(self, times: int) -> DecoderState:
        """Return the state with every row `times` times, the copies of a row neighbours."""
        return self.select(torch.arange(len(self.images), device=self.images.device).repeat_interleave(times))


class Generator(nn.Module, ABC):
    """p(caption | image features), one word at a time.

    `<pad>` and `<bos>` have probability zero, and so has `<unk>` unless it was asked for: sampling and scoring
    use the same distribution, with nothing masked afterwards.
    """

    def __init__(self, *, vocabulary_size: int, noise_size: int = 0, generate_unknown: bool = False) -> None:
        """Remember what every generator has.

        Args:
            vocabulary_size: V, special tokens included.
            noise_size: Z, length of the noise vector that `ImageFeatures.noise` may carry; 0 for none.
            generate_unknown: whether `<unk>` may be written.
        """
        super().__init__()
        if vocabulary_size <= EOS:
            raise ValueError(f"vocabulary_size={vocabulary_size}: it counts the {EOS + 1} special tokens")
        at_least(0, noise_size=noise_size)
        self.vocabulary_size = vocabulary_size
        self.noise_size = noise_size
        self.first_word = UNK if generate_unknown else EOS
        """Ids below this one are never written."""

    uses_grid: bool = False
    """Whether `ImageFeatures.grid` is read."""

    @abstractmethod
    def start(self, features: ImageFeatures) -> DecoderState:
        """Return the state before the first word, one row an image."""

    @abstractmethod
    def step(self, tokens: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """Read one token a row and predict the next.

        Args:
            tokens: (N,) long, the previous tokens, `BOS` at the start; or weights (N, V) over the words, which pass
                gradients back to what chose them (only the Gumbel objective asks for that).
            state: of N rows.

        Returns:
            logits (N, V), -inf on tokens that are never written, and the state after reading.
        """

    def packed_step(
        self, tokens: Tensor, state: DecoderState, rows: Tensor | None = None
    ) -> tuple[Tensor, DecoderState]:
        """Read tokens and predict the next as `step` does, but the words that may be written alone.

        A generator that shares what rows have in common, and never makes the rest of the logits, is faster.

        Args:
            tokens: (N,) long; see `step`.
            state: see `step`.
            rows: (N,) long, their images ascending: the row of the state after which each token is read, several after
                the same where a search or samples part there; None: the state has N rows, one for each.

        Returns:
            logits (N, V - first_word), and the state after reading, of N rows.
        """
        logits, state = self.step(tokens, state if rows is None else state.select(rows))
        return logits[:, self.first_word :], state

    def word_scores(self, logits: Tensor) -> Tensor:
        """Return what a search adds up for each word that a caption may go on with: log p, of the logits' shape.

        Args:
            logits: of `step` or of `packed_step`, (N, V) or (N, V - first_word).
        """
        return logits.log_softmax(1)

    def word_gates(self) -> Tensor | None:
        """Return what each word adds to a step before the state is looked at, (V, ...); None where there is nothing."""
        return None

    @torch.no_grad()
    def anticipate(self, state: DecoderState, steps: int) -> DecoderState:
        """Return the state ready for so many steps, rows counted: a word that comes often is looked at once.

        The generator must be in eval mode, and its weights stay as they are for as long as the state is used.
        """
        return replace(state, words=self.word_gates()) if steps > 2 * self.vocabulary_size else state

    @abstractmethod
    def logits(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Predict every token from its predecessors in one teacher-forced pass.

        Args:
            features: of B images; each is projected once, however many captions it has.
            captions: N captions of them.

        Returns:
            (N, T, V) logits, -inf on tokens that are never written. The rows past a caption's length mean nothing.
        """

    def packed_logits(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Predict every token as `logits` does, of the captions' own tokens and the words that may be written alone.

        Half of a batch of captions is padding, and the output layer is the widest one: a generator that never makes the
        rest is faster.

        Args:
            features: of B images.
            captions: N captions of them, M tokens in all.

        Returns:
            (M, V - first_word) logits, caption after caption.
        """
        return self.logits(features, captions)[captions.mask][:, self.first_word :]

    def score(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Return log p(token | tokens before it, image), (N, T), with gradients; 0 on padding."""
        packed = self.packed_logits(features, captions).log_softmax(1)
        return captions.unpacked(token_log_probs(packed, captions, first_word=self.first_word))

    def looks(self, features: ImageFeatures, captions: Captions) -> Tensor | None:
        """Return where in the grid the generator looks for each token, (N, T, R), rows summing to 1; 0 on padding.

        None where it does not attend to a grid.
        """
        del features, captions
        return None

    def _words_only(self, logits: Tensor) -> Tensor:
        """Put -inf before the logits of the tokens that may be written: (..., V - first_word) to (..., V)."""
        never = logits.new_full((*logits.shape[:-1], self.first_word), float("-inf"))
        return torch.cat([never, logits], -1)  # `pad` would write all of it twice


def token_log_probs(log_probs: Tensor, captions: Captions, *, first_word: int) -> Tensor:
    """Pick the captions' own tokens out of packed log-probabilities (M, V - first_word): (M,).

    It is -inf at a token that is never written.
    """
    targets = captions.tokens[captions.mask] - first_word
    own = log_probs.gather(1, targets.clamp(min=0)[:, None])[:, 0]
    return own.masked_fill(targets < 0, float("-inf"))
