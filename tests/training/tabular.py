"""A world of 27 captions: three words, each caption of three of them, and the probability of every one is known."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from PIL import Image
from torch import Tensor

from gan_caption.data.captions import EOS, Captions
from gan_caption.data.corpus import CaptionedImage, Split
from gan_caption.data.features import ImageFeatures
from gan_caption.generators.base import Generator
from gan_caption.generators.state import TensorState

WORDS = ("red", "green", "blue")
CAPTIONS = [" ".join(words) for words in itertools.product(WORDS, repeat=3)]


def table(seed: int, spread: float) -> Tensor:
    """Probabilities of 27 captions, (27,) float64."""
    rng = torch.Generator().manual_seed(seed)
    return (spread * torch.randn(27, generator=rng, dtype=torch.float64)).softmax(0)


@dataclass(frozen=True)
class BlankSplit(Split):
    """Captions of nothing."""

    def image(self, index: int) -> Image.Image:
        return Image.new("RGB", (8, 8))

    def select(self, rows: Sequence[int]) -> BlankSplit:
        return replace(self, items=tuple(self.items[row] for row in rows))


class Tabular:
    """Images with captions drawn from `table(1, 0.7)`."""

    LOCATIONS = ()

    def __init__(self, *, train: int, val: int, test: int, captions: int) -> None:
        self.sizes = {"train": train, "val": val, "test": test}
        self.captions = captions

    def split(self, name: str) -> BlankSplit:
        rng = torch.Generator().manual_seed(10 + list(self.sizes).index(name))
        drawn = torch.multinomial(table(1, 0.7), self.sizes[name] * self.captions, replacement=True, generator=rng)
        told = [CAPTIONS[place] for place in drawn.tolist()]
        return BlankSplit(
            name,
            tuple(
                CaptionedImage(f"{name}-{row}", tuple(told[row * self.captions : (row + 1) * self.captions]))
                for row in range(self.sizes[name])
            ),
        )


class TabularGenerator(Generator[TensorState]):
    """Writes the words 4, 5, 6 three times, every caption with the probability of a table, `(3, 3, 3)` by its words."""

    following: Tensor
    """(13, 3): probabilities, unnormalised, of the next word after nothing, after each word, after each two."""

    def __init__(self, *, vocabulary_size: int) -> None:
        super().__init__(vocabulary_size=vocabulary_size)
        assert vocabulary_size == EOS + 1 + 3
        own = table(2, 0.7).float().view(3, 3, 3)
        self.register_buffer("following", torch.cat([own.sum((1, 2))[None], own.sum(2), own.view(9, 3)]))
        self.unused = torch.nn.Parameter(torch.zeros(1))  # an optimizer needs something

    def start(self, features: ImageFeatures, max_length: int) -> TensorState:
        nothing = torch.full((len(features), 3), -1, device=features.pooled.device)
        return TensorState((nothing,))

    def step(self, tokens: Tensor, state: TensorState, rows: Tensor | None = None) -> tuple[Tensor, TensorState]:
        read = state.own[0] if rows is None else state.own[0][rows]
        read = torch.cat([read[:, 1:], (tokens - EOS - 1).clamp(min=-1)[:, None]], dim=1)
        return self._following(read), state.after((read,), rows)

    def logits(self, features: ImageFeatures, captions: Captions) -> Tensor:
        before = torch.nn.functional.pad(captions.inputs, (2, 0)).unfold(1, 3, 1)[captions.mask]
        return self._following((before - EOS - 1).clamp(min=-1))

    def _following(self, read: Tensor) -> Tensor:
        """The logits (N, 4) of `<eos>`, which is never written, and the three words, after the last words (N, 3)."""
        count = (read >= 0).sum(1)
        after_two = 4 + 3 * read[:, 1] + read[:, 2]
        place = torch.where(count == 1, 1 + read[:, 2], torch.where(count == 2, after_two, 0))
        never = torch.full((len(read), 1), float("-inf"), device=read.device)
        return torch.cat([never, self.scores()[place]], dim=1)

    def scores(self) -> Tensor:
        """Logits (13, 3) by the rows of `following`."""
        return self.following.log()


class LearningTable(TabularGenerator):
    """Begins as the same policy, and can become any other over these captions."""

    def __init__(self, *, vocabulary_size: int) -> None:
        super().__init__(vocabulary_size=vocabulary_size)
        self.learned = torch.nn.Parameter(self.following.log())

    def scores(self) -> Tensor:
        return self.learned
