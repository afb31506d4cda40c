"""The top-down LSTMs of Anderson et al. 2018 (UpDown, arXiv 1707.07998, section 3.2), over a grid or found regions.

A first LSTM reads what the second has written last, the image vector and the word, and asks; additive attention
answers with a mean of regions; the second reads the answer and the question, and writes. Because the second feeds back
into the first, a teacher-forced pass has to go step by step; what does not wait for it, the products of words, image
vector and regions, is made once for all.

Departures: region and image vectors are normalised, since encoders differ in scale; the image vector is the encoder's
own, which is the mean of the regions but for `encoder=scene_cnn`; dropout, of which the authors' code
(github.com/peteanderson80/Up-Down-Captioner) has none; weights begin as PyTorch has them, there as N(0, .01) with 1 for
the bias of forgetting.

Shapes: B images, N captions, M tokens in all, T steps, R regions, V vocabulary, P pooled, D grid channels, Z noise,
E embedding, H hidden, A numbers of a question.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.errors import at_least, share
from gan_caption.generators.base import Generator, NoiseLaw
from gan_caption.generators.recurrent_state import RecurrentState
from gan_caption.kernels.dropout import Dropout
from gan_caption.kernels.products import Linear
from gan_caption.kernels.recurrent import input_gates, step
from gan_caption.kernels.word_gates import KnownWords, word_gates
from gan_caption.layers import ByImage, ImageVector, memory_of_rows, normal_grid


@dataclass(frozen=True)
class UpDownState(RecurrentState):
    """Hidden state and cell of both LSTMs; an image's share of the gates, its attention's keys, regions and mask."""

    @property
    def row_bytes(self) -> int:
        """Memory of a row: its own tensors, and for a step the keys and what they make with its question; in bytes."""
        keys = self.shared[1]
        return super().row_bytes + 2 * keys.element_size() * keys.shape[1:].numel()


class UpDownGenerator(Generator[UpDownState]):
    """(last output, image vector, word) -> LSTM -> additive attention -> LSTM -> words, and back to the first."""

    uses_grid = True

    def __init__(
        self,
        *,
        vocabulary_size: int,
        pooled_size: int,
        grid_size: int,
        hidden: int,
        embedding: int,
        attention: int,
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
            hidden: H of each LSTM, at least 1.
            embedding: E, at least 1.
            attention: A, at least 1.
            dropout: probability in [0, 1), on the word vectors and the second LSTM's output.
            noise_size: Z, at least 0; the noise vector is appended to the image vector, and 0 is none.
            noise_law: how its numbers are drawn.
            generate_unknown: whether `<unk>` may be written.
        """
        super().__init__(
            vocabulary_size=vocabulary_size, noise_size=noise_size, noise_law=noise_law,
            generate_unknown=generate_unknown,
        )  # fmt: skip
        at_least(1, hidden=hidden, embedding=embedding, attention=attention)
        share(dropout=dropout)
        self.words = nn.Embedding(vocabulary_size, embedding)
        # The first LSTM's input is three vectors side by side: the weights of each are a layer of their own.
        self.asking = nn.LSTM(embedding, hidden, batch_first=True)
        self.image = ImageVector(inputs=pooled_size, noise=noise_size, outputs=4 * hidden)
        self.feedback = Linear(hidden, 4 * hidden, bias=False)
        self.normalise = nn.LayerNorm(grid_size)
        self.attention = AdditiveAttention(grid=grid_size, query=hidden, hidden=attention)
        self.writing = nn.LSTM(grid_size + hidden, hidden, batch_first=True)
        self.dropout = Dropout(dropout)
        self.output = Linear(hidden, vocabulary_size - self.first_word)

    def start(self, features: ImageFeatures, max_length: int) -> UpDownState:
        """Read the image vector and project the regions: one row an image; both LSTMs begin with zeros."""
        grid, mask = normal_grid(features, self.normalise)
        zeros = grid.new_zeros(grid.shape[0], self.asking.hidden_size)
        memory = self.image(features), self.attention.keys(grid), grid, mask
        return UpDownState((zeros, zeros, zeros, zeros), memory, known=KnownWords(steps=max_length))

    def step(self, tokens: Tensor, state: UpDownState, rows: Tensor | None = None) -> tuple[Tensor, UpDownState]:
        """Read one token a row; see `Generator.step`."""
        gates = word_gates(self.asking, self.words, tokens, dropout=self.dropout, known=state.known)
        state, _ = self._read(gates, state, rows)
        logits: Tensor = self.output(self.dropout(state.own[2]))
        return logits, state

    def logits(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Score all tokens, step after step over the captions that go on; see `Generator.logits`."""
        written, _ = self._read_all(features, captions)
        packed: Tensor = self.output(self.dropout(written))
        return packed

    def attention_weights(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Return the attention maps; see `Generator.attention_weights`."""
        _, weights = self._read_all(features, captions)
        return captions.unpacked(weights)

    def warm_start_weights(self) -> dict[str, Tensor]:
        """Return the word vectors; see `Generator.warm_start_weights`."""
        return {"words.weight": self.words.weight.detach()}

    def _read(self, gates: Tensor, state: UpDownState, rows: Tensor | None) -> tuple[UpDownState, Tensor]:
        """Go on by a word a row.

        Args:
            gates: (N, 4 H), what the words add to the sums at the first LSTM's gates.
            state: see `Generator.step`.
            rows: see `Generator.step`.

        Returns:
            the state, and where each row looks, (N, R).
        """
        asked, kept, written, kept2 = state.own
        images = state.row_images if rows is None else state.images.index_select(0, rows)
        (of_image, keys, grid, mask), images = memory_of_rows(state.shared, images)
        of_image = of_image if images is None else of_image.index_select(0, images)
        last = written if rows is None else written.index_select(0, rows)
        asked, kept = step(self.asking, gates + of_image + self.feedback(last), (asked, kept), rows)
        context, weights = self.attention(asked, (keys, grid, mask), images)
        inputs = input_gates(self.writing, torch.cat([context, asked], dim=1))
        written, kept2 = step(self.writing, inputs, (written, kept2), rows)
        return state.after((asked, kept, written, kept2), rows), weights

    def _read_all(self, features: ImageFeatures, captions: Captions) -> tuple[Tensor, Tensor]:
        """Return the second LSTM's output (M, H) and where the attention looks (M, R) before every token."""
        words = self.dropout(self.words(captions.packed(captions.inputs)))  # (M, E)
        gates = captions.unpacked(input_gates(self.asking, words))  # (N, T, 4 H)
        state = self.start(features, captions.tokens.shape[1])
        outputs, maps = [], []
        by_step = captions.places % captions.tokens.shape[1]
        order = by_step.argsort(stable=True)  # step after step, and of a step caption after caption
        steps = (captions.places // captions.tokens.shape[1])[order].split(by_step.bincount(minlength=1).tolist())
        before = None
        for going, read in zip(steps, gates.unbind(1), strict=False):
            rows = captions.images if before is None else torch.searchsorted(before, going)
            state, weights = self._read(read.index_select(0, going), state, rows)
            outputs.append(state.own[2])
            maps.append(weights)
            before = going
        back = order.argsort()
        return torch.cat(outputs)[back], torch.cat(maps)[back]


class AdditiveAttention(nn.Module):
    """Soft attention with the score w . tanh(W v + U h) (Anderson et al. 2018, section 3.2.1; Bahdanau et al. 2015)."""

    def __init__(self, *, grid: int, query: int, hidden: int) -> None:
        """Attend from queries (N, query) to regions (B, R, grid), compared as vectors of `hidden` numbers."""
        super().__init__()
        self.keys = Linear(grid, hidden, bias=False)
        self.query = Linear(query, hidden, bias=False)
        self.score = nn.Linear(hidden, 1, bias=False)

    def forward(
        self, queries: Tensor, memory: tuple[Tensor, Tensor, Tensor], images: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Attend.

        Args:
            queries: (N, query).
            memory: keys (B, R, A), which `self.keys` makes of the regions, the regions (B, R, D) and the mask (B, R) of
                real ones.
            images: (N,) long, ascending, whose regions each row reads; None: there is a row an image.

        Returns:
            means of regions (N, D), and the weights (N, R) they are made with.
        """
        keys, grid, mask = memory
        if images is not None:
            keys, mask = keys.index_select(0, images), mask.index_select(0, images)
        scores = self.score((keys + self.query(queries)[:, None]).tanh_())[..., 0]  # (N, R)
        weights = scores.masked_fill(~mask, float("-inf")).softmax(1)
        if images is None:
            return (weights[:, None] @ grid)[:, 0], weights
        layout = ByImage.of(images)
        return layout.back(layout.lay(weights) @ grid[layout.which]), weights
