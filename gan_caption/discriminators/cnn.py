"""A text CNN with the image: SeqGAN's discriminator (Yu et al. 2017, appendix; Kim 2014, arXiv 1408.5882), conditional.

Shapes: B images, N captions, T steps, V vocabulary, P pooled, E embedding, F filters a width, W widths.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.discriminators.base import Discriminator
from gan_caption.discriminators.sentence_cnn import SentenceCNN
from gan_caption.kernels.products import Linear
from gan_caption.layers import ImageVector


class TextCNN(SentenceCNN):
    """A sentence vector by convolutions, compared with the image."""

    def __init__(
        self, *, pooled_size: int, embedding: int, filters: int | list[int], widths: list[int], dropout: float
    ) -> None:
        """Build the layers; see `CNNDiscriminator`."""
        super().__init__(embedding=embedding, filters=filters, widths=widths, dropout=dropout)
        self.image = ImageVector(inputs=pooled_size, noise=0, outputs=self.size)
        self.fluency = Linear(self.size, 1)

    def forward(self, features: ImageFeatures, words: Tensor, captions: Captions) -> Tensor:
        """Return logits (N,) of word vectors (N, T, E)."""
        return self.compare(self.view(features), self.read(words, captions.mask), captions)

    def fast_score(self, features: ImageFeatures, table: nn.Embedding, captions: Captions) -> Tensor:
        """Return logits (N,) of captions whose words' vectors are rows of a table (V, E); see `fast_read`."""
        words, rows = torch.unique(captions.tokens, return_inverse=True)
        return self.compare(self.view(features), self.fast_read(table(words), rows, captions.mask), captions)

    def view(self, features: ImageFeatures) -> Tensor:
        """Return what sentences are compared with, (B, F * W)."""
        return torch.tanh(self.image(features))

    def compare(self, view: Tensor, sentence: Tensor, captions: Captions) -> Tensor:
        """Return logits (N,) of sentence vectors (N, F * W)."""
        fit = (sentence * view[captions.images]).sum(1) / sentence.shape[1] ** 0.5
        return fit + self.fluency(sentence)[:, 0]


class CNNDiscriminator(Discriminator):
    """One text CNN over one kind of word vectors."""

    def __init__(
        self,
        *,
        vocabulary_size: int,
        pooled_size: int,
        embedding: int,
        filters: int | list[int],
        widths: list[int],
        dropout: float,
        instance_noise: float,
    ) -> None:
        """Build the layers.

        Args:
            vocabulary_size: V, special tokens included.
            pooled_size: P, length of the image vector.
            embedding: E, at least 1.
            filters: F, filters of each width, or a list with a number for each; at least 1.
            widths: W numbers, each at least 1: the words under each kind of filter.
            dropout: probability in [0, 1), on the word vectors and the sentence vector.
            instance_noise: standard deviation, at least 0; see `Discriminator`.
        """
        super().__init__(vocabulary_size=vocabulary_size, embedding=embedding, instance_noise=instance_noise)
        self.critic = TextCNN(
            pooled_size=pooled_size, embedding=embedding, filters=filters, widths=widths, dropout=dropout
        )

    def score(self, features: ImageFeatures, words: Tensor, captions: Captions) -> Tensor:
        """Return logits (N,); see `Discriminator.score`."""
        logits: Tensor = self.critic(features, words, captions)
        return logits

    def fast_score(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Return logits (N,); see `TextCNN.fast_score`."""
        return self.critic.fast_score(features, self.words, captions)

    def sentence_vectors(self, words: Tensor, captions: Captions) -> Tensor:
        """Return (N, F * W) from word vectors (N, T, E)."""
        return self.critic.read(words, captions.mask)

    def image_vectors(self, features: ImageFeatures) -> Tensor:
        """Return (B, F * W): the dot product with a sentence's vector is the part of the logit that sees the image."""
        vectors: Tensor = torch.tanh(self.critic.image(features)) / self.critic.size**0.5
        return vectors

    def output_weights(self) -> Iterable[nn.Parameter]:
        """Return those of both terms of the logit: what is projected from the image, and the sentence's own."""
        return [*self.critic.image.project.parameters(), *self.critic.fluency.parameters()]
