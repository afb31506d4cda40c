"""The LSTM captioner of Vinyals et al. 2015, arXiv 1411.4555: one image vector, then words.

Shapes: B images, N captions, M tokens in all, V vocabulary, P pooled features, Z noise, E embedding, H hidden.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.errors import at_least, share
from gan_caption.generators.base import DecoderState, Generator
from gan_caption.kernels.products import Linear
from gan_caption.kernels.recurrent import input_gates, read, step
from gan_caption.layers import Dropout, ImageVector, word_vectors


class LSTMGenerator(Generator):
    """An LSTM that reads the image once, as its first input or as its initial state."""

    def __init__(
        self,
        *,
        vocabulary_size: int,
        pooled_size: int,
        hidden: int = 512,
        embedding: int = 512,
        dropout: float = 0.5,
        image_as: Literal["first_input", "initial_state"] = "first_input",
        noise_size: int = 0,
        generate_unknown: bool = False,
    ) -> None:
        """Build the layers.

        Args:
            vocabulary_size: V.
            pooled_size: P, length of the image vector.
            hidden: H.
            embedding: E.
            dropout: probability in [0, 1), on the word vectors, the image vector and the LSTM's output.
            image_as: "first_input" (Vinyals, eq. 10) or "initial_state" (h and c are functions of the image).
            noise_size: Z; the noise vector is appended to the image vector.
            generate_unknown: whether `<unk>` may be written.
        """
        super().__init__(vocabulary_size=vocabulary_size, noise_size=noise_size, generate_unknown=generate_unknown)
        at_least(1, hidden=hidden, embedding=embedding)
        share(dropout=dropout)
        first = image_as == "first_input"
        self.image = ImageVector(inputs=pooled_size, noise=noise_size, outputs=embedding if first else 2 * hidden)
        self.image_as = image_as
        self.words = nn.Embedding(vocabulary_size, embedding)
        self.lstm = nn.LSTM(embedding, hidden, batch_first=True)
        self.dropout = Dropout(dropout)
        self.output = Linear(hidden, vocabulary_size - self.first_word)

    def start(self, features: ImageFeatures) -> DecoderState:
        """Read the image: one row an image."""
        image = self.dropout(self.image(features))  # (B, E) or (B, 2H)
        if self.image_as == "first_input":
            recurrent = step(self.lstm, input_gates(self.lstm, image))
        else:
            hidden, cell = image.chunk(2, dim=1)
            recurrent = (torch.tanh(hidden), cell)
        return DecoderState(recurrent, (), torch.arange(image.shape[0], device=image.device))

    def step(self, tokens: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """Read one token a row; see `Generator.step`. A subclass changes `packed_step`, which every decoder calls."""
        logits, state = self.packed_step(tokens, state)
        return self._words_only(logits), state

    def packed_step(
        self, tokens: Tensor, state: DecoderState, rows: Tensor | None = None
    ) -> tuple[Tensor, DecoderState]:
        """Read one token after each of these rows; see `Generator.packed_step`."""
        if state.words is None:
            gates = input_gates(self.lstm, self.dropout(word_vectors(self.words, tokens)))
        else:
            gates = state.words.index_select(0, tokens)
        hidden, cell = step(self.lstm, gates, (state.recurrent[0], state.recurrent[1]), rows)
        images = state.images if rows is None else state.images.index_select(0, rows)
        logits: Tensor = self.output(self.dropout(hidden))
        return logits, replace(state, recurrent=(hidden, cell), images=images)

    def word_gates(self) -> Tensor:
        """Return what each word adds at the LSTM's gates; see `Generator.word_gates`."""
        return input_gates(self.lstm, self.words.weight)

    def logits(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Score all tokens in one pass; see `Generator.logits`."""
        return captions.unpacked(self._words_only(self.packed_logits(features, captions)))

    def packed_logits(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Score all tokens in one pass; see `Generator.packed_logits`."""
        hidden, cell = self.start(features).select(captions.images).recurrent
        words = self.dropout(self.words(captions.inputs[captions.mask]))  # (M, E)
        outputs = read(self.lstm, words, captions.lengths, (hidden, cell))  # (M, H)
        packed: Tensor = self.output(self.dropout(outputs))
        return packed
