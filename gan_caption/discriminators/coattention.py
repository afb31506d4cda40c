"""A critic that reads words and regions together: the co-attention discriminator of Dognin et al. 2019.

arXiv 1805.00063, section 3.3, after Lu et al. 2016 (arXiv 1606.00061): every word looks at the regions, every region at
the words, and the two summaries are compared. Shapes: B images, N captions, T steps, R regions, V vocabulary,
D grid channels, E embedding, H hidden.
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
from gan_caption.kernels.recurrent import read
from gan_caption.layers import normal_grid


class CoAttentionDiscriminator(Discriminator):
    """An LSTM over the words, an affinity of every word with every region, a dot product of what they attend to."""

    uses_grid = True

    def __init__(
        self,
        *,
        vocabulary_size: int,
        grid_size: int,
        hidden: int,
        embedding: int,
        dropout: float,
        instance_noise: float,
    ) -> None:
        """Build the layers.

        Args:
            vocabulary_size: V, special tokens included.
            grid_size: D, channels of the grid.
            hidden: H, at least 1.
            embedding: E, at least 1.
            dropout: probability in [0, 1), on the word vectors and both summaries.
            instance_noise: standard deviation, at least 0; see `Discriminator`.
        """
        super().__init__(vocabulary_size=vocabulary_size, embedding=embedding, instance_noise=instance_noise)
        at_least(1, hidden=hidden)
        share(dropout=dropout)
        self.normalise = nn.LayerNorm(grid_size)
        self.regions = Linear(grid_size, hidden)
        self.lstm = nn.LSTM(embedding, hidden, batch_first=True)
        self.affinity = Linear(hidden, hidden, bias=False)
        self.image_state, self.image_context = Linear(hidden, hidden), Linear(hidden, hidden, bias=False)
        self.word_state, self.word_context = Linear(hidden, hidden), Linear(hidden, hidden, bias=False)
        # A softmax is blind to what all scores share: they have no bias.
        self.image_score, self.word_score = Linear(hidden, 1, bias=False), Linear(hidden, 1, bias=False)
        self.fluency = Linear(hidden, 1)
        self.dropout = Dropout(dropout)

    def score(self, features: ImageFeatures, words: Tensor, captions: Captions) -> Tensor:
        """Return logits (N,); see `Discriminator.score`."""
        grid, real = normal_grid(features, self.normalise)  # (B, R, D), (B, R)
        spoken = captions.mask[..., None]  # (N, T, 1)
        states = captions.unpacked(read(self.lstm, self.dropout(captions.packed(words)), captions.lengths))  # (N, T, H)
        seen = real[captions.images, :, None]  # (N, R, 1)
        own = self.regions(grid) * real[..., None]  # (B, R, H): what is asked of an image alone is asked once
        regions = own[captions.images]  # (N, R, H)
        affinity = torch.tanh(self.affinity(states) @ regions.transpose(1, 2))  # (N, T, R), 0 on padding

        at_regions = torch.tanh(
            self.image_state(own)[captions.images] + affinity.transpose(1, 2) @ self.image_context(states)
        )
        at_words = torch.tanh(self.word_state(states) + affinity @ self.word_context(own)[captions.images])
        image = self._summary(self.image_score(at_regions), seen, regions)
        sentence = self._summary(self.word_score(at_words), spoken, states)
        product: Tensor = (self.dropout(image) * self.dropout(sentence)).sum(1) / image.shape[1] ** 0.5
        return product + self.fluency(sentence)[:, 0]

    @staticmethod
    def _summary(scores: Tensor, mask: Tensor, values: Tensor) -> Tensor:
        """Return the mean (N, H) of values (N, S, H) under the softmax of scores (N, S, 1) inside the mask."""
        return (scores.masked_fill(~mask, float("-inf")).softmax(1) * values).sum(1)
