"""Two programs caption the same images: are the words equal, how fast is each, what does int8 cost?"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
import torch
from torch import Tensor

from gan_caption.data.corpus import Split
from gan_caption.decoding.greedy import greedy
from gan_caption.encoders.base import Encoder
from gan_caption.errors import UserError
from gan_caption.generators.base import Generator
from gan_caption.inference.onnx_captioner import OnnxCaptioner
from gan_caption.metrics import cider_d
from gan_caption.metrics.bootstrap import paired_difference
from gan_caption.metrics.ngrams import Score
from gan_caption.modes import evaluating
from gan_caption.text.base import Tokenizer

_REPEATS = 3


@dataclass(frozen=True)
class Images:
    """Images of a split, ready for captioning in batches."""

    split: Split
    """Of N images."""
    pixels: Tensor
    """(N, 3, S, S) uint8, as PyTorch's encoder is given them."""
    batch: int
    """Images at once."""

    def caption(self, captioner: Callable[[np.ndarray], list[str]]) -> list[str]:
        """Return a caption of each."""
        batches = (part.numpy() for part in self.pixels.split(self.batch))
        return [caption for batch in batches for caption in captioner(batch)]


def torch_captioner(
    encoder: Encoder, generator: Generator, tokenizer: Tokenizer, *, max_length: int
) -> Callable[[np.ndarray], list[str]]:
    """Return PyTorch's greedy decoding, from pixels to text."""

    def caption(pixels: np.ndarray) -> list[str]:
        with evaluating(encoder), evaluating(generator):
            written = greedy(generator, encoder.as_trained(torch.from_numpy(pixels)), max_length=max_length)
        return [tokenizer.decode(row) for row in written.tokens.tolist()]

    return caption


def check_pixels(captioner: OnnxCaptioner, images: Images) -> None:
    """Check that an exported folder makes the same pixels of an image as the encoder.

    Raises:
        UserError: it does not.
    """
    for row, pixels in enumerate(images.pixels):
        if not np.array_equal(captioner.preprocess(images.split.image(row)), pixels.numpy()):
            raise UserError(f"image {images.split.items[row].image_id}: the export makes other pixels of it")


def check_words(wanted: Sequence[str], found: Sequence[str], images: Images) -> None:
    """Check that two programs say the same of each image.

    Raises:
        UserError: they do not; the first image of those is named, with both captions.
    """
    different = [row for row, both in enumerate(zip(wanted, found, strict=True)) if both[0] != both[1]]
    if different:
        row = different[0]
        raise UserError(
            f"onnxruntime has other words than PyTorch for {len(different)} of {len(wanted)} images, first for "
            f"{images.split.items[row].image_id}: {found[row]!r}, PyTorch {wanted[row]!r}. Nothing was exported"
        )


def speeds(captioners: Sequence[Callable[[np.ndarray], list[str]]], images: Images) -> list[float]:
    """Return captions a second of each captioner, from pixels to words: medians of runs that take turns."""
    taken: list[list[float]] = [[] for _ in captioners]
    for _ in range(_REPEATS):
        for times, captioner in zip(taken, captioners, strict=True):
            begin = time.perf_counter()
            images.caption(captioner)
            times.append(time.perf_counter() - begin)
    return [len(images.split) / median(times) for times in taken]


@dataclass(frozen=True)
class Cost:
    """What other captions of the same images are worth, beside the first."""

    equal: float
    """Share of captions that are word for word the same."""
    cider_d: float
    """Of the others, 0 to 10."""
    difference: float
    """How much more CIDEr-D the others have."""
    interval: tuple[float, float]
    """95% of that, paired bootstrap over images."""


def quality(captions: Sequence[str], split: Split, tokenizer: Tokenizer) -> Score:
    """Return CIDEr-D, 0 to 10; words' rarity is counted over these images' own references."""
    references = [tokenizer.tokenized(tokenizer.normalize(list(item.captions))) for item in split.items]
    return cider_d(tokenizer.tokenized(captions), references)


def cost(first: Sequence[str], others: Sequence[str], split: Split, tokenizer: Tokenizer) -> Cost:
    """Compare captions of a split's images."""
    before, after = quality(first, split, tokenizer), quality(others, split, tokenizer)
    difference = paired_difference([after], [before])
    equal = sum(one == other for one, other in zip(first, others, strict=True)) / len(first)
    return Cost(equal, after.corpus, difference.value, difference.interval)
