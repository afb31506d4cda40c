"""Flickr30k (Young et al. 2014): its token file with split lists, Karpathy's JSON, or Kaggle's table."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from gan_caption.data.annotations import Captions, read_names, read_tokens
from gan_caption.data.corpus import Split
from gan_caption.data.kaggle import divided, read_comments
from gan_caption.data.karpathy import read_karpathy
from gan_caption.data.layout import (
    SPLITS,
    Listing,
    assemble,
    check_name,
    existing_file,
    existing_folder,
    existing_list,
    given_file,
    images_in,
    is_image,
)
from gan_caption.data.outlined import listed_in
from gan_caption.errors import UserError
from gan_caption.files import at_home

_KARPATHY = "dataset_flickr30k.json"
_TOKENS = "results_20130124.token"
_KAGGLE = ("results.csv", "captions.txt")
_FOLDERS = ("flickr30k-images", "flickr30k_images", "Images")
_LISTS = {split: f"{split}.txt" for split in SPLITS}
_LAYOUT = (
    f"data.root is the folder that holds flickr30k-images/ (the images) and either {_KARPATHY} (Karpathy's captions "
    f"and splits) or {_TOKENS} (the captions) with train.txt, val.txt and test.txt (the splits: one image a line). "
    f"Kaggle's {' or '.join(_KAGGLE)} beside flickr30k_images/ or Images/ will do, with the lists or without"
)


class Flickr30k:
    """31,783 photographs with five captions each."""

    LOCATIONS = ("root", "annotations")

    def __init__(self, *, root: str | Path, annotations: str | Path | None, skip_missing: bool) -> None:
        """Say where the data lies.

        Args:
            root: the folder with `flickr30k-images/` (`flickr30k_images/` will do) and the annotations.
            annotations: Karpathy's JSON (`*.json`), a token file (`*.token`) or Kaggle's table (`*.csv`, `*.txt`). The
                splits of the last two are those of `root`/{train,val,test}.txt; a table without any of these is divided
                by a hash of the images' names. None: `dataset_flickr30k.json`, `results_20130124.token`, `results.csv`
                or `captions.txt` in `root`, whichever is there.
            skip_missing: leave out listed images whose files are not there, and say how many, instead of stopping.
        """
        self.root = at_home(root)
        self.annotations = annotations
        self.skip_missing = skip_missing

    def split(self, name: str) -> Split:
        """Read a split.

        Raises:
            NoSplit: its list or all of its images are missing.
            UserError: the name is another one; the split's files are missing or faulty; there are both kinds of
                annotations and no word on which to take.
        """
        check_name(name)
        images = existing_folder(self.root, _FOLDERS, _LAYOUT)
        annotations = self._choose()
        lists, captions, notes = self._read(annotations)
        if name not in lists:
            existing_list(self.root / _LISTS[name], _LAYOUT)
        return assemble(
            name,
            lists=lists,
            captions=captions,
            files=images_in(images),
            caption_source=annotations.name,
            image_source=f"{images.name}/",
            skip_missing=self.skip_missing,
            outlined=partial(listed_in, self.root),
            notes=notes,
        )

    def _read(self, path: Path) -> tuple[dict[str, Listing], Captions, list[str]]:
        """Return splits, captions, and what is to be said of them."""
        if path.suffix == ".json":
            return *_read_karpathy(path), []
        lists = _read_lists(self.root)
        if path.suffix == ".token":
            return lists, read_tokens(path), []
        captions = read_comments(path)
        if lists:
            return lists, captions, []
        lists, note = divided(captions, path.name, ", ".join(_LISTS.values()))
        return lists, captions, [note]

    def _choose(self) -> Path:
        if self.annotations is not None:
            return given_file(self.annotations, self.root, "data.annotations")
        karpathy, tokens = self.root / _KARPATHY, self.root / _TOKENS
        if not karpathy.is_file():
            tables = (self.root / name for name in _KAGGLE)
            return next((one for one in (tokens, *tables) if one.is_file()), None) or existing_file(tokens, _LAYOUT)
        if tokens.is_file() and any((self.root / f"{split}.txt").is_file() for split in SPLITS):
            raise UserError(
                f"{self.root} holds both {_KARPATHY} and {_TOKENS} with lists, whose splits may differ: choose one, "
                f"data.annotations={_KARPATHY} or data.annotations={_TOKENS}"
            )
        return karpathy


def _read_karpathy(path: Path) -> tuple[dict[str, Listing], Captions]:
    images = read_karpathy(path)
    lists = {
        split: Listing(f"{path.name} ({split})", [image.name for image in images if image.split == split])
        for split in SPLITS
    }
    return lists, {image.name: image.captions for image in images}


def _read_lists(root: Path) -> dict[str, Listing]:
    """Return the splits whose lists are there."""
    files = {split: root / name for split, name in _LISTS.items()}
    return {
        split: Listing(file.name, [one if is_image(one) else f"{one}.jpg" for one in read_names(file)])
        for split, file in files.items()
        if file.is_file()
    }
