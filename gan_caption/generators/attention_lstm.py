"""An LSTM captioner with soft attention over the image grid.

Two LSTMs with the attention between them, as in Anderson et al. 2018 (UpDown, arXiv 1707.07998, section 3.2): the
first reads the words and the image vector and asks, the second reads the answer and writes. Departures: the second does
not feed back into the first, so a teacher-forced pass is two whole-sequence LSTM calls and one batched attention
instead of T steps of each; and the attention score is a dot product (see `GridAttention`).

Shapes: B images, N captions, T steps, V vocabulary, P pooled, D grid channels, Z noise, E embedding, H hidden.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.errors import at_least, share
from gan_caption.generators.base import DecoderState, Generator
from gan_caption.layers import GridAttention, ImageVector, word_vectors


class AttentionLSTMGenerator(Generator):
    """Words and image vector -> LSTM -> attention over the grid -> LSTM -> words."""

    uses_grid = True

    def __init__(
        self,
        *,
        vocabulary_size: int,
        pooled_size: int,
        grid_size: int,
        hidden: int = 512,
        embedding: int = 512,
        heads: int = 8,
        dropout: float = 0.5,
        noise_size: int = 0,
        generate_unknown: bool = False,
    ) -> None:
        """Build the layers.

        Args:
            vocabulary_size: V.
            pooled_size: P.
            grid_size: D.
            hidden: H, a multiple of `heads`.
            embedding: E.
            heads: attention heads.
            dropout: probability in [0, 1), on the word vectors, the image vector, the contexts and both outputs.
            noise_size: Z; the noise vector is appended to the image vector.
            generate_unknown: whether `<unk>` may be written.
        """
        super().__init__(vocabulary_size=vocabulary_size, noise_size=noise_size, generate_unknown=generate_unknown)
        at_least(1, hidden=hidden, embedding=embedding, heads=heads)
        share(dropout=dropout)
        self.image = ImageVector(inputs=pooled_size, noise=noise_size, outputs=embedding)
        self.words = nn.Embedding(vocabulary_size, embedding)
        self.asking = nn.LSTM(embedding, hidden, batch_first=True)
        self.attention = GridAttention(grid=grid_size, query=hidden, hidden=hidden, heads=heads)
        self.writing = nn.LSTM(2 * hidden, hidden, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(hidden, vocabulary_size - self.first_word)

    def start(self, features: ImageFeatures) -> DecoderState:
        """Read the image vector and project the grid: one row an image."""
        image = self.dropout(self.image(features))  # (B, E)
        _, (hidden, cell) = self.asking(image[:, None])
        zeros = torch.zeros_like(hidden[0])
        memory = self.attention.memory(features)
        images = torch.arange(len(features), device=image.device)
        return DecoderState((hidden[0], cell[0], zeros, zeros), memory, images)

    def step(self, tokens: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """Read one token a row; see `Generator.step`."""
        outputs, state = self._run(tokens[:, None], state)
        return self._words_only(self.output(outputs[:, 0])), state

    def logits(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Score all tokens in two LSTM calls and one attention; see `Generator.logits`."""
        return self._unpacked(self.packed_logits(features, captions), captions.mask)

    def packed_logits(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Score all tokens in two LSTM calls and one attention; see `Generator.packed_logits`."""
        outputs, _ = self._run(captions.inputs, self.start(features).select(captions.images))
        packed: Tensor = self.output(outputs[captions.mask])
        return packed

    def _run(self, tokens: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        words = self.dropout(word_vectors(self.words, tokens))  # (N, T, E)
        hidden, cell, hidden2, cell2 = state.recurrent
        queries, (hidden, cell) = self.asking(words, (hidden[None], cell[None]))  # (N, T, H)
        contexts = self.attention(queries, state.memory, state.images)  # (N, T, H)
        inputs = self.dropout(torch.cat([queries, contexts], dim=2))
        outputs, (hidden2, cell2) = self.writing(inputs, (hidden2[None], cell2[None]))
        recurrent = (hidden[0], cell[0], hidden2[0], cell2[0])
        return self.dropout(outputs), DecoderState(recurrent, state.memory, state.images)
