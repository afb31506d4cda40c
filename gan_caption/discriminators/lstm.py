"""Image vector . sentence vector: the evaluator of Dai et al. 2017, arXiv 1703.06029, eq. 5.

Shapes: B images, N captions, T steps, V vocabulary, P pooled, E embedding, H hidden.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.discriminators.base import Discriminator
from gan_caption.errors import at_least, share
from gan_caption.layers import ImageVector


class LSTMDiscriminator(Discriminator):
    """An LSTM reads the caption; its last state is compared with the image by a dot product."""

    def __init__(
        self,
        *,
        vocabulary_size: int,
        pooled_size: int,
        hidden: int = 512,
        embedding: int = 256,
        dropout: float = 0.3,
        instance_noise: float = 0.0,
    ) -> None:
        """Build the layers.

        Args:
            vocabulary_size: V.
            pooled_size: P.
            hidden: H, of the LSTM and of both vectors.
            embedding: E.
            dropout: probability in [0, 1), on the word vectors and both vectors; never while D pays rewards.
            instance_noise: see `Discriminator`.
        """
        super().__init__(vocabulary_size=vocabulary_size, embedding=embedding, instance_noise=instance_noise)
        at_least(1, hidden=hidden)
        share(dropout=dropout)
        self.lstm = nn.LSTM(embedding, hidden, batch_first=True)
        self.image = ImageVector(inputs=pooled_size, noise=0, outputs=hidden)
        self.fluency = nn.Linear(hidden, 1)
        self.dropout = nn.Dropout(dropout)

    def judge(self, features: ImageFeatures, words: Tensor, captions: Captions) -> Tensor:
        """Return logits (N,): the dot product, plus a term in the sentence alone; see `Discriminator.judge`."""
        sentence = self.sentence_vectors(words, captions)
        image = self.image_vectors(features)[captions.images]
        return (sentence * image).sum(1) + self.fluency(sentence)[:, 0]

    def sentence_vectors(self, words: Tensor, captions: Captions) -> Tensor:
        """Return (N, H) from word vectors (N, T, E)."""
        outputs, _ = self.lstm(self.dropout(words))  # (N, T, H)
        last = (captions.lengths - 1)[:, None, None].expand(-1, 1, outputs.shape[2])
        vectors: Tensor = self.dropout(outputs.gather(1, last)[:, 0])  # causal, so padding was not read
        return vectors

    def image_vectors(self, features: ImageFeatures) -> Tensor:
        """Return (B, H)."""
        vectors: Tensor = self.dropout(torch.tanh(self.image(features)))
        return vectors
