"""LeakGAN's generator (Guo et al. 2018, arXiv 1709.08624, eq. 2 to 7): a manager that reads the discriminator's
features of the words so far and sets goals, and a worker that writes towards them.

The features come from a copy of the discriminator's text CNN that the policy owns (see `LeakedFeatures`), so that
sampling and scoring need no discriminator.

Departures: both LSTMs begin with the image, of which the paper has none. w_t is of unit length, as in the authors' code
(github.com/CR-Gjx/LeakGAN); the paper does not say so. Its sum holds the goal of this step, which the words from this
one on are to reach; the paper ends it one step earlier, where the first word has no goal, and the code learns one for
that and sums over blocks of c steps. The softmax over O_t w_t has a temperature (the paper's alpha) of 1, and
`decoding=sampling` may give it another.

Shapes: B images, N captions, M tokens in all, T steps, V vocabulary, W writable words, P pooled, Z noise, E embedding,
H hidden, F leaked features, k numbers of an embedded goal, c steps a goal lasts.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.discriminators.base import Discriminator
from gan_caption.errors import at_least, share
from gan_caption.generators.base import Generator, NoiseLaw
from gan_caption.generators.leaked_features import LeakedFeatures
from gan_caption.generators.state import TensorState
from gan_caption.kernels.dropout import Dropout
from gan_caption.kernels.products import Linear
from gan_caption.kernels.recurrent import input_gates, read, step
from gan_caption.kernels.word_gates import word_gates
from gan_caption.layers import ImageVector


class LeakGANGenerator(Generator[TensorState]):
    """A manager LSTM over leaked features, and a worker LSTM over words that its goals steer."""

    def __init__(
        self,
        *,
        vocabulary_size: int,
        pooled_size: int,
        hidden: int,
        embedding: int,
        goal_size: int,
        horizon: int,
        leaked_embedding: int,
        leaked_filters: int | list[int],
        leaked_widths: list[int],
        dropout: float,
        noise_size: int,
        noise_law: NoiseLaw,
        generate_unknown: bool,
    ) -> None:
        """Build the layers.

        Args:
            vocabulary_size: V, special tokens included.
            pooled_size: P, length of the image vector.
            hidden: H of each LSTM, at least 1.
            embedding: E of the worker's words, at least 1.
            goal_size: k, at least 1.
            horizon: c, at least 1.
            leaked_embedding: the discriminator's `embedding`.
            leaked_filters: the discriminator's `filters`.
            leaked_widths: the discriminator's `widths`.
            dropout: probability in [0, 1), on the word vectors and the worker's output.
            noise_size: Z, at least 0; the noise vector is appended to the image vector, and 0 is none.
            noise_law: how its numbers are drawn.
            generate_unknown: whether `<unk>` may be written.
        """
        super().__init__(
            vocabulary_size=vocabulary_size, noise_size=noise_size, noise_law=noise_law,
            generate_unknown=generate_unknown,
        )  # fmt: skip
        at_least(1, hidden=hidden, embedding=embedding, goal_size=goal_size, horizon=horizon)
        share(dropout=dropout)
        self.horizon = horizon
        self.leak = LeakedFeatures(
            vocabulary_size=vocabulary_size, embedding=leaked_embedding, filters=leaked_filters, widths=leaked_widths
        )
        self.manager_image = ImageVector(inputs=pooled_size, noise=noise_size, outputs=2 * hidden)
        self.manager = nn.LSTM(self.leak.size, hidden, batch_first=True)
        self.goal = Linear(hidden, self.leak.size)
        self.worker_image = ImageVector(inputs=pooled_size, noise=noise_size, outputs=2 * hidden)
        self.words = nn.Embedding(vocabulary_size, embedding)
        self.worker = nn.LSTM(embedding, hidden, batch_first=True)
        self.embed = Linear(self.leak.size, goal_size, bias=False)
        self.dropout = Dropout(dropout)
        # O_t w_t as one product with each number of (h, 1) times each of w: the matrices (W, k) are never built.
        self.output = Linear((hidden + 1) * goal_size, vocabulary_size - self.first_word, bias=False)

    def follow(self, discriminator: Discriminator) -> None:
        """Read what this discriminator makes of a sentence from now on; see `Generator.follow`."""
        self.leak.follow(discriminator)

    def start(self, features: ImageFeatures, max_length: int) -> TensorState:
        """Read the image: one row an image."""
        worker, manager = _begin(self.worker_image, features), _begin(self.manager_image, features)
        images = features.pooled.shape[0]
        goals = features.pooled.new_zeros(images, self.horizon - 1, self.embed.out_features)
        return TensorState((*worker, *manager, goals, *self.leak.start(images)))

    def step(self, tokens: Tensor, state: TensorState, rows: Tensor | None = None) -> tuple[Tensor, TensorState]:
        """Read one token a row; see `Generator.step`."""
        state = state if rows is None else state.select(rows)
        worker_hidden, worker_cell, manager_hidden, manager_cell, goals, opened, highest = state.own
        leaked, windows = self.leak.read(tokens, (opened, highest))
        manager = step(self.manager, input_gates(self.manager, leaked), (manager_hidden, manager_cell))
        goal = self.embed(functional.normalize(self.goal(manager[0]), dim=1))
        goals = torch.cat([goals, goal[:, None]], dim=1)  # (N, c, k)
        gates = word_gates(self.worker, self.words, tokens, dropout=self.dropout)
        worker = step(self.worker, gates, (worker_hidden, worker_cell))
        return self._write(worker[0], goals.sum(1)), state.after((*worker, *manager, goals[:, 1:], *windows))

    def logits(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Score all tokens in one pass, with gradients to manager and worker alike; see `Generator.logits`."""
        goals, _ = self.goals(features, captions)
        return self.work(features, captions, goals)

    def goals(self, features: ImageFeatures, captions: Captions) -> tuple[Tensor, Tensor]:
        """Return what the manager wants, and what it saw.

        Returns:
            goals (N, T, F) of length 1, set before each token, 0 on padding; and the leaked features (N, T + 1, F),
            without gradients, after 0, 1, ... T tokens; past a caption's end they mean nothing.
        """
        leaked = self.leak.of_prefixes(captions)
        begun = _begin(self.manager_image, features)
        start = begun[0].index_select(0, captions.images), begun[1].index_select(0, captions.images)
        hidden = read(self.manager, captions.packed(leaked[:, :-1]), captions.lengths, start)  # (M, H)
        return captions.unpacked(functional.normalize(self.goal(hidden), dim=1)), leaked

    def work(self, features: ImageFeatures, captions: Captions, goals: Tensor) -> Tensor:
        """Return logits (M, W) of captions that are written towards goals (N, T, F)."""
        begun = _begin(self.worker_image, features)
        start = begun[0].index_select(0, captions.images), begun[1].index_select(0, captions.images)
        words = self.dropout(self.words(captions.packed(captions.inputs)))  # (M, E)
        hidden = read(self.worker, words, captions.lengths, start)  # (M, H)
        embedded = functional.pad(self.embed(goals), (0, 0, self.horizon - 1, 0))
        recent = embedded.unfold(1, self.horizon, 1).sum(3)  # (N, T, k)
        return self._write(hidden, captions.packed(recent))

    def warm_start_weights(self) -> dict[str, Tensor]:
        """Return the word vectors and the worker's LSTM; see `Generator.warm_start_weights`."""
        lstm = {f"lstm.{name}": weight.detach() for name, weight in self.worker.named_parameters()}
        return {"words.weight": self.words.weight.detach()} | lstm

    def _write(self, hidden: Tensor, goals: Tensor) -> Tensor:
        """Return logits (N, W) from the worker's outputs (N, H) and the sums of embedded goals (N, k)."""
        outputs = functional.pad(self.dropout(hidden), (0, 1), value=1.0)
        weighted = outputs[:, :, None] * functional.normalize(goals, dim=1)[:, None]
        logits: Tensor = self.output(weighted.flatten(1))
        return logits


def _begin(image: ImageVector, features: ImageFeatures) -> tuple[Tensor, Tensor]:
    """Return an LSTM's hidden state and cell, (B, H) each, from the image vector."""
    hidden, cell = image(features).chunk(2, dim=1)
    return torch.tanh(hidden), cell
