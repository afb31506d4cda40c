"""An LSTM captioner with soft attention over the image grid.

Two LSTMs with the attention between them, as in Anderson et al. 2018 (UpDown, arXiv 1707.07998, section 3.2): the
first reads the words and the image vector and asks, the second reads the answer and writes. Departures: the second does
not feed back into the first, so a teacher-forced pass reads whole captions with each, and attends once,
instead of T steps of each; and the attention score is a dot product (see `GridAttention`).

Shapes: B images, N captions, M tokens in all, V vocabulary, P pooled, D grid channels, Z noise, E embedding, H hidden.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.errors import at_least, share
from gan_caption.generators.base import DecoderState, Generator
from gan_caption.kernels.products import Linear
from gan_caption.kernels.recurrent import input_gates, read, step
from gan_caption.layers import Dropout, GridAttention, ImageVector, word_vectors


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
        self.dropout = Dropout(dropout)
        self.output = Linear(hidden, vocabulary_size - self.first_word)

    def start(self, features: ImageFeatures) -> DecoderState:
        """Read the image vector and project the grid: one row an image."""
        image = self.dropout(self.image(features))  # (B, E)
        hidden, cell = step(self.asking, input_gates(self.asking, image))
        zeros = torch.zeros_like(hidden)
        memory = self.attention.memory(features)
        images = torch.arange(image.shape[0], device=image.device)
        return DecoderState((hidden, cell, zeros, zeros), memory, images)

    def step(self, tokens: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """Read one token a row; see `Generator.step`. A subclass changes `packed_step`, which every decoder calls."""
        logits, state = self.packed_step(tokens, state)
        return self._words_only(logits), state

    def packed_step(
        self, tokens: Tensor, state: DecoderState, rows: Tensor | None = None
    ) -> tuple[Tensor, DecoderState]:
        """Read one token after each of these rows; see `Generator.packed_step`."""
        if state.words is None:
            gates = input_gates(self.asking, self.dropout(word_vectors(self.words, tokens)))
        else:
            gates = state.words.index_select(0, tokens)
        asked, kept, written, kept2 = state.recurrent
        images = state.images if rows is None else state.images.index_select(0, rows)
        asked, kept = step(self.asking, gates, (asked, kept), rows)
        context = self.attention(asked[:, None], state.memory, images)[:, 0]  # (N, H)
        inputs = self.dropout(torch.cat([asked, context], dim=1))
        written, kept2 = step(self.writing, input_gates(self.writing, inputs), (written, kept2), rows)
        logits: Tensor = self.output(self.dropout(written))
        return logits, replace(state, recurrent=(asked, kept, written, kept2), images=images)

    def word_gates(self) -> Tensor:
        """Return what each word adds at the first LSTM's gates; see `Generator.word_gates`."""
        return input_gates(self.asking, self.words.weight)

    def logits(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Score all tokens in one pass, with one attention; see `Generator.logits`."""
        return captions.unpacked(self._words_only(self.packed_logits(features, captions)))

    def packed_logits(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Score all tokens in one pass, with one attention; see `Generator.packed_logits`."""
        state, queries, images = self._queries(features, captions)
        contexts = self.attention(queries[:, None], state.memory, images)[:, 0]  # (M, H)
        inputs = self.dropout(torch.cat([queries, contexts], dim=1))
        _, _, hidden, cell = state.recurrent
        outputs = read(self.writing, inputs, captions.lengths, (hidden, cell))
        packed: Tensor = self.output(self.dropout(outputs))
        return packed

    def looks(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Return the attention maps, the mean over heads; see `Generator.looks`."""
        state, queries, images = self._queries(features, captions)
        return captions.unpacked(self.attention.weights(queries[:, None], state.memory, images)[:, 0])

    def _queries(self, features: ImageFeatures, captions: Captions) -> tuple[DecoderState, Tensor, Tensor]:
        """Return the state that captions begin with, what each token asks (M, H), and whose image that is (M,)."""
        state = self.start(features).select(captions.images)
        hidden, cell, _, _ = state.recurrent
        words = self.dropout(self.words(captions.inputs[captions.mask]))  # (M, E)
        queries = read(self.asking, words, captions.lengths, (hidden, cell))  # (M, H)
        return state, queries, captions.images.repeat_interleave(captions.lengths)
