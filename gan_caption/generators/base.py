"""The contract of a generator: the policy p(caption | image), one word at a time.

Shapes: B images, N captions or partial captions of them, M tokens in all, T time steps, V vocabulary size,
W = V - first_word: the words that may be written.

Every decoder, reward and objective uses the verbs below and nothing else, so a new generator is one file;
`gan_caption.testing.check_generator` tells whether it keeps the contract.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

import torch
from torch import Tensor, nn

from gan_caption.data.captions import EOS, UNK, Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.errors import at_least
from gan_caption.generators.state import PolicyState

if TYPE_CHECKING:
    from gan_caption.discriminators.base import Discriminator

State = TypeVar("State", bound=PolicyState)

NoiseLaw = Literal["normal", "uniform"]
"""How the numbers of a noise vector are drawn, each by itself: from a standard normal, or evenly from -1 to 1."""


class Generator(nn.Module, ABC, Generic[State]):
    """p(caption | image features), one word at a time.

    `<pad>` and `<bos>` have probability zero, and so has `<unk>` unless it was asked for: sampling and scoring
    use the same distribution, with nothing masked afterwards.
    """

    uses_grid: bool = False
    """Whether `ImageFeatures.grid` is read."""

    def __init__(
        self,
        *,
        vocabulary_size: int,
        noise_size: int = 0,
        noise_law: NoiseLaw = "normal",
        generate_unknown: bool = False,
    ) -> None:
        """Remember what every generator has.

        Args:
            vocabulary_size: V, special tokens included.
            noise_size: Z, length of the noise vector that `ImageFeatures.noise` may carry; 0 for none.
            noise_law: how its numbers are drawn.
            generate_unknown: whether `<unk>` may be written.
        """
        super().__init__()
        if vocabulary_size <= EOS:
            raise ValueError(f"vocabulary_size={vocabulary_size}: it counts the {EOS + 1} special tokens")
        at_least(0, noise_size=noise_size)
        self.vocabulary_size = vocabulary_size
        self.noise_size = noise_size
        self.noise_law: NoiseLaw = noise_law
        self.first_word = UNK if generate_unknown else EOS
        """At least `<unk>`'s id; ids below it are never written."""

    @abstractmethod
    def start(self, features: ImageFeatures, max_length: int) -> State:
        """Return the state before the first word, a row an image.

        Args:
            features: of B images.
            max_length: the most tokens that will be written, `<eos>` counted. `<bos>` and all of them may be read.
        """

    @abstractmethod
    def step(self, tokens: Tensor, state: State, rows: Tensor | None = None) -> tuple[Tensor, State]:
        """Read one token a row and predict the next. The state that is given stays as it is.

        Args:
            tokens: (N,) long, the previous tokens, `<bos>` at the start; or weights (N, V) over the words, which pass
                gradients back to what chose them (only the Gumbel objective asks for that).
            state: where captions stand.
            rows: (N,) long, their images ascending: the row of the state after which each token is read, several after
                the same where a search or samples part there; None: the state has N rows, one for each.

        Returns:
            logits (N, W) of the words that may be written, and the state after reading, of N rows.
        """

    @abstractmethod
    def logits(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Predict every token from its predecessors in one teacher-forced pass.

        Args:
            features: of B images; each is projected once, however many captions it has.
            captions: N captions of them, M tokens in all; padding is not predicted.

        Returns:
            (M, W) logits, caption after caption.
        """

    def after_each_prefix(self, captions: Captions, state: State) -> tuple[Tensor, State]:
        """Read captions, and return how each of their prefixes may go on: rollouts begin there.

        Args:
            captions: N captions of T tokens; what is read of padding means nothing.
            state: as `start` returns it, of the captions' images.

        Returns:
            logits (N * T, W) of the next word, and the state, of N * T rows: row n * T + t is after the first t + 1
            tokens of caption n.
        """
        _, state = self.step(captions.inputs[:, 0], state, captions.images)
        logits, states = [], []
        for tokens in captions.tokens.unbind(1):
            following, state = self.step(tokens, state)
            logits.append(following)
            states.append(state)
        return torch.stack(logits, dim=1).flatten(0, 1), state.stack(states)

    def score(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Return log p(token | tokens before it, image), (N, T), with gradients; 0 on padding."""
        log_probs = self.logits(features, captions).float().log_softmax(1)
        return captions.unpacked(token_log_probs(log_probs, captions, first_word=self.first_word))

    def attention_weights(self, features: ImageFeatures, captions: Captions) -> Tensor | None:
        """Return where in the grid the generator looks for each token, (N, T, R), rows summing to 1; 0 on padding.

        None where it does not attend to a grid.
        """
        del features, captions
        return None

    def follow(self, discriminator: Discriminator) -> None:
        """Copy what the policy reads of a discriminator, which has learned: by default nothing.

        Raises:
            UserError: the policy reads what this discriminator does not have.
        """
        del discriminator

    def weights(self) -> list[Tensor]:
        """Return all that it computes with, whether it learns or not; see `PretrainedLMGenerator`, which holds more."""
        return list(self.parameters())

    def pretrained_parameters(self) -> list[nn.Parameter]:
        """Return the parameters that came pretrained and learn along, at a rate of their own: by default none."""
        return []

    def warm_start_weights(self) -> dict[str, Tensor]:
        """Return the weights that a discriminator may begin with, by the names that discriminators have for them.

        These are `words.weight`, the word vectors (V, E), and `lstm.`, an `nn.LSTM` that reads them. By default none.
        """
        return {}


def token_log_probs(log_probs: Tensor, captions: Captions, *, first_word: int) -> Tensor:
    """Pick the captions' own tokens out of log-probabilities (M, W): (M,).

    It is -inf at a token that is never written.
    """
    targets = captions.packed(captions.tokens) - first_word
    own = log_probs.gather(1, targets.clamp(min=0)[:, None])[:, 0]
    return own.masked_fill(targets < 0, float("-inf"))


def over_vocabulary(logits: Tensor, *, first_word: int) -> Tensor:
    """Put -inf before the logits of the words that may be written: (..., W) to (..., V)."""
    never = logits.new_full((*logits.shape[:-1], first_word), float("-inf"))
    return torch.cat([never, logits], -1)  # `pad` would write all of it twice


def check_density(generator: Generator, advice: str) -> None:
    """Raise ValueError, which ends with the advice, where nobody knows how likely a caption is under the policy."""
    if generator.noise_size:
        raise ValueError(
            f"noise_size={generator.noise_size}: how likely a caption is under a policy with noise is a mean over "
            f"all noise vectors, which is not known; {advice}"
        )
