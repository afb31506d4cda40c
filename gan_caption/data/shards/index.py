"""What scanning found, in the cache: one small file a shard, read when the shard's turn comes.

Shapes: S samples of a shard.
"""

from __future__ import annotations

import functools
import io
import json
import os
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import numpy as np

from gan_caption.data.compact import hashed
from gan_caption.data.corpus import CaptionedImage, written
from gan_caption.data.layout import counted
from gan_caption.data.shards.places import Places, digest_of_name, is_url
from gan_caption.data.shards.scanning import Found, Scan, scan
from gan_caption.errors import Unreachable, UserError
from gan_caption.files import write_atomically
from gan_caption.untrusted.parsing import shown, some

_VERSION = 3
_OPEN = 64
"""Shards whose index is in memory, at most: about 150 bytes a sample of them."""


@dataclass(frozen=True)
class ShardIndex:
    """The samples of one shard."""

    places: np.ndarray
    """(S, 2) int64: where an image's bytes begin in the shard, and how many they are."""
    texts: bytes
    """JSON of each sample's name and captions, one after the other."""
    ends: np.ndarray
    """(S + 1,) int64: where each sample's text ends; a 0 before the first."""
    hashes: np.ndarray
    """(S,) uint64, of the samples' names."""
    size: int
    """Bytes of the shard."""
    damaged: tuple[str, ...]
    """Why samples were left out."""
    features: dict[str, str] | None
    """Of which encoder the contents are features; None for images."""

    def __len__(self) -> int:
        return len(self.places)

    def item(self, number: int) -> CaptionedImage:
        """Return the name and the captions of a sample."""
        image_id, *captions = json.loads(self.texts[self.ends[number] : self.ends[number + 1]])
        return CaptionedImage(image_id, tuple(captions))


@functools.lru_cache(maxsize=_OPEN)
def read_index(path: Path) -> ShardIndex:
    """Read the index of a shard; its file's name tells its content, so that it never changes."""
    with np.load(path, allow_pickle=False) as content:
        told = json.loads(content["about"].tobytes())
        texts = content["texts"].tobytes()
        return ShardIndex(
            places=content["places"], texts=texts, ends=content["ends"], hashes=content["hashes"],
            size=told["size"], damaged=tuple(told["damaged"]), features=told["features"],
        )  # fmt: skip


@dataclass(frozen=True)
class Indexed:
    """Shards one after the other, as one row of samples."""

    shards: Sequence[str]
    """Paths or URLs."""
    files: Sequence[Path]
    """The index of each."""
    versions: Sequence[str]
    """Of each, what changes when it does."""
    starts: np.ndarray
    """(shards + 1,) int64: the number of each shard's first sample; the last is how many samples there are."""
    features: dict[str, str] | None
    """Of which encoder the contents are features; None for images."""
    notes: tuple[str, ...]
    """What was left out."""
    places: Places

    def __len__(self) -> int:
        return int(self.starts[-1])

    def shard_of(self, numbers: np.ndarray) -> np.ndarray:
        """Return which shard each sample is in."""
        return np.searchsorted(self.starts, numbers, side="right") - 1

    def find(self, number: int) -> tuple[int, int, ShardIndex]:
        """Return a sample's shard, its number in it, and the shard's index."""
        shard = int(self.shard_of(np.array(number)))
        return shard, number - int(self.starts[shard]), read_index(self.files[shard])

    def item(self, number: int) -> CaptionedImage:
        """Return the name and the captions of a sample."""
        _, own, index = self.find(number)
        return index.item(own)

    def content(self, number: int) -> bytes:
        """Read a sample's image or features, as they are in the shard.

        Raises:
            UserError: the shard cannot be read or fetched, or is another one than was indexed.
        """
        shard, own, index = self.find(number)
        begin, size = index.places[own].tolist()
        with self.places.open(self.shards[shard]) as file:
            found = os.fstat(file.fileno()).st_size
            if found != index.size:
                raise UserError(
                    f"{self.shards[shard]} has changed since it was indexed ({index.size} bytes, now {found}): remove "
                    f"{self.files[shard]} and start again"
                )
            file.seek(begin)
            return file.read(size)

    def texts(self) -> Iterator[bytes]:
        """Yield of each shard what is written of its samples, names and captions."""
        for path in self.files:
            yield read_index(path).texts

    def name(self, number: int) -> str:
        """Say which sample is meant, for messages."""
        shard, own, index = self.find(number)
        return f"{self.shards[shard]}, sample {shown(index.item(own).image_id)}"

    def version(self, number: int) -> bytes:
        """Return what changes when a sample does: its shard, and its place in it."""
        shard, own, index = self.find(number)
        return f"{self.versions[shard]} {index.places[own].tolist()}".encode()


def open_index(shards: Sequence[str], *, folder: Path, places: Places, skip_damaged: bool) -> Indexed:
    """Return the index of shards; what it lacks is made, a shard at a time, and kept.

    Args:
        shards: paths or URLs.
        folder: where indices are kept.
        places: opens shards.
        skip_damaged: leave out samples that are of no use, instead of stopping.

    Raises:
        UserError: a shard cannot be read, samples are damaged or have one name, shards of several kinds are mixed, or
            there is no sample.
    """
    versions = [places.identity(shard) for shard in shards]
    files = [folder / f"{digest_of_name(f'{_VERSION} {one}')[:24]}.npz" for one in versions]
    sizes: list[int] = []
    damaged: list[str] = []
    features: list[dict[str, str] | None] = []
    for shard, path in zip(shards, files, strict=True):
        index = _made(path, shard, places)
        sizes.append(len(index))
        damaged += index.damaged
        features.append(index.features)
    if damaged and not skip_damaged:
        renamed = " under other names, for what lay behind a URL is not looked at again," if is_url(shards[0]) else ","
        raise UserError(
            f"{counted(len(damaged), 'damaged sample')}: write the shards again{renamed} or leave samples like these "
            f"out with skip_unreadable=true\n  {some(damaged, 10)}"
        )
    if any(one != features[0] for one in features):
        other = next(shard for shard, one in zip(shards, features, strict=True) if one != features[0])
        raise UserError(f"{shards[0]} and {other} hold different things: images, or features of different encoders")
    if not sum(sizes):
        raise UserError(f"{some(shards, 2)}: no sample is in {'them' if len(shards) > 1 else 'it'}")
    notes = (f"{counted(len(damaged), 'damaged sample')} left out: {some(damaged)}",) if damaged else ()
    starts = np.array([*accumulate(sizes, initial=0)])
    indexed = Indexed(shards, files, versions, starts, features[0], notes, places)
    _refuse_twins(indexed)
    return indexed


def _made(path: Path, shard: str, places: Places) -> ShardIndex:
    """Read an index, or make it."""
    if path.exists():
        try:
            return read_index(path)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            pass  # damaged: made again
    try:
        with places.open(shard) as file:
            found = scan(file, shard)
    except Unreachable:
        raise
    except UserError:
        if is_url(shard):
            places.forget(shard)  # who mends the server's file has it read again
        raise
    write_atomically(path, lambda file: file.write(_packed(found)))
    read_index.cache_clear()  # of one that was there before
    return read_index(path)


def _packed(found: Scan) -> bytes:
    texts = [_text(sample) for sample in found.samples]
    about = {"size": found.size, "damaged": found.damaged, "features": found.features}
    packed = io.BytesIO()
    np.savez(
        packed,
        places=np.array([sample.content for sample in found.samples], np.int64).reshape(-1, 2),
        texts=np.frombuffer(b"".join(texts), np.uint8),
        ends=np.array([*accumulate(map(len, texts), initial=0)]),
        hashes=np.array([hashed(sample.image_id) for sample in found.samples], np.uint64),
        about=np.frombuffer(json.dumps(about).encode(), np.uint8),
    )
    return packed.getvalue()


def _text(sample: Found) -> bytes:
    return written(sample.image_id, sample.captions)


def _refuse_twins(indexed: Indexed) -> None:
    """Refuse samples that have one name: results and caches go by names. 8 bytes a sample, for the moment."""
    hashes = np.concatenate([read_index(path).hashes for path in indexed.files])
    same, counts = np.unique(hashes, return_counts=True)
    if twice := set(same[counts > 1].tolist()):
        names = {indexed.item(int(number)).image_id for number in np.flatnonzero(np.isin(hashes, [*twice]))}
        raise UserError(f"several samples are called {some(sorted(names))}: give each sample its own name")
