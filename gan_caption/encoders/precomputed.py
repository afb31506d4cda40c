"""Features that another program extracted: a folder with one .npy or .npz an image."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gan_caption.data.corpus import CaptionedImage, Split
from gan_caption.data.features import FeatureSource, ImageFeatures
from gan_caption.data.loading import of_all_processes, readable
from gan_caption.encoders.base import Encoder
from gan_caption.errors import UserError, at_least
from gan_caption.files import at_home
from gan_caption.untrusted.arrays import DAMAGED, header, numbers
from gan_caption.untrusted.parsing import briefly, shown


class Precomputed(Encoder):
    """Reads (R, D) arrays, e.g. bottom-up regions (Anderson et al. 2018); R may vary from image to image.

    A file is named after the image: `<image_id>.npy`, or without the image's own ending; it lies in the image's folder
    below `root`, or in `root` itself where no other image has its name. An .npy holds the grid; an .npz holds `grid`
    (or `features`, or a single array) and may hold `pooled` (P,); otherwise the grid's mean is the image vector.
    """

    def __init__(self, *, root: str | Path, grid_size: int, regions: int, pooled_size: int | None) -> None:
        """Say where the features lie, and their sizes.

        Args:
            root: the folder.
            grid_size: D, numbers a region, at least 1.
            regions: the most regions an image has, at least 1.
            pooled_size: P, at least 1; None for D, where the files hold no image vector.
        """
        super().__init__()
        at_least(1, grid_size=grid_size, regions=regions, pooled_size=pooled_size)
        self.root = at_home(root)
        self.grid_size = grid_size
        self.regions = regions
        self.pooled_size = grid_size if pooled_size is None else pooled_size
        self.finetune = False
        self._owners: dict[Path, str] = {}  # of all splits: whose features each file holds

    @property
    def description(self) -> str:
        """Where they come from."""
        return f"precomputed features in {self.root}"

    def preprocess(self, image: Image.Image) -> Tensor:
        """Refuse: there is no network here."""
        raise UserError("encoder=precomputed has features of its own images only; it cannot encode another one")

    def forward(self, pixels: Tensor) -> ImageFeatures:
        """Refuse: there is no network here."""
        raise UserError("encoder=precomputed has features of its own images only; it cannot encode another one")

    def source(
        self,
        split: Split,
        *,
        cache: Path,
        skip_unreadable: bool,
        device: torch.device,
        progress: Callable[[int, int], None],
    ) -> FeatureSource:
        """Find every image's file and check its form; see `Encoder.source`."""
        del cache, device
        if not self.root.is_dir():
            raise UserError(f"encoder.root={self.root} is no folder: give the one that holds the .npy or .npz files")
        paths: dict[int, Path] = {}
        errors: list[tuple[int, UserError]] = []
        for row, item in enumerate(split.items):
            try:
                path = self._find(item)
                self.read(path)
            except UserError as error:
                errors.append((row, error))
            else:
                owner = self._owners.setdefault(path, item.image_id)
                if owner != item.image_id:
                    raise UserError(
                        f"{path} would be of two images, {shown(owner)} and {shown(item.image_id)}: files of features "
                        "lie in folders as the images do"
                    )
                paths[row] = path
            if row % 500 == 499:
                progress(row + 1, len(split))
        kept = readable(split, of_all_processes(errors), skip=skip_unreadable)
        chosen = split if len(kept) == len(split) else split.select(kept)
        return _Files(self, chosen, [paths[row] for row in kept])

    def read(self, path: Path) -> tuple[np.ndarray, np.ndarray]:
        """Return one image's grid (R, D) and image vector (P,).

        Raises:
            UserError: the file cannot be read, or its sizes are others.
        """
        try:
            if path.suffix == ".npz":
                with zipfile.ZipFile(path) as archive:
                    grid, vector = self._read_archive(path, archive)
            else:
                with path.open("rb") as file:
                    grid, vector = self._read_grid(path, file), None
        except DAMAGED as error:
            raise UserError(f"{path} cannot be read as an array ({str(error)[:300]})") from error
        if vector is None:
            vector = grid.mean(0)
            self._check_vector(path, len(vector))
        return grid, vector

    def _read_archive(self, path: Path, archive: zipfile.ZipFile) -> tuple[np.ndarray, np.ndarray | None]:
        arrays = {name.removesuffix(".npy"): name for name in archive.namelist()}
        member = arrays.get("grid") or arrays.get("features")
        if member is None:
            if len(arrays) != 1:
                raise UserError(f"{path} holds {briefly(list(arrays))}: call one of them grid")
            (member,) = arrays.values()
        with archive.open(member) as file:
            grid = self._read_grid(path, file)
        if "pooled" not in arrays:
            return grid, None
        with archive.open(arrays["pooled"]) as file:
            about = header(file)
            self._check_vector(path, math.prod(about.shape))
            return grid, numbers(file, about).reshape(-1)

    def _read_grid(self, path: Path, file: IO[bytes]) -> np.ndarray:
        about = header(file)
        shape = about.shape
        if len(shape) != 2 or shape[1] != self.grid_size or not 1 <= shape[0] <= self.regions:
            wanted = f"1 to {self.regions} rows (encoder.regions) of {self.grid_size} (encoder.grid_size)"
            raise UserError(f"{path} has shape {briefly(shape)}: it must have {wanted}")
        return numbers(file, about)

    def _check_vector(self, path: Path, size: int) -> None:
        if size != self.pooled_size:
            raise UserError(
                f"{path}: the image vector has {briefly(size)} numbers, encoder.pooled_size={self.pooled_size}"
            )

    def _find(self, item: CaptionedImage) -> Path:
        name = Path(item.image_id)
        own = [item.image_id, str(name.with_suffix("")), name.stem, *([item.path.stem] if item.path else [])]
        stems = dict.fromkeys(own)
        tried = [self.root / f"{stem}{ending}" for stem in stems for ending in (".npy", ".npz")]
        for path in tried:
            if path.is_file():
                return path
        wanted = " or ".join(shown(path.name) for path in tried)
        raise UserError(f"image {shown(item.image_id)} has no features: {wanted} is missing")


class _Files:
    """One file an image."""

    def __init__(self, encoder: Precomputed, split: Split, paths: Sequence[Path]) -> None:
        self.split = split
        self._encoder = encoder
        self._paths = paths

    def features(self, rows: Sequence[int], *, grid: bool, device: torch.device) -> ImageFeatures:
        """Return the features of these rows; grids are padded with zeros to the longest."""
        del grid
        read = [self._encoder.read(self._paths[row]) for row in rows]
        counts = [len(one) for one, _ in read]
        padded = np.zeros((len(read), max(counts, default=1), self._encoder.grid_size), dtype=np.float32)
        for place, (one, _) in enumerate(read):
            padded[place, : len(one)] = one
        pooled = np.array([vector for _, vector in read], dtype=np.float32).reshape(-1, self._encoder.pooled_size)
        return ImageFeatures(
            pooled=torch.from_numpy(pooled).to(device),
            grid=torch.from_numpy(padded).to(device),
            regions=torch.tensor(counts, dtype=torch.long, device=device),
            rows=torch.tensor(list(rows), dtype=torch.long, device=device),
        )
