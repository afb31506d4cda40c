"""Several representations of the same words, judged by one critic: RelGAN's discriminator (Nie et al. 2019, ICLR).

Shapes: B images, N captions, T steps, V vocabulary, P pooled, S representations, E numbers a word in each.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.discriminators.base import Discriminator
from gan_caption.discriminators.cnn import TextCNN
from gan_caption.errors import at_least


class MultiDiscriminator(Discriminator):
    """The mean logit of one text CNN over S embeddings of the caption: each has its own idea of which words are alike.

    Departure: the paper takes the loss of each representation's logit, and the mean of the losses.
    """

    def __init__(
        self,
        *,
        vocabulary_size: int,
        pooled_size: int,
        representations: int = 8,
        embedding: int = 64,
        filters: int = 64,
        widths: list[int] | None = None,
        dropout: float = 0.25,
        instance_noise: float = 0.0,
    ) -> None:
        """Build the layers.

        Args:
            vocabulary_size: V.
            pooled_size: P.
            representations: S; the paper uses 64.
            embedding: E.
            filters: filters of each width.
            widths: words under each kind of filter; 1 to 5 where nothing is given.
            dropout: probability in [0, 1), on the word vectors and the sentence vector.
            instance_noise: see `Discriminator`.
        """
        at_least(1, representations=representations, embedding=embedding)
        super().__init__(
            vocabulary_size=vocabulary_size, embedding=representations * embedding, instance_noise=instance_noise
        )
        self.representations = representations
        self.critic = TextCNN(
            pooled_size=pooled_size, embedding=embedding, filters=filters, widths=widths, dropout=dropout
        )

    def score(self, features: ImageFeatures, words: Tensor, captions: Captions) -> Tensor:
        """Return logits (N,); see `Discriminator.score`."""
        parts = words.chunk(self.representations, dim=2)
        return torch.stack([self.critic(features, part, captions) for part in parts]).mean(0)
