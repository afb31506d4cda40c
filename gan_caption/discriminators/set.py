"""A critic of all captions of one image together: Shetty et al. 2017, arXiv 1703.10476, section 3.2.

A single caption can be fluent, true and always the same; a set of five shows how varied its author is. Every caption of
an image gets the set's answer. Shapes: B images, N captions of them, T steps, V vocabulary, P pooled, E embedding,
H hidden, C kernels, D numbers a kernel; S images by their places, K the most captions that one has.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.discriminators.base import Discriminator, all_of
from gan_caption.errors import at_least, share
from gan_caption.kernels.dropout import Dropout
from gan_caption.kernels.products import Linear
from gan_caption.kernels.recurrent import read
from gan_caption.layers import ByImage, ImageVector


class SetDiscriminator(Discriminator):
    """How the captions fit the image, and how far they are from each other.

    The distances are those of minibatch discrimination (Salimans et al. 2016, arXiv 1606.03498, section 3.2), within
    the captions of one image.
    """

    def __init__(
        self,
        *,
        vocabulary_size: int,
        pooled_size: int,
        hidden: int,
        embedding: int,
        kernels: int,
        kernel_size: int,
        dropout: float,
        instance_noise: float,
    ) -> None:
        """Build the layers.

        Args:
            vocabulary_size: V, special tokens included.
            pooled_size: P, length of the image vector.
            hidden: H, at least 1.
            embedding: E, at least 1.
            kernels: C, at least 1.
            kernel_size: D, at least 1.
            dropout: probability in [0, 1), on the word vectors and the sentence vectors.
            instance_noise: standard deviation, at least 0; see `Discriminator`.
        """
        super().__init__(vocabulary_size=vocabulary_size, embedding=embedding, instance_noise=instance_noise)
        at_least(1, hidden=hidden, kernels=kernels, kernel_size=kernel_size)
        share(dropout=dropout)
        self.lstm = nn.LSTM(embedding, hidden, batch_first=True)
        self.image = ImageVector(inputs=pooled_size, noise=0, outputs=hidden)
        self.kernels = Linear(hidden, kernels * kernel_size, bias=False)
        self.answer = nn.Sequential(Linear(2 * hidden + kernels, hidden), nn.LeakyReLU(0.2), Linear(hidden, 1))
        self.dropout = Dropout(dropout)
        self.kernel_size = kernel_size

    def represent(self, features: ImageFeatures, words: Tensor, captions: Captions) -> Tensor:
        """Return what is known of each image's set of captions, (B, 2 H + C)."""
        outputs = read(self.lstm, self.dropout(captions.packed(words)), captions.lengths)  # (M, H)
        sentence = self.dropout(outputs[captions.lengths.cumsum(0) - 1])  # (N, H)
        image = torch.tanh(self.image(features))[captions.images]
        projected = self.kernels(sentence).unflatten(1, (-1, self.kernel_size))  # (N, C, D)
        closeness = _closeness(projected, captions.images)
        own = torch.cat([image * sentence, sentence, closeness], dim=1)  # (N, 2 H + C)
        counts = torch.bincount(captions.images, minlength=len(features)).clamp(min=1)
        sums = own.new_zeros(len(features), own.shape[1]).index_add(0, captions.images, own)
        return sums / counts[:, None]

    def score(self, features: ImageFeatures, words: Tensor, captions: Captions) -> Tensor:
        """Return logits (N,), the same for all captions of an image; see `Discriminator.score`."""
        logits: Tensor = self.answer(self.represent(features, words, captions))[:, 0]
        return logits[captions.images]


def _closeness(projected: Tensor, images: Tensor) -> Tensor:
    """Return the mean of exp(-distance) to the other captions of the same image, (N, C), of (N, C, D) with L1."""
    layout = ByImage.of(images)
    sets = layout.lay(projected)  # (S, K, C, D)
    distance = (sets[:, :, None] - sets[:, None]).abs().sum(4)  # (S, K, K, C)
    there = images.new_zeros(sets.shape[0] * sets.shape[1]).index_fill(0, layout.place, 1).view(sets.shape[:2])
    others = (there[:, None] - torch.eye(sets.shape[1], device=there.device)).clamp(min=0)  # (S, K, K)
    sums = (torch.exp(-distance) * others[..., None]).sum(2)
    return layout.back(sums / others.sum(2)[..., None].clamp(min=1))


def judges_sets(judge: object) -> bool:
    """Tell whether all captions of an image have one number of a reward or judge, or of one that it is made of."""
    asked = [getattr(one, "discriminator", None) for one in all_of(judge)]
    return any(of_sets(one) for one in asked if isinstance(one, Discriminator))


def of_sets(discriminator: Discriminator) -> bool:
    """Tell whether a discriminator, or one in it, gives all captions of an image one answer."""
    return any(isinstance(part, SetDiscriminator) for part in discriminator.modules())
