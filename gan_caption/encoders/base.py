"""The contract of an encoder: image -> ImageFeatures. Shapes: B images, H x W pixels, R regions, D, P channels."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn

from gan_caption.data.corpus import Split
from gan_caption.data.feature_cache import cached_features, half
from gan_caption.data.features import FeatureSource, ImageFeatures
from gan_caption.data.loading import load, of_all_processes, readable
from gan_caption.data.shards.corpus import ShardSplit
from gan_caption.data.shards.features import ShardFeatures
from gan_caption.errors import UserError

_IN_MEMORY = 2 * 1024**3
"""Bytes of pixels that are kept decoded; more are decoded anew each time."""


class Encoder(nn.Module, ABC):
    """A network over images. Frozen, its features are extracted once and cached; otherwise it learns along.

    The features of an image never depend on the other images of its batch.
    """

    pooled_size: int
    """P."""
    grid_size: int
    """D."""
    regions: int
    """R, at most."""
    finetune: bool
    """Whether it learns, from words and by maximum likelihood."""
    shows_pixels: bool = False
    """Whether features come with the pixels that they were made of; see `show_pixels`."""

    @property
    @abstractmethod
    def description(self) -> str:
        """Architecture, origin of the weights, preprocessing: what features depend on beside the weights themselves."""

    @abstractmethod
    def preprocess(self, image: Image.Image) -> Tensor:
        """Turn an RGB image into pixels (3, H, W) uint8: its geometry only."""

    @abstractmethod
    def forward(self, pixels: Tensor) -> ImageFeatures:
        """Encode pixels (B, 3, H, W) uint8."""

    def encode(self, pixels: Tensor) -> ImageFeatures:
        """Encode pixels (B, 3, H, W) uint8, and add them to the features where they are to be shown."""
        features: ImageFeatures = self(pixels)
        return replace(features, pixels=pixels) if self.shows_pixels else features

    def as_trained(self, pixels: Tensor) -> ImageFeatures:
        """Encode pixels (B, 3, H, W) uint8 to what training saw: of a frozen encoder, what the cache keeps of it."""
        features = self.encode(pixels)
        if self.finetune:
            return features
        grid = None if features.grid is None else half(features.grid).float()
        return replace(features, pooled=half(features.pooled).float(), grid=grid)

    def show_pixels(self) -> None:
        """Give features with their pixels from now on.

        Raises:
            UserError: the encoder is frozen; its features are extracted once, and no image is read after.
        """
        if not self.finetune:
            raise UserError(
                "this discriminator reads pixels, and those of a frozen encoder are not read again once its features "
                "are extracted: give encoder.finetune=true where the encoder can learn, or another discriminator"
            )
        self.shows_pixels = True

    @property
    def fingerprint(self) -> str:
        """A hash that changes with the architecture, the preprocessing and every weight."""
        content = hashlib.sha256(self.description.encode())
        for name, tensor in self.state_dict().items():
            content.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
            content.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
        return content.hexdigest()

    def source(
        self,
        split: Split,
        *,
        cache: Path,
        skip_unreadable: bool,
        device: torch.device,
        progress: Callable[[int, int], None],
    ) -> FeatureSource:
        """Return the features of a split's images.

        Args:
            split: the images.
            cache: where extracted features are kept.
            skip_unreadable: leave out images that cannot be read, instead of stopping.
            device: where this encoder is.
            progress: told (images done, images in all).

        Raises:
            UserError: images cannot be read; all of them are named.
        """
        if isinstance(split, ShardSplit) and split.indexed.features is not None:
            if self.finetune:
                raise UserError("these shards hold features, which cannot learn along: set encoder.finetune=false")
            return ShardFeatures(
                split, fingerprint=self.fingerprint, description=self.description, skip_unreadable=skip_unreadable
            )
        if self.finetune:
            return LiveFeatures(self, split, skip_unreadable=skip_unreadable, progress=progress)
        self.eval()
        return cached_features(
            split,
            cache=cache,
            fingerprint=self.fingerprint,
            description=self.description,
            pooled_size=self.pooled_size,
            grid_shape=(self.regions, self.grid_size),
            prepare=self.preprocess,
            encode=lambda pixels: self(pixels.to(device)),
            skip_unreadable=skip_unreadable,
            progress=progress,
        )


class LiveFeatures:
    """Features of a learning encoder, computed anew each time; gradients reach it where they are wanted."""

    def __init__(
        self, encoder: Encoder, split: Split, *, skip_unreadable: bool, progress: Callable[[int, int], None]
    ) -> None:
        """Decode every image once: to know that it can be read, and to keep its pixels where there is room."""
        self._encoder = encoder
        pixels: Tensor | None = None
        self._none = torch.zeros(0, dtype=torch.uint8)
        errors: list[tuple[int, UserError]] = []
        for row, loaded in load(split, range(len(split)), encoder.preprocess):
            if isinstance(loaded, UserError):
                errors.append((row, loaded))
            else:
                if self._none.dim() == 1:  # the first one, which tells how large all are
                    self._none = loaded.new_zeros(0, *loaded.shape)
                    if loaded.numel() * len(split) <= _IN_MEMORY:
                        pixels = loaded.new_empty(len(split), *loaded.shape)
                if pixels is not None:
                    pixels[row] = loaded
            if row % 500 == 499:
                progress(row + 1, len(split))
        kept = readable(split, of_all_processes(errors), skip=skip_unreadable)
        self.split: Split = split if len(kept) == len(split) else split.select(kept)
        self._pixels, self._kept = pixels, kept

    def features(self, rows: Sequence[int], *, grid: bool, device: torch.device) -> ImageFeatures:
        """Encode these rows.

        Raises:
            UserError: an image cannot be read any longer.
        """
        del grid  # computed anyway
        rows = list(rows)
        pixels = self._decoded(rows) if self._pixels is None else self._pixels[[self._kept[row] for row in rows]]
        return replace(
            self._encoder.encode(pixels.to(device)), rows=torch.tensor(rows, dtype=torch.long, device=device)
        )

    def _decoded(self, rows: Sequence[int]) -> Tensor:
        """Read the pixels of these rows anew."""
        pixels = [self._none]
        for _, loaded in load(self.split, rows, self._encoder.preprocess):
            if isinstance(loaded, UserError):
                raise loaded
            pixels.append(loaded[None])
        return torch.cat(pixels)
