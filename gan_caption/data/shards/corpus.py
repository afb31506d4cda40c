"""A corpus in shards: any sample is read alone, from its place in its shard."""

from __future__ import annotations

import hashlib
import io
import math
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from gan_caption.data.compact import Elements
from gan_caption.data.corpus import CaptionedImage, Split
from gan_caption.data.images import open_rgb
from gan_caption.data.layout import check_name
from gan_caption.data.shards.index import Indexed, open_index
from gan_caption.data.shards.order import ShardOrder
from gan_caption.data.shards.places import Places, expand, is_url
from gan_caption.errors import UserError, at_least
from gan_caption.extras import require
from gan_caption.files import at_home
from gan_caption.untrusted.arrays import DAMAGED, header, numbers
from gan_caption.untrusted.parsing import briefly, some

_LARGEST = 2**24
"""Numbers of an image's features; 49 regions of 1,280 are 2**16."""


class ShardItems(Elements[CaptionedImage]):
    """Names and captions, read from the index when they are looked at."""

    def __init__(self, indexed: Indexed, numbers: np.ndarray) -> None:
        """Hold the numbers (N,) of samples."""
        self._indexed = indexed
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def one(self, index: int) -> CaptionedImage:
        """Make item `index`."""
        return self._indexed.item(int(self._numbers[index]))


@dataclass(frozen=True, kw_only=True)
class ShardSplit(Split):
    """Samples of shards. Of features there are no pictures: a blank one stands in where one is shown."""

    indexed: Indexed
    numbers: np.ndarray
    """(N,) int64: of each row its sample."""
    window: int
    """Shards whose samples are mixed in an epoch's order."""

    @property
    def pictured(self) -> bool:
        """Whether these are photographs, not features."""
        return self.indexed.features is None

    @property
    def fingerprint(self) -> str:
        """That of the same images in files; of more shards than a window their sizes as well, which the order tells.

        Whole splits are not gone through sample by sample.
        """
        if not np.array_equal(self.numbers, np.arange(len(self.indexed))):
            return super().fingerprint
        content = hashlib.sha256()
        for texts in self.indexed.texts():
            content.update(texts)
        if len(self.indexed.shards) > self.window:
            content.update(str(self.indexed.starts.tolist()).encode())
        return content.hexdigest()

    def image(self, index: int) -> Image.Image:
        """Return image `index` as RGB; see `Split.image`."""
        if not self.pictured:
            return Image.new("RGB", (8, 8))
        number = int(self.numbers[index])
        return open_rgb(io.BytesIO(self.indexed.content(number)), self.indexed.name(number))

    def content(self, index: int) -> bytes:
        """Return what the shard holds of a row: an image's file, or features as .npz."""
        return self.indexed.content(int(self.numbers[index]))

    def features(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the grid (R, D) and the vector (P,) of a row.

        Raises:
            UserError: they are damaged, or there are none.
        """
        try:
            with zipfile.ZipFile(io.BytesIO(self.content(index))) as archive:
                return _array(archive, "grid", 2), _array(archive, "pooled", 1)
        except DAMAGED as error:
            name = self.indexed.name(int(self.numbers[index]))
            raise UserError(f"{name}: no features ({str(error)[:300]})") from error

    def version(self, index: int) -> bytes:
        """Return something that changes when the shard does."""
        return self.indexed.version(int(self.numbers[index]))

    def select(self, rows: Sequence[int]) -> ShardSplit:
        """Return the split that holds only these rows, in this order."""
        numbers = self.numbers[np.asarray(rows, np.int64)]
        return replace(self, items=ShardItems(self.indexed, numbers), numbers=numbers)

    def order(self, seed: Sequence[int]) -> ShardOrder:
        """Return an order of all rows, which must be in the shards' order."""
        _, sizes = np.unique(self.indexed.shard_of(self.numbers), return_counts=True)
        return ShardOrder(sizes.tolist(), window=self.window, seed=seed)

    def shuffled(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return the rows in random order, a window of shards at a time; see `ShardOrder`."""
        if len(np.unique(self.indexed.shard_of(self.numbers[rows]))) <= self.window:
            return super().shuffled(rows, rng)
        order = self.select(rows.tolist()).order([int(rng.integers(2**32))])
        return rows[np.fromiter(order.rows(), np.int64, len(rows))]


def _array(archive: zipfile.ZipFile, name: str, dimensions: int) -> np.ndarray:
    """Read one array of an .npz, if it is what features are."""
    with archive.open(f"{name}.npy") as file:
        about = header(file)
        if len(about.shape) != dimensions or not 1 <= math.prod(about.shape) <= _LARGEST:
            raise ValueError(f"{name} has shape {briefly(about.shape)}")
        return numbers(file, about)


class Shards:
    """Samples in tar shards, in a folder or behind URLs."""

    LOCATIONS = ("root", "train", "val", "test")

    def __init__(
        self,
        *,
        root: str | Path,
        cache: str | Path,
        train: str,
        val: str,
        test: str,
        window: int,
        keep: float,
        skip_unreadable: bool,
    ) -> None:
        """Say where the shards lie.

        Args:
            root: a folder, or the http(s) address of one.
            cache: a folder for the shards' indices and for what was fetched.
            train: shards of this split: names in `root`, with braces and, in a folder, with wildcards.
            val: shards of this split.
            test: shards of this split.
            window: shards whose samples are mixed in an epoch's order, at least 1.
            keep: gigabytes of fetched shards that are kept, at least 0. With less than two windows of shards, training
                fetches some of them again and again.
            skip_unreadable: leave damaged samples out, and say how many, instead of stopping.
        """
        at_least(1, window=window)
        at_least(0, keep=keep)
        require("webdataset", "braceexpand", extra="shards", what="shards")
        self.root = str(root)
        is_url(self.root)
        self.cache = at_home(cache) / "shards"
        self.patterns = {"train": train, "val": val, "test": test}
        self.window = window
        self.keep = keep
        self.skip_unreadable = skip_unreadable

    def split(self, name: str) -> ShardSplit:
        """Return a split; where its shards were not indexed before, each is read through once.

        Raises:
            UserError: the name is another one, shards are missing, damaged or cannot be fetched.
        """
        check_name(name)
        shards = expand(self.root, self.patterns[name])
        self._check_apart(name, shards)
        indexed = open_index(
            shards,
            folder=self.cache / "index",
            places=Places(self.cache / "fetched", self.keep),
            skip_damaged=self.skip_unreadable,
        )
        numbers = np.arange(len(indexed))
        items = ShardItems(indexed, numbers)
        return ShardSplit(name, items, indexed.notes, indexed=indexed, numbers=numbers, window=self.window)

    def _check_apart(self, name: str, shards: Sequence[str]) -> None:
        """Refuse shards that are another split's as well.

        Raises:
            UserError: some are.
        """
        for other, pattern in self.patterns.items():
            if other == name:
                continue
            try:
                theirs = expand(self.root, pattern)
            except UserError:  # told where that split is opened
                continue
            if shared := sorted({*shards} & {*theirs}):
                raise UserError(
                    f"data.{name}={self.patterns[name]} and data.{other}={pattern} both name {some(shared)}: no shard "
                    "may be in two splits"
                )
