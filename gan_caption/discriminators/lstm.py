"""Image vector . sentence vector: the evaluator of Dai et al. 2017, arXiv 1703.06029, eq. 5.

Shapes: B images, N captions, M tokens in all, T steps, V vocabulary, P pooled, E embedding, H hidden.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.discriminators.base import Discriminator
from gan_caption.errors import at_least, share
from gan_caption.kernels.dropout import Dropout
from gan_caption.kernels.products import Linear
from gan_caption.kernels.recurrent import State, input_gates, read, step
from gan_caption.layers import ImageVector


class LSTMDiscriminator(Discriminator):
    """An LSTM reads the caption; its last state is compared with the image by a dot product."""

    def __init__(
        self,
        *,
        vocabulary_size: int,
        pooled_size: int,
        hidden: int,
        embedding: int,
        dropout: float,
        instance_noise: float,
    ) -> None:
        """Build the layers.

        Args:
            vocabulary_size: V, special tokens included.
            pooled_size: P, length of the image vector.
            hidden: H, of the LSTM and of both vectors, at least 1.
            embedding: E, at least 1.
            dropout: probability in [0, 1), on the word vectors and both vectors; never while D rewards.
            instance_noise: standard deviation, at least 0; see `Discriminator`.
        """
        super().__init__(vocabulary_size=vocabulary_size, embedding=embedding, instance_noise=instance_noise)
        at_least(1, hidden=hidden)
        share(dropout=dropout)
        self.lstm = nn.LSTM(embedding, hidden, batch_first=True)
        self.image = ImageVector(inputs=pooled_size, noise=0, outputs=hidden)
        self.fluency = Linear(hidden, 1)
        self.dropout = Dropout(dropout)

    def score(self, features: ImageFeatures, words: Tensor, captions: Captions) -> Tensor:
        """Return logits (N,): the dot product, plus a term in the sentence alone; see `Discriminator.score`."""
        return self._compare(features, self.sentence_vectors(words, captions), captions)

    def fast_score(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Return logits (N,), reading a beginning that several captions share once; see `Discriminator.fast_score`."""
        return self._compare(features, last_outputs(self.lstm, self.words, captions), captions)

    def _compare(self, features: ImageFeatures, sentence: Tensor, captions: Captions) -> Tensor:
        image = self.image_vectors(features)[captions.images]
        return (sentence * image).sum(1) + self.fluency(sentence)[:, 0]

    def sentence_vectors(self, words: Tensor, captions: Captions) -> Tensor:
        """Return (N, H) from word vectors (N, T, E)."""
        outputs = read(self.lstm, self.dropout(captions.packed(words)), captions.lengths)  # (M, H)
        vectors: Tensor = self.dropout(outputs[captions.lengths.cumsum(0) - 1])
        return vectors

    def image_vectors(self, features: ImageFeatures) -> Tensor:
        """Return (B, H)."""
        vectors: Tensor = self.dropout(torch.tanh(self.image(features)))
        return vectors


def last_outputs(lstm: nn.LSTM, table: nn.Embedding, captions: Captions, start: State | None = None) -> Tensor:
    """Return an LSTM's output (N, H) at each caption's last token; captions share the states of equal beginnings.

    The captions are walked along as a tree: a step computes one state for every pair of a state and a word after it
    that is there. What a word adds to the gates is multiplied once, wherever it stands.

    Args:
        lstm: of one layer.
        table: (V, E) word vectors.
        captions: N, of whatever images.
        start: before the first word, (B, H) each, the state of each image; None for zeros, whatever the image.
    """
    if captions.tokens.device.type != "cpu":  # asking which captions go on would make the device wait at every word
        begun = None if start is None else (start[0][captions.images], start[1][captions.images])
        read_all = read(lstm, table(captions.packed(captions.tokens)), captions.lengths, begun)  # (M, H)
        return read_all[captions.lengths.cumsum(0) - 1]
    words, tokens = torch.unique(captions.tokens, return_inverse=True)
    from_words = input_gates(lstm, table(words))  # (words, 4H)
    hidden, cell = start or (from_words.new_zeros(1, lstm.hidden_size),) * 2
    outputs = from_words.new_empty(len(captions), lstm.hidden_size)
    alive = torch.arange(len(captions), device=outputs.device)
    # Of each caption that goes on, its row of `hidden`.
    state = torch.zeros_like(alive) if start is None else captions.images
    for place in range(captions.tokens.shape[1]):
        pairs, state = torch.unique(state * len(words) + tokens[alive, place], return_inverse=True)
        before = pairs // len(words)
        gates = from_words.index_select(0, pairs % len(words))
        hidden, cell = step(lstm, gates, (hidden, cell), before)
        ends = captions.lengths[alive] == place + 1
        outputs[alive[ends]] = hidden.index_select(0, state[ends])
        alive, state = alive[~ends], state[~ends]
    return outputs
