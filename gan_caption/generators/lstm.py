"""The LSTM captioner of Vinyals et al. 2015, arXiv 1411.4555: one image vector, then words.

Shapes: B images, N captions, M tokens in all, V vocabulary, P pooled features, Z noise, E embedding, H hidden.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.errors import at_least, share
from gan_caption.generators.base import Generator, NoiseLaw
from gan_caption.generators.recurrent_state import RecurrentState
from gan_caption.kernels.dropout import Dropout
from gan_caption.kernels.products import Linear
from gan_caption.kernels.recurrent import input_gates, read, step
from gan_caption.kernels.word_gates import KnownWords, word_gates
from gan_caption.layers import ImageVector


class LSTMGenerator(Generator[RecurrentState]):
    """An LSTM that reads the image once, as its first input or as its initial state."""

    def __init__(
        self,
        *,
        vocabulary_size: int,
        pooled_size: int,
        hidden: int,
        embedding: int,
        dropout: float,
        image_as: Literal["first_input", "initial_state"],
        noise_size: int,
        noise_law: NoiseLaw,
        generate_unknown: bool,
    ) -> None:
        """Build the layers.

        Args:
            vocabulary_size: V, special tokens included.
            pooled_size: P, length of the image vector.
            hidden: H, at least 1.
            embedding: E, at least 1.
            dropout: probability in [0, 1), on the word vectors, the image vector and the LSTM's output.
            image_as: "first_input" (Vinyals, eq. 10) or "initial_state" (h and c are functions of the image).
            noise_size: Z, at least 0; the noise vector is appended to the image vector, and 0 is none.
            noise_law: how its numbers are drawn.
            generate_unknown: whether `<unk>` may be written.
        """
        super().__init__(
            vocabulary_size=vocabulary_size, noise_size=noise_size, noise_law=noise_law,
            generate_unknown=generate_unknown,
        )  # fmt: skip
        at_least(1, hidden=hidden, embedding=embedding)
        share(dropout=dropout)
        first = image_as == "first_input"
        self.image = ImageVector(inputs=pooled_size, noise=noise_size, outputs=embedding if first else 2 * hidden)
        self.image_as = image_as
        self.words = nn.Embedding(vocabulary_size, embedding)
        self.lstm = nn.LSTM(embedding, hidden, batch_first=True)
        self.dropout = Dropout(dropout)
        self.output = Linear(hidden, vocabulary_size - self.first_word)

    def start(self, features: ImageFeatures, max_length: int) -> RecurrentState:
        """Read the image: one row an image."""
        return RecurrentState(self._begin(features), known=KnownWords(steps=max_length))

    def step(self, tokens: Tensor, state: RecurrentState, rows: Tensor | None = None) -> tuple[Tensor, RecurrentState]:
        """Read one token a row; see `Generator.step`."""
        gates = word_gates(self.lstm, self.words, tokens, dropout=self.dropout, known=state.known)
        hidden, cell = step(self.lstm, gates, (state.own[0], state.own[1]), rows)
        logits: Tensor = self.output(self.dropout(hidden))
        return logits, state.after((hidden, cell), rows)

    def logits(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Score all tokens in one pass; see `Generator.logits`."""
        hidden, cell = (part.index_select(0, captions.images) for part in self._begin(features))
        words = self.dropout(self.words(captions.packed(captions.inputs)))  # (M, E)
        outputs = read(self.lstm, words, captions.lengths, (hidden, cell))  # (M, H)
        packed: Tensor = self.output(self.dropout(outputs))
        return packed

    def warm_start_weights(self) -> dict[str, Tensor]:
        """Return the word vectors and the LSTM; see `Generator.warm_start_weights`."""
        lstm = {f"lstm.{name}": weight.detach() for name, weight in self.lstm.named_parameters()}
        return {"words.weight": self.words.weight.detach()} | lstm

    def _begin(self, features: ImageFeatures) -> tuple[Tensor, Tensor]:
        """Return hidden state and cell, (B, H) each, once the image was read."""
        image = self.dropout(self.image(features))  # (B, E) or (B, 2H)
        if self.image_as == "first_input":
            return step(self.lstm, input_gates(self.lstm, image))
        hidden, cell = image.chunk(2, dim=1)
        return torch.tanh(hidden), cell
