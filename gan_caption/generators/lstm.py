"""The LSTM captioner of Vinyals et al. 2015, arXiv 1411.4555: one image vector, then words.

Shapes: B images, N captions, T steps, V vocabulary, P pooled features, Z noise, E embedding, H hidden.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.errors import at_least, share
from gan_caption.generators.base import DecoderState, Generator
from gan_caption.layers import ImageVector, word_vectors


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
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(hidden, vocabulary_size - self.first_word)

    def start(self, features: ImageFeatures) -> DecoderState:
        """Read the image: one row an image."""
        image = self.dropout(self.image(features))  # (B, E) or (B, 2H)
        if self.image_as == "first_input":
            _, (hidden, cell) = self.lstm(image[:, None])
            recurrent = (hidden[0], cell[0])
        else:
            hidden, cell = image.chunk(2, dim=1)
            recurrent = (torch.tanh(hidden), cell)
        return DecoderState(recurrent, (), torch.arange(len(features), device=image.device))

    def step(self, tokens: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """Read one token a row; see `Generator.step`."""
        outputs, recurrent = self._run(tokens[:, None], state.recurrent)
        return self._words_only(self.output(outputs[:, 0])), DecoderState(recurrent, state.memory, state.images)

    def logits(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Score all tokens in one LSTM call; see `Generator.logits`."""
        return self._unpacked(self.packed_logits(features, captions), captions.mask)

    def packed_logits(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Score all tokens in one LSTM call; see `Generator.packed_logits`."""
        state = self.start(features).select(captions.images)
        outputs, _ = self._run(captions.inputs, state.recurrent)
        packed: Tensor = self.output(outputs[captions.mask])
        return packed

    def _run(self, tokens: Tensor, recurrent: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        words = self.dropout(word_vectors(self.words, tokens))  # (N, T, E)
        hidden, cell = recurrent
        outputs, (hidden, cell) = self.lstm(words, (hidden[None], cell[None]))  # (N, T, H)
        return self.dropout(outputs), (hidden[0], cell[0])
