"""Features that lie in shards, beside their captions. Shapes: B images, R regions, D, P channels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from gan_caption.data.features import ImageFeatures
from gan_caption.data.loading import of_all_processes, readable
from gan_caption.data.shards.corpus import ShardSplit
from gan_caption.errors import Unreachable, UserError
from gan_caption.untrusted.parsing import shown

_TRIED = 100
"""Images at the beginning of which one must have features that can be read."""


class ShardFeatures:
    """Features of a split, read from its shards as they are needed."""

    def __init__(self, split: ShardSplit, *, fingerprint: str, description: str, skip_unreadable: bool) -> None:
        """Hold the split.

        Args:
            split: of shards with features.
            fingerprint: of the encoder that the run has.
            description: of it, for people.
            skip_unreadable: leave out validation and test images whose features are damaged.

        Raises:
            UserError: the features are another encoder's, or damaged. Those of validation and test images are looked at
                here; training, which may be too long for that, meets its own as it goes.
        """
        of = split.indexed.features
        assert of is not None, "shards of images are encoded"
        if of["fingerprint"] != fingerprint:
            raise UserError(
                f"the features of {split.indexed.shards[0]} are of {of['description']}; the run's encoder is "
                f"{description}. Choose the encoder that they were made with, or write shards with this one"
            )
        self.split = split
        self._sizes = self._first_sizes()
        if split.name != "train":
            kept = readable(split, of_all_processes(self._damaged()), skip=skip_unreadable)
            self.split = split if len(kept) == len(split) else split.select(kept)

    def features(self, rows: Sequence[int], *, grid: bool, device: torch.device) -> ImageFeatures:
        """Return the features of these rows in single precision; grids are padded with zeros to the longest.

        Raises:
            UserError: one has another D or P than the first.
        """
        if not rows:  # a process's part of a short batch
            width, size = self._sizes
            return ImageFeatures(
                pooled=torch.zeros(0, size, device=device),
                grid=torch.zeros(0, 1, width, device=device) if grid else None,
                regions=torch.zeros(0, dtype=torch.long, device=device) if grid else None,
                rows=torch.zeros(0, dtype=torch.long, device=device),
            )
        grids, pooled = zip(*(self._read(row) for row in rows), strict=True)
        return ImageFeatures(
            pooled=torch.from_numpy(np.stack(pooled)).to(device).float(),
            grid=pad_sequence([torch.from_numpy(one) for one in grids], True).to(device).float() if grid else None,
            regions=torch.tensor([len(one) for one in grids], device=device) if grid else None,
            rows=torch.tensor(list(rows), device=device),
        )

    def _first_sizes(self) -> tuple[int, int]:
        """Return D and P of the first image whose features can be read."""
        error: UserError | None = None
        for row in range(min(len(self.split), _TRIED)):
            try:
                return _sizes(*self.split.features(row))
            except Unreachable:
                raise
            except UserError as found:
                error = error or found
        assert error is not None, "a split has images"
        raise error

    def _damaged(self) -> list[tuple[int, UserError]]:
        """Return the rows that cannot be used, and why."""
        errors = []
        for row in range(len(self.split)):
            try:
                self._read(row)
            except Unreachable:
                raise
            except UserError as error:
                errors.append((row, error))
        return errors

    def _read(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        found = self.split.features(row)
        if _sizes(*found) != self._sizes:
            name = self.split.items[row].image_id
            raise UserError(f"the features of {shown(name)} have the sizes {_sizes(*found)}, others {self._sizes}")
        return found


def _sizes(grid: np.ndarray, pooled: np.ndarray) -> tuple[int, int]:
    """Return D and P of an image's grid (R, D) and vector (P,)."""
    return grid.shape[1], pooled.shape[0]
