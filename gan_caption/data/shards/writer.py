"""Writing a corpus as shards: all of them, or none."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch

from gan_caption.data.annotations import relative_name
from gan_caption.data.corpus import Split
from gan_caption.data.feature_cache import half
from gan_caption.data.features import FeatureSource
from gan_caption.data.loading import check_pictures
from gan_caption.data.shards.scanning import FEATURES
from gan_caption.errors import UserError
from gan_caption.extras import require
from gan_caption.files import is_taken, new_folder, write_atomically

Content = Callable[[int], tuple[str, bytes]]
"""Of a row: the ending, and what the shard shall hold."""


class ShardFolder:
    """A folder that gets its name when everything is in it.

    Used with `with`: an error or an interruption inside leaves nothing behind.
    """

    def __init__(self, folder: Path, *, samples: int) -> None:
        """Check that the folder can be made.

        Args:
            folder: where the shards shall be; it must be empty or not exist.
            samples: of a shard, at most.

        Raises:
            UserError: something is there.
        """
        require("webdataset", extra="shards", what="shards")
        if is_taken(folder):
            raise UserError(f"shards.folder={folder}: something is there already; give a new folder, or remove it")
        self.folder = folder
        self.samples = samples
        self._lent: AbstractContextManager[Path] = new_folder(folder, f"shards.folder={folder}")

    def __enter__(self) -> ShardFolder:
        self.aside = self._lent.__enter__()
        return self

    def __exit__(self, *raised: Any) -> None:
        self._lent.__exit__(*raised)

    def write(self, split: Split, content: Content, *, features_of: dict[str, str] | None = None) -> int:
        """Write the shards of a split, and return how many they are.

        Args:
            split: names and captions.
            content: of each row.
            features_of: the "fingerprint" and "description" of the encoder whose features the contents are.

        Raises:
            UserError: the disk is full, a name is no UTF-8, and what `content` raises.
        """
        firsts = range(0, len(split), self.samples)
        for number, first in enumerate(firsts):
            rows = range(first, min(first + self.samples, len(split)))
            samples = self._samples(split, rows, content, features_of)
            path = self.aside / f"{split.name}-{number:06}.tar"
            write_atomically(path, lambda file, samples=samples: _write_tar(file, samples))  # type: ignore[misc]
        return len(firsts)

    def _samples(
        self, split: Split, rows: range, content: Content, features_of: dict[str, str] | None
    ) -> Iterator[dict[str, str | bytes]]:
        if features_of is not None:
            yield {"__key__": "__about__/features", "json": json.dumps(features_of).encode()}
        for row in rows:
            item = split.items[row]
            if any("\ud800" <= sign <= "\udfff" for sign in item.image_id):  # which Python reads as halves
                raise UserError(f"{item.image_id!r} is no UTF-8, and could not be read again from shards: rename it")
            if relative_name(item.image_id, "shards") != item.image_id:
                raise UserError(f"{item.image_id!r} would be another name when it is read from shards: rename it")
            told = {"image_id": item.image_id, "captions": item.captions}
            ending, data = content(row)
            yield {"__key__": f"{row:09}", ending: data, "json": json.dumps(told).encode()}


def photograph_in(split: Split, row: int) -> tuple[str, bytes]:
    """Return an image's file as it is, or a drawing as PNG; see `Content`.

    Raises:
        UserError: it cannot be read, or there are features alone.
    """
    check_pictures(split)
    path = split.items[row].path
    if path is not None:
        try:
            return path.suffix[1:].lower(), path.read_bytes()
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror}") from error
    packed = io.BytesIO()
    split.image(row).save(packed, "PNG")
    return "png", packed.getvalue()


def features_in(source: FeatureSource, row: int) -> tuple[str, bytes]:
    """Return an image's features in half precision, of the grid its real regions; see `Content`."""
    found = source.features([row], grid=True, device=torch.device("cpu"))
    assert found.grid is not None, "an encoder gives a grid"
    regions = found.grid.shape[1] if found.regions is None else int(found.regions[0])
    grid, pooled = (half(one[0]).numpy() for one in (found.grid[:, :regions], found.pooled))
    packed = io.BytesIO()
    np.savez(packed, grid=grid, pooled=pooled)
    return FEATURES, packed.getvalue()


def _write_tar(file: BinaryIO, samples: Iterator[dict[str, str | bytes]]) -> None:
    from webdataset.writer import TarWriter

    with TarWriter(file, encoder=False, mtime=0) as tar:  # a time with a fraction takes another KB a member
        for sample in samples:
            tar.write(sample)
