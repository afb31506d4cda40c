"""The contract of a discriminator. Shapes: B images, N captions, T steps, V vocabulary, E embedding."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures, narrowed
from gan_caption.errors import at_least

if TYPE_CHECKING:
    from gan_caption.encoders.base import Encoder
    from gan_caption.generators.base import Generator


def parts_of(features: ImageFeatures, captions: Captions, most: int) -> Iterator[tuple[ImageFeatures, Captions]]:
    """Yield captions in order, in parts of at most so many rows, with the features of their images.

    A part is of whole images: some critics judge sets. Only the captions of an image that has more than that are cut.
    """
    if len(captions) <= most:
        yield features, captions
        return
    sizes = [0]
    for count in torch.bincount(captions.images).tolist():
        if sizes[-1] + count <= most:
            sizes[-1] += count
        else:
            sizes += [most] * (count // most) + [count % most]
    for part in captions.chunks([size for size in sizes if size]):
        yield narrowed(features, part)


def of_captions(logits: Tensor, captions: Captions) -> Tensor:
    """Return a number for each caption, (N,): of a dense critic's, (N, T), the mean over the caption's own tokens."""
    return logits if logits.dim() == 1 else logits.masked_fill(~captions.mask, 0).sum(1) / captions.lengths


class Discriminator(nn.Module, ABC):
    """Tells whether a person wrote this caption for this image.

    It answers logits, never probabilities. Padding, and the other rows of the batch, cannot change an answer.
    """

    uses_grid: bool = False
    """Whether `ImageFeatures.grid` is read."""
    uses_pixels: bool = False
    """Whether `ImageFeatures.pixels` is read."""

    def __init__(self, *, vocabulary_size: int, embedding: int, instance_noise: float = 0.0) -> None:
        """Make the word vectors.

        Args:
            vocabulary_size: V, special tokens included.
            embedding: E, at least 1.
            instance_noise: standard deviation, at least 0, of noise on the word vectors in train mode, of real and
                generated captions alike (Arjovsky & Bottou 2017, arXiv 1701.04862): it lets the two kinds overlap.
        """
        super().__init__()
        at_least(1, embedding=embedding)
        at_least(0, instance_noise=instance_noise)
        self.vocabulary_size = vocabulary_size
        self.words = nn.Embedding(vocabulary_size, embedding)
        self.instance_noise = instance_noise

    @property
    def unwrapped(self) -> Discriminator:
        """This discriminator, or what it wraps: for whoever looks for a certain kind, or copies its weights."""
        return self

    def reading(self, captions: Captions) -> Captions:
        """Return the captions in the tokens that it reads, N of another T perhaps: by default as they are.

        `forward` and `fast_score` are given them as they were written, `embed` and `score` as they are read.
        """
        return captions

    def embed(self, captions: Captions) -> Tensor:
        """Return the captions' word vectors (N, T, E)."""
        words = captions.vectors(self.words)
        if self.training and self.instance_noise:
            words = words + self.instance_noise * torch.randn_like(words)
        return words

    @abstractmethod
    def score(self, features: ImageFeatures, words: Tensor, captions: Captions) -> Tensor:
        """Return one logit a caption (N,), or one a token (N, T) in a dense critic.

        Above 0 means "a person wrote it for this image".

        Args:
            features: of B images; each is projected once, however many captions it has.
            words: (N, T, E) word vectors; what stands on padding must not matter.
            captions: N captions, for their lengths and images; their tokens are in `words` already.
        """

    def fast_score(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Judge captions in eval mode without gradients, as rewards need it: `forward`'s answers, perhaps sooner.

        Monte Carlo completions share most of their words; a discriminator may read what they share once.
        """
        logits: Tensor = self(features, captions)
        return logits

    def densities(self, features: ImageFeatures, captions: Captions) -> tuple[Tensor, Tensor]:
        """Return log p(caption | image), (N,) in nats, as people write and as the policy does, of a D with both models.

        Raises:
            TypeError: it knows no densities, at most their ratio.
        """
        raise TypeError(f"{type(self).__name__} has no models of captions: `generative` has two")

    def output_weights(self) -> Iterable[nn.Parameter]:
        """Return what a caption's vector is compared with, for losses with an L2 term; none where it is not said."""
        return ()

    def weights_from(self, generator: Generator) -> dict[str, Tensor]:
        """Return what it can begin with, on request, of what a generator knows, by the names of its own weights.

        These are weights that the generator offers by the same names, in the same shapes; there may be none.
        """
        own = self.state_dict()
        theirs = generator.warm_start_weights().items()
        return {name: weight for name, weight in theirs if name in own and own[name].shape == weight.shape}

    def inherited(self, generator: Generator, encoder: Encoder | None) -> dict[str, Tensor]:
        """Return what it begins with, whatever was asked for, by the names of its own weights: by default nothing.

        Args:
            generator: pretrained.
            encoder: the one that learned with it; None where that is a frozen one.

        Raises:
            ValueError: it needs weights of other shapes, or an encoder where there is none.
        """
        del generator, encoder
        return {}

    def forward(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Judge captions (N,), or their tokens (N, T); see `score`.

        Raises:
            ValueError: `score` answered something else.
        """
        captions = self.reading(captions)
        logits = self.score(features, self.embed(captions), captions)
        if tuple(logits.shape) not in captions.shapes:
            one_a_caption, one_a_token = captions.shapes
            raise ValueError(
                f"{type(self).__name__}.score answered {tuple(logits.shape)}: one logit a caption is {one_a_caption} "
                f"here, one a token {one_a_token}"
            )
        return logits

    def probability(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Return how probable a person's hand is for each caption, (N,), 0 to 1; see `logit`."""
        return torch.sigmoid(self.logit(features, captions))

    def logit(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Return that as a logit, (N,); see `of_captions`."""
        return of_captions(self(features, captions), captions)


def all_of(judge: object) -> Iterator[object]:
    """Yield a reward, or whatever else judges captions, and those that it is made of."""
    yield judge
    for own in (*getattr(judge, "parts", {}).values(), getattr(judge, "reward", None)):
        if own is not None:
            yield from all_of(own)
