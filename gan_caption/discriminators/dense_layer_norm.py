"""ScratchGAN's critic of every word (de Masson d'Autume et al. 2019, arXiv 1905.09922), with the image.

A layer-normalised LSTM reads each word beside its place in the caption, and answers after each, as in the authors' code
(github.com/google-deepmind/deepmind-research). Departures: it starts from the image, where theirs starts from zeros;
dropout strikes each word that is read by itself, where theirs strikes the table of word vectors.

Shapes: N captions, T steps, V vocabulary, P pooled, E embedding, W waves, H hidden.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.discriminators.base import Discriminator
from gan_caption.discriminators.layer_norm_lstm import LayerNormLSTM
from gan_caption.errors import at_least, share
from gan_caption.kernels.dropout import Dropout
from gan_caption.kernels.products import Linear
from gan_caption.layers import ImageVector


class LayerNormDenseDiscriminator(Discriminator):
    """Words and their places -> one layer -> layer-normalised LSTM, from the image on -> a logit a word."""

    def __init__(
        self,
        *,
        vocabulary_size: int,
        pooled_size: int,
        hidden: int,
        embedding: int,
        waves: int,
        longest: int,
        dropout: float,
        instance_noise: float,
    ) -> None:
        """Build the layers.

        Args:
            vocabulary_size: V, special tokens included.
            pooled_size: P, length of the image vector.
            hidden: H, of the LSTM and of its inputs, at least 1.
            embedding: E, at least 1.
            waves: W, numbers that tell a word's place, at least 2; see `position_signal`.
            longest: tokens of the longest caption, at least 2.
            dropout: probability in [0, 1), on the word vectors.
            instance_noise: standard deviation, at least 0; see `Discriminator`.
        """
        super().__init__(vocabulary_size=vocabulary_size, embedding=embedding, instance_noise=instance_noise)
        at_least(1, hidden=hidden)
        at_least(2, waves=waves)  # of one alone, places repeat every four words
        at_least(2, longest=longest)
        share(dropout=dropout)
        self.image = ImageVector(inputs=pooled_size, noise=0, outputs=2 * hidden)
        self.inputs = Linear(embedding + waves, hidden)
        self.lstm = LayerNormLSTM(inputs=hidden, hidden=hidden)
        self.answer = Linear(hidden, 1)
        self.dropout = Dropout(dropout)
        self.waves = waves
        self.longest = longest

    def score(self, features: ImageFeatures, words: Tensor, captions: Captions) -> Tensor:
        """Return logits (N, T), one after each word; see `Discriminator.score`."""
        hidden, cell = self.image(features)[captions.images].chunk(2, dim=1)
        places = position_signal(words.shape[1], waves=self.waves, longest=self.longest, device=words.device).to(words)
        inputs = torch.cat([self.dropout(words), places.expand(len(words), -1, -1)], dim=2)  # (N, T, E + W)
        outputs = self.lstm(self.inputs(inputs), (torch.tanh(hidden), cell))  # (N, T, H)
        return captions.unpacked(self.answer(captions.packed(outputs))[:, 0])


def position_signal(steps: int, *, waves: int, longest: int, device: torch.device | None = None) -> Tensor:
    """Return cosines that tell how far a word is from the beginning, (steps, waves).

    Their half periods go from 2 words to the longest caption, each longer than the one before by the same factor, and
    their phases from 0 to 2 half periods, so that they do not all begin alike; both as in the authors' code. The
    slowest is monotonous over a caption, and no two places are alike.
    """
    half_periods = torch.linspace(math.log(2), math.log(longest), waves, device=device).exp()
    phases = torch.linspace(0, 2, waves, device=device)
    return torch.cos(math.pi * (torch.arange(steps, device=device)[:, None] / half_periods + phases))
