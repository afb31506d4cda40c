"""A text CNN with the image: SeqGAN's discriminator (Yu et al. 2017, appendix; Kim 2014, arXiv 1408.5882), conditional.

Shapes: B images, N captions, T steps, V vocabulary, P pooled, E embedding, F filters a width, W widths.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.discriminators.base import Discriminator
from gan_caption.errors import share
from gan_caption.kernels.dropout import Dropout
from gan_caption.kernels.products import Linear, linear
from gan_caption.layers import ImageVector


def filters_of_widths(filters: int | list[int], widths: list[int]) -> list[int]:
    """Return how many filters each width has.

    Raises:
        ValueError: there is no width, or one without a word or a filter.
    """
    if not widths or min(widths) < 1:
        raise ValueError(f"widths={widths}: at least one, and a filter covers at least one word")
    counts = filters if isinstance(filters, list) else [filters] * len(widths)
    if len(counts) != len(widths) or min(counts) < 1:
        raise ValueError(f"filters={filters}: at least 1, or a list with as many numbers as widths={widths}")
    return counts


class TextCNN(nn.Module):
    """Convolutions of several widths, the maximum over time, a highway layer, compared with the image."""

    def __init__(
        self, *, pooled_size: int, embedding: int, filters: int | list[int], widths: list[int], dropout: float
    ) -> None:
        """Build the layers; see `CNNDiscriminator`."""
        super().__init__()
        share(dropout=dropout)
        counts = filters_of_widths(filters, widths)
        size = sum(counts)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(embedding, count, width) for count, width in zip(counts, widths, strict=True)
        )
        self.carry = Linear(size, size)
        self.transform = Linear(size, size)
        self.image = ImageVector(inputs=pooled_size, noise=0, outputs=size)
        self.fluency = Linear(size, 1)
        self.dropout = Dropout(dropout)
        self.widest = max(widths)

    def forward(self, features: ImageFeatures, words: Tensor, captions: Captions) -> Tensor:
        """Return logits (N,) of word vectors (N, T, E)."""
        words = self.dropout(words) * captions.mask[..., None]  # (N, T, E), zeros past the end
        # Zeros as many as the widest filter needs, so that a caption has the same windows however it was padded.
        words = functional.pad(words.transpose(1, 2), (0, self.widest - 1))  # (N, E, T + widest - 1)
        starts = captions.mask[:, None]  # a window counts when it starts on a word
        steps = starts.shape[2]
        maxima = [
            functional.relu(convolution(words)[:, :, :steps]).masked_fill(~starts, 0).amax(2)
            for convolution in self.convolutions
        ]
        return self._compare(features, torch.cat(maxima, dim=1), captions)

    def fast_score(self, features: ImageFeatures, table: nn.Embedding, captions: Captions) -> Tensor:
        """Return logits (N,) of captions whose words' vectors are rows of a table (V, E), without dropout.

        What a word adds at each place of a filter is multiplied once, wherever it stands; a window is a sum of these.
        """
        words, tokens = torch.unique(captions.tokens, return_inverse=True)
        # Past the end stand zeros: a last word that adds nothing.
        tokens = tokens.masked_fill(~captions.mask, len(words))
        tokens = functional.pad(tokens, (0, self.widest - 1), value=len(words))  # (N, T + widest - 1)
        maxima = []
        for convolution in self.convolutions:
            assert isinstance(convolution, nn.Conv1d)
            width = convolution.weight.shape[2]
            weight = convolution.weight.permute(2, 0, 1).flatten(0, 1)  # (width * F, E)
            parts = linear(table(words), weight).unflatten(1, (width, -1)).transpose(0, 1)  # (width, words, F)
            parts = functional.pad(parts, (0, 0, 0, 1)).flatten(0, 1)
            places = torch.arange(width, device=tokens.device) * (len(words) + 1)
            windows = tokens.unfold(1, width, 1)[:, : captions.tokens.shape[1]] + places  # (N, T, width)
            sums = functional.embedding_bag(windows.reshape(-1, width), parts, mode="sum").unflatten(
                0, windows.shape[:2]
            )
            sums = functional.relu(sums + convolution.bias).masked_fill(~captions.mask[..., None], 0)
            maxima.append(sums.amax(1))
        return self._compare(features, torch.cat(maxima, dim=1), captions)

    def _compare(self, features: ImageFeatures, sentence: Tensor, captions: Captions) -> Tensor:
        """Return logits (N,) of sentence vectors (N, F * W)."""
        carry = torch.sigmoid(self.carry(sentence))
        sentence = self.dropout(carry * functional.relu(self.transform(sentence)) + (1 - carry) * sentence)
        image = torch.tanh(self.image(features))[captions.images]
        return (sentence * image).sum(1) / sentence.shape[1] ** 0.5 + self.fluency(sentence)[:, 0]


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

    def output_weights(self) -> Iterable[nn.Parameter]:
        """Return those of both terms of the logit: what is projected from the image, and the sentence's own."""
        return [*self.critic.image.project.parameters(), *self.critic.fluency.parameters()]
