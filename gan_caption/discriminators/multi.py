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
        representations: int,
        embedding: int,
        filters: int,
        widths: list[int],
        dropout: float,
        instance_noise: float,
    ) -> None:
        """Build the layers.

        Args:
            vocabulary_size: V, special tokens included.
            pooled_size: P, length of the image vector.
            representations: S, at least 1; the paper uses 64.
            embedding: E, at least 1.
            filters: filters of each width, at least 1.
            widths: each at least 1: the words under each kind of filter.
            dropout: probability in [0, 1), on the word vectors and the sentence vector.
            instance_noise: standard deviation, at least 0; see `Discriminator`.
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
        view, parts = self.critic.view(features), words.chunk(self.representations, dim=2)
        logits = [self.critic.compare(view, self.critic.read(part, captions.mask), captions) for part in parts]
        return torch.stack(logits).mean(0)
