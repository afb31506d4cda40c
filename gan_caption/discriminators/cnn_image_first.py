"""A text CNN that reads the image as the first word: the CNN discriminator of Chen et al. 2019, arXiv 1805.07112.

The image vector, projected to the size of a word vector, is the first column of the matrix that filters pass over; the
sentence vector goes through one layer to the logit. The image is heard by the windows that begin on it alone: by
filters of width 1, and beside as many first words as the widest filter takes. Shapes: B images, N captions, T steps,
V vocabulary, P pooled, E embedding.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.discriminators.base import Discriminator
from gan_caption.discriminators.sentence_cnn import SentenceCNN
from gan_caption.kernels.products import Linear
from gan_caption.layers import ImageVector


class ImageFirstCNNDiscriminator(Discriminator):
    """Convolutions over image and words, the maximum over time, a highway layer, a logit."""

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
            filters: filters of each width, or a list with a number for each; at least 1.
            widths: each at least 1: the words, the image counted, under each kind of filter.
            dropout: probability in [0, 1), on image and word vectors and on the sentence vector.
            instance_noise: standard deviation, at least 0; see `Discriminator`.
        """
        super().__init__(vocabulary_size=vocabulary_size, embedding=embedding, instance_noise=instance_noise)
        self.image = ImageVector(inputs=pooled_size, noise=0, outputs=embedding)
        self.reader = SentenceCNN(embedding=embedding, filters=filters, widths=widths, dropout=dropout)
        self.answer = Linear(self.reader.size, 1)

    def score(self, features: ImageFeatures, words: Tensor, captions: Captions) -> Tensor:
        """Return logits (N,); see `Discriminator.score`."""
        images = self.image(features)[captions.images, None]  # (N, 1, E)
        sentence = self.reader.read(torch.cat([images, words], dim=1), _with_image(captions.mask))
        logits: Tensor = self.answer(sentence)[:, 0]
        return logits

    def fast_score(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Return logits (N,); see `SentenceCNN.fast_read`: the images are further rows of the table."""
        words, rows = torch.unique(captions.tokens, return_inverse=True)
        table = torch.cat([self.words(words), self.image(features)])
        rows = torch.cat([len(words) + captions.images[:, None], rows], dim=1)
        logits: Tensor = self.answer(self.reader.fast_read(table, rows, _with_image(captions.mask)))[:, 0]
        return logits

    def output_weights(self) -> Iterable[nn.Parameter]:
        """Return those of the last layer; see `Discriminator.output_weights`."""
        return self.answer.parameters()


def _with_image(mask: Tensor) -> Tensor:
    """Return which columns of image and words are there, (N, 1 + T), from which words are, (N, T)."""
    return functional.pad(mask, (1, 0), value=True)
