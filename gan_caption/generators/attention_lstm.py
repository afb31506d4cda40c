"""An LSTM captioner with soft attention over the image grid.

Two LSTMs with the attention between them, as in Anderson et al. 2018 (UpDown, arXiv 1707.07998, section 3.2): the
first reads the words and asks, the second reads the answer and writes. Departures: the second does not feed back into
the first, so a teacher-forced pass reads whole captions with each, and attends once, instead of T steps of each; the
image vector is the first one's first input, where the paper gives it at every step; and attention has several heads,
whose scores are dot products, over projected regions (see `GridAttention`).

Shapes: B images, N captions, M tokens in all, V vocabulary, P pooled, D grid channels, Z noise, E embedding, H hidden.
"""

from __future__ import annotations

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
from gan_caption.layers import ByImage, GridAttention, ImageVector, memory_of_rows


class AttentionLSTMGenerator(Generator[RecurrentState]):
    """Words and image vector -> LSTM -> attention over the grid -> LSTM -> words."""

    uses_grid = True

    def __init__(
        self,
        *,
        vocabulary_size: int,
        pooled_size: int,
        grid_size: int,
        hidden: int,
        embedding: int,
        heads: int,
        dropout: float,
        noise_size: int,
        noise_law: NoiseLaw,
        generate_unknown: bool,
    ) -> None:
        """Build the layers.

        Args:
            vocabulary_size: V, special tokens included.
            pooled_size: P, length of the image vector.
            grid_size: D, channels of the grid.
            hidden: H, a multiple of `heads`.
            embedding: E, at least 1.
            heads: attention heads, at least 1.
            dropout: probability in [0, 1), on the word vectors, the image vector, the contexts and both outputs.
            noise_size: Z, at least 0; the noise vector is appended to the image vector, and 0 is none.
            noise_law: how its numbers are drawn.
            generate_unknown: whether `<unk>` may be written.
        """
        super().__init__(
            vocabulary_size=vocabulary_size, noise_size=noise_size, noise_law=noise_law,
            generate_unknown=generate_unknown,
        )  # fmt: skip
        at_least(1, hidden=hidden, embedding=embedding, heads=heads)
        share(dropout=dropout)
        self.image = ImageVector(inputs=pooled_size, noise=noise_size, outputs=embedding)
        self.words = nn.Embedding(vocabulary_size, embedding)
        self.asking = nn.LSTM(embedding, hidden, batch_first=True)
        self.attention = GridAttention(grid=grid_size, query=hidden, hidden=hidden, heads=heads)
        self.writing = nn.LSTM(2 * hidden, hidden, batch_first=True)
        self.dropout = Dropout(dropout)
        self.output = Linear(hidden, vocabulary_size - self.first_word)

    def start(self, features: ImageFeatures, max_length: int) -> RecurrentState:
        """Read the image vector and project the grid: one row an image."""
        hidden, cell = self._begin(features)
        zeros = torch.zeros_like(hidden)
        memory = self.attention.memory(features)
        return RecurrentState((hidden, cell, zeros, zeros), memory, known=KnownWords(steps=max_length))

    def step(self, tokens: Tensor, state: RecurrentState, rows: Tensor | None = None) -> tuple[Tensor, RecurrentState]:
        """Read one token a row; see `Generator.step`."""
        gates = word_gates(self.asking, self.words, tokens, dropout=self.dropout, known=state.known)
        asked, kept, written, kept2 = state.own
        images = state.row_images if rows is None else state.images.index_select(0, rows)
        asked, kept = step(self.asking, gates, (asked, kept), rows)
        memory, images = memory_of_rows(state.shared, images)
        context = self.attention(asked[:, None], memory, None if images is None else ByImage.of(images))[:, 0]  # (N, H)
        inputs = self.dropout(torch.cat([asked, context], dim=1))
        written, kept2 = step(self.writing, input_gates(self.writing, inputs), (written, kept2), rows)
        logits: Tensor = self.output(self.dropout(written))
        return logits, state.after((asked, kept, written, kept2), rows)

    def logits(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Score all tokens in one pass, with one attention; see `Generator.logits`."""
        queries, memory, images = self._queries(features, captions)
        contexts = self.attention(queries[:, None], memory, ByImage.of(images))[:, 0]  # (M, H)
        inputs = self.dropout(torch.cat([queries, contexts], dim=1))
        outputs = read(self.writing, inputs, captions.lengths)
        packed: Tensor = self.output(self.dropout(outputs))
        return packed

    def attention_weights(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Return the attention maps, the mean over heads; see `Generator.attention_weights`."""
        queries, memory, images = self._queries(features, captions)
        return captions.unpacked(self.attention.weights(queries[:, None], memory, images)[:, 0])

    def warm_start_weights(self) -> dict[str, Tensor]:
        """Return the word vectors; see `Generator.warm_start_weights`."""
        return {"words.weight": self.words.weight.detach()}

    def _begin(self, features: ImageFeatures) -> tuple[Tensor, Tensor]:
        """Return the first LSTM's hidden state and cell, (B, H) each, once it has read the image vector."""
        image = self.dropout(self.image(features))  # (B, E)
        return step(self.asking, input_gates(self.asking, image))

    def _queries(self, features: ImageFeatures, captions: Captions) -> tuple[Tensor, tuple[Tensor, ...], Tensor]:
        """Return what each token asks (M, H), what it asks of, and whose image that is (M,)."""
        hidden, cell = (part.index_select(0, captions.images) for part in self._begin(features))
        memory = self.attention.memory(features)
        words = self.dropout(self.words(captions.packed(captions.inputs)))  # (M, E)
        queries = read(self.asking, words, captions.lengths, (hidden, cell))  # (M, H)
        return queries, memory, captions.token_images
