"""A discriminator that judges by another one, which is shown other features of the image. Shapes: as in `base`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING

from torch import Tensor, nn

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.discriminators.base import Discriminator

if TYPE_CHECKING:
    from gan_caption.encoders.base import Encoder
    from gan_caption.generators.base import Generator


class WrappedDiscriminator(Discriminator):
    """Answers what the discriminator inside answers about the features that `seen` makes of those given."""

    def __init__(self, *, discriminator: Discriminator) -> None:
        """Hold the discriminator that answers."""
        super(Discriminator, self).__init__()  # the word vectors are those inside
        self.discriminator = discriminator
        self.vocabulary_size = discriminator.vocabulary_size
        self.uses_grid = discriminator.uses_grid
        self.uses_pixels = discriminator.uses_pixels

    @property
    def unwrapped(self) -> Discriminator:
        """What is wrapped."""
        return self.discriminator.unwrapped

    @abstractmethod
    def seen(self, features: ImageFeatures) -> ImageFeatures:
        """Return the features of the same B images that the discriminator inside is shown."""

    def reading(self, captions: Captions) -> Captions:
        """Return the captions as the discriminator inside reads them; see `Discriminator.reading`."""
        return self.discriminator.reading(captions)

    def embed(self, captions: Captions) -> Tensor:
        """Return the captions' word vectors (N, T, E)."""
        return self.discriminator.embed(captions)

    def score(self, features: ImageFeatures, words: Tensor, captions: Captions) -> Tensor:
        """Return logits; see `Discriminator.score`."""
        return self.discriminator.score(self.seen(features), words, captions)

    def forward(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Return logits; see `Discriminator.forward`."""
        logits: Tensor = self.discriminator(self.seen(features), captions)
        return logits

    def fast_score(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Return logits; see `Discriminator.fast_score`."""
        return self.discriminator.fast_score(self.seen(features), captions)

    def densities(self, features: ImageFeatures, captions: Captions) -> tuple[Tensor, Tensor]:
        """Return those of the discriminator inside, shown its features; see `Discriminator.densities`."""
        return self.discriminator.densities(self.seen(features), captions)

    def output_weights(self) -> Iterable[nn.Parameter]:
        """Return those of the discriminator inside."""
        return self.discriminator.output_weights()

    def weights_from(self, generator: Generator) -> dict[str, Tensor]:
        """Return what the discriminator inside begins with; see `Discriminator.weights_from`."""
        return _inside(self.discriminator.weights_from(generator))

    def inherited(self, generator: Generator, encoder: Encoder | None) -> dict[str, Tensor]:
        """Return what the discriminator inside begins with; see `Discriminator.inherited`."""
        return _inside(self.discriminator.inherited(generator, encoder))


def _inside(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return weights of the discriminator inside by the names that they have here."""
    return {f"discriminator.{name}": weight for name, weight in weights.items()}
