"""A critic of every word: did a person choose this one here, given the image and the words before it?

ScratchGAN's discriminator (de Masson d'Autume et al. 2019, arXiv 1905.09922, section 3.1), with the image. It rewards
every token, so that no rollouts are needed. Shapes: B images, N captions, T steps, V vocabulary, P pooled, E embedding,
H hidden.
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
from gan_caption.layers import ImageVector


class DenseDiscriminator(Discriminator):
    """An LSTM that starts from the image and answers after every word."""

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
            hidden: H, at least 1.
            embedding: E, at least 1.
            dropout: probability in [0, 1), on the word vectors and the states.
            instance_noise: standard deviation, at least 0; see `Discriminator`.
        """
        super().__init__(vocabulary_size=vocabulary_size, embedding=embedding, instance_noise=instance_noise)
        at_least(1, hidden=hidden)
        share(dropout=dropout)
        self.image = ImageVector(inputs=pooled_size, noise=0, outputs=2 * hidden)
        self.lstm = nn.LSTM(embedding, hidden, batch_first=True)
        self.normalise = nn.LayerNorm(hidden)
        self.answer = Linear(hidden, 1)
        self.dropout = Dropout(dropout)

    def score(self, features: ImageFeatures, words: Tensor, captions: Captions) -> Tensor:
        """Return logits (N, T), one after each word; see `Discriminator.score`."""
        hidden, cell = self.image(features)[captions.images].chunk(2, dim=1)
        words = self.dropout(captions.packed(words))  # (M, E)
        outputs = read(self.lstm, words, captions.lengths, (torch.tanh(hidden), cell))  # (M, H)
        return captions.unpacked(self.answer(self.dropout(self.normalise(outputs)))[:, 0])
