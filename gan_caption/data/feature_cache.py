"""Extracted features on disk: in half precision, read as needed, never stale, continued where they were interrupted.

A cache belongs to one encoder (its fingerprint covers architecture, weights and preprocessing) and one list of images.
Beside every row of features stands a signature of the image file that it came from; a row counts only while that is the
file's signature today, so an interrupted extraction continues and a changed photograph is read again. Where features
are replaced, new files take the place of the old ones, which a run that reads them goes on reading.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from PIL import Image
from torch import Tensor

from gan_caption.data.corpus import Split
from gan_caption.data.features import ImageFeatures
from gan_caption.data.loading import load, readable
from gan_caption.distributed import world
from gan_caption.errors import UserError
from gan_caption.files import read_at, write_atomically
from gan_caption.untrusted.parsing import shown

_BATCH = 32
_ARRAYS = ("pooled.npy", "grid.npy", "regions.npy", "signatures.npy")
_HALF_LARGEST = float(np.finfo(np.float16).max)


class CachedFeatures:
    """Features of a split, read from disk as they are needed."""

    def __init__(self, split: Split, places: np.ndarray, pooled: RowFile, grid: RowFile, regions: RowFile) -> None:
        """Hold the files.

        Args:
            split: the images that could be read.
            places: (N,) the row of each in the files.
            pooled: rows (P,).
            grid: rows (R, D).
            regions: rows (1,), how many of the R are real.
        """
        self.split = split
        self._places = places
        self._pooled = pooled
        self._grid = grid
        self._regions = regions

    def features(self, rows: Sequence[int], *, grid: bool, device: torch.device) -> ImageFeatures:
        """Return the features of these rows in single precision."""
        places = self._places[list(rows)]
        return ImageFeatures(
            pooled=self._pooled.read(places).to(device).float(),
            grid=self._grid.read(places).to(device).float() if grid else None,
            regions=self._regions.read(places)[:, 0].to(device) if grid else None,
            rows=torch.tensor(list(rows), dtype=torch.long, device=device),
        )


class RowFile:
    """Rows of an .npy file, read one by one.

    A memory map would do the same; but what was looked at of it counts as this process's memory until the system
    needs it elsewhere, and after an epoch that is the whole file.
    """

    def __init__(self, path: Path) -> None:
        """Open the file."""
        shape = np.load(path, mmap_mode="r")
        self._begin, self._shape, self._kind = shape.offset, shape.shape[1:], shape.dtype
        self._file = path.open("rb", buffering=0)

    def read(self, places: np.ndarray) -> Tensor:
        """Return these rows (n, ...).

        Raises:
            UserError: the file has become shorter than it was.
        """
        rows = np.empty((len(places), *self._shape), self._kind)
        for row, place in zip(rows, places.tolist(), strict=True):
            found = read_at(self._file, self._begin + place * row.nbytes, row.nbytes)
            if len(found) != row.nbytes:
                raise UserError(
                    f"{self._file.name} was cut short while it was in use: start again, and what it lacks is extracted"
                )
            row[...] = np.frombuffer(found, row.dtype).reshape(row.shape)
        return torch.from_numpy(rows)


def cached_features(
    split: Split,
    *,
    cache: Path,
    fingerprint: str,
    description: str,
    pooled_size: int,
    grid_shape: tuple[int, int],
    prepare: Callable[[Image.Image], Tensor],
    encode: Callable[[Tensor], ImageFeatures],
    skip_unreadable: bool,
    progress: Callable[[int, int], None],
) -> CachedFeatures:
    """Return the features of a split, extracting those that the cache lacks.

    Args:
        split: the images.
        cache: the folder of all caches.
        fingerprint: of the encoder.
        description: of the encoder, for people.
        pooled_size: P.
        grid_shape: (R, D).
        prepare: turns an image into pixels (3, H, W) uint8.
        encode: turns pixels (B, 3, H, W) into features, without gradients.
        skip_unreadable: leave out images that cannot be read.
        progress: told (images done, images in all) while extracting.

    Raises:
        UserError: images cannot be read (all are named), or the disk is full.
    """
    names = "\n".join([fingerprint, *(item.image_id for item in split.items)])
    identity = hashlib.sha256(names.encode("utf-8", "surrogatepass"))  # a file's name may be no UTF-8
    folder = cache / f"{split.name}-{identity.hexdigest()[:16]}"
    count = len(split)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # A second run waits for the first one's features; of the processes of one run, the main one has the files.
        with FileLock(folder / "lock") if world.is_main() else nullcontext():
            files, missing = None, []
            if world.is_main():
                files = _opened(folder, count, pooled_size, grid_shape)
                missing = _missing(split, files)
                if any(files.signatures[row] for row, _ in missing):
                    _copy_anew(folder)
                    files = _opened(folder, count, pooled_size, grid_shape)
                about = {"encoder": description, "fingerprint": fingerprint, "split": split.name, "images": count}
                write_atomically(folder / "about.json", lambda file: file.write(json.dumps(about, indent=1).encode()))
            errors = _extract(split, world.from_main(lambda: missing), prepare, encode, files, progress)
            if files is not None and errors:
                files.forget([row for row, _ in errors])
            if not all(world.everyone((folder / "pooled.npy").exists())):
                raise UserError(f"cache={cache} is not seen by all processes: give cache=... on a disk that all share")
            # Before another program that waits can write the features of other pictures of the same names there.
            rows = [RowFile(folder / name) for name in _ARRAYS[:3]]
            world.everyone(None)
    except OSError as error:
        raise UserError(
            f"features cannot be kept in {folder} ({error.strerror}): give cache=... another place"
        ) from error
    kept = world.from_main(lambda: readable(split, errors, skip=skip_unreadable))
    whole = len(kept) == count
    return CachedFeatures(split if whole else split.select(kept), np.array(kept), *rows)


@dataclass(frozen=True)
class _Files:
    """The cache's arrays, open for writing, row by row of the split."""

    pooled: np.memmap
    grid: np.memmap
    regions: np.memmap
    signatures: np.memmap

    def write(self, read: _Encoded) -> None:
        """Keep the features of some rows."""
        if not read.rows:
            return
        for file, content in ((self.pooled, read.pooled), (self.grid, read.grid), (self.regions, read.regions)):
            file[read.rows] = content
            file.flush()
        self.signatures[read.rows] = read.signatures  # only now that the features are written
        self.signatures.flush()

    def forget(self, rows: list[int]) -> None:
        """Keep nothing of rows whose images cannot be read any more."""
        self.signatures[rows] = 0
        self.signatures.flush()


@dataclass(frozen=True)
class _Encoded:
    """Features of n images, in half precision."""

    rows: list[int]
    """(n) of the split."""
    pooled: np.ndarray
    """(n, P)."""
    grid: np.ndarray
    """(n, R, D)."""
    regions: np.ndarray
    """(n, 1) how many are real."""
    signatures: list[int]
    """(n) of the images' files."""


Lost = list[tuple[int, UserError]]
"""Rows that cannot be read, and why."""


def _opened(folder: Path, count: int, pooled_size: int, grid_shape: tuple[int, int]) -> _Files:
    """Open a cache's arrays, or make them."""
    pooled, grid, regions, signatures = (folder / name for name in _ARRAYS)
    return _Files(
        pooled=_map(pooled, np.float16, (count, pooled_size)),
        grid=_map(grid, np.float16, (count, *grid_shape)),
        regions=_map(regions, np.int64, (count, 1)),
        signatures=_map(signatures, np.uint64, (count,)),
    )


def _copy_anew(folder: Path) -> None:
    """Give a cache's arrays new files with what they hold: whoever reads the old ones is not disturbed."""
    for name in _ARRAYS:
        with (folder / name).open("rb") as old:
            write_atomically(folder / name, partial(shutil.copyfileobj, old))


def _extract(
    split: Split,
    missing: list[tuple[int, int]],
    prepare: Callable[[Image.Image], Tensor],
    encode: Callable[[Tensor], ImageFeatures],
    files: _Files | None,
    progress: Callable[[int, int], None],
) -> Lost:
    """Fill the missing rows; return those that cannot be read, on the main process.

    Every process encodes its part of the missing rows, and the one that has the files writes them.
    """
    size = _BATCH * world.size()
    parts = [world.own_of(missing[first : first + size]) for first in range(0, len(missing), size)]
    loaded = load(split, [row for part in parts for row, _ in part], prepare)
    done, errors = len(split) - len(missing), Lost()
    for part in parts:
        told = _encode(split, list(islice(loaded, len(part))), dict(part), encode)
        for lost, read in world.to_main(told):
            errors += lost
            done += len(lost) + len(read.rows)
            assert files is not None, "the main process has the files"
            files.write(read)
        progress(done, len(split))
    return errors


def _missing(split: Split, files: _Files) -> list[tuple[int, int]]:
    """Return the rows whose signature is not today's, which are to be encoded, with that of today."""
    today = [_signature(split, row) for row in range(len(split))]
    return [(row, signature) for row, signature in enumerate(today) if files.signatures[row] != signature]


def _encode(
    split: Split,
    loaded: list[tuple[int, Tensor | UserError]],
    signatures: dict[int, int],
    encode: Callable[[Tensor], ImageFeatures],
) -> tuple[Lost, _Encoded]:
    """Return what cannot be read or encoded, and the features of what can."""
    lost = [(row, one) for row, one in loaded if isinstance(one, UserError)]
    read = [(row, one) for row, one in loaded if isinstance(one, Tensor)]
    if not read:
        return lost, _Encoded([], np.empty(0), np.empty(0), np.empty(0), [])
    with torch.inference_mode():
        features = encode(torch.stack([pixels for _, pixels in read]))
    assert features.grid is not None, "an encoder gives a grid"
    images, most, _ = features.grid.shape
    regions = torch.full((images,), most) if features.regions is None else features.regions.cpu()
    rows = [row for row, _ in read]
    finite = features.pooled.isfinite().all(1) & features.grid.isfinite().flatten(1).all(1)  # `half` bounds infinities
    sound = finite.cpu().numpy()
    pooled, grid = (half(one).cpu().numpy() for one in (features.pooled, features.grid))
    for row in (row for row, good in zip(rows, sound, strict=True) if not good):
        name = shown(split.items[row].image_id)
        lost.append((row, UserError(f"image {name}: the encoder's features are NaN or infinite")))
    rows = [row for row, good in zip(rows, sound, strict=True) if good]
    counts = regions[:, None].numpy()[sound]
    return lost, _Encoded(rows, pooled[sound], grid[sound], counts, [signatures[row] for row in rows])


def _signature(split: Split, row: int) -> int:
    """Return a number that changes with the image; see `Split.version`. Never 0."""
    try:
        content = split.version(row)
    except OSError:
        return 1  # reading it will say why
    return int.from_bytes(hashlib.sha256(content).digest()[:8], "big") | 1


def _map(path: Path, kind: type, shape: tuple[int, ...]) -> np.memmap:
    """Open an array on disk, or make one of zeros."""
    if path.exists():
        try:
            size = path.stat().st_size
            found = np.lib.format.open_memmap(path, mode="r+")  # which lengthens a file that was cut short
            if found.shape == shape and found.dtype == kind and found.offset + found.nbytes == size:
                return found
        except (ValueError, EOFError):
            pass  # cut short while it was made
        path.unlink()
    (path.parent / "signatures.npy").unlink(missing_ok=True)  # what they vouched for is gone
    made = np.lib.format.open_memmap(path, mode="w+", dtype=kind, shape=shape)
    if hasattr(os, "posix_fallocate"):  # a full disk is an error now; later it would kill the process
        try:
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        except OSError:
            path.unlink()
            raise
    return made


def half(tensor: Tensor) -> Tensor:
    """Return features in half precision, as the cache keeps them: what is too large for it becomes its largest."""
    return tensor.float().clamp(-_HALF_LARGEST, _HALF_LARGEST).half()
