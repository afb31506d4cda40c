"""Flickr8k (Hodosh, Young and Hockenmaier 2013) in its official layout, as Kaggle has it, or with Chinese captions."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from gan_caption.data.annotations import Captions, read_names, read_tokens
from gan_caption.data.corpus import Split
from gan_caption.data.flickr8k_cn import captions_file, read_captions, read_lists
from gan_caption.data.kaggle import divided, read_pairs
from gan_caption.data.layout import (
    Listing,
    assemble,
    check_name,
    existing_file,
    existing_folder,
    existing_list,
    images_in,
)
from gan_caption.data.outlined import listed_in
from gan_caption.files import at_home

_LISTS = {
    "train": "Flickr_8k.trainImages.txt",
    "val": "Flickr_8k.devImages.txt",
    "test": "Flickr_8k.testImages.txt",
}
_TOKENS = "Flickr8k.token.txt"
_KAGGLE = "captions.txt"
_LAYOUT = (
    "data.root is the folder that holds Flicker8k_Dataset/ (the images), Flickr8k.token.txt (the captions) and "
    f"{', '.join(_LISTS.values())} (the splits): unpack Flickr8k_Dataset.zip and Flickr8k_text.zip into one folder. "
    f"Kaggle's Images/ and {_KAGGLE} will do, with the lists or without; so will a file of Flickr8k-CN's captions, "
    "flickr8kzhc.caption.txt, with its lists or the official ones"
)


class Flickr8k:
    """8,000 photographs with five captions each; 6,000 / 1,000 / 1,000 of them in train, val ("dev") and test."""

    LOCATIONS = ("root",)

    def __init__(self, *, root: str | Path, skip_missing: bool) -> None:
        """Say where the data lies.

        Args:
            root: the folder with `Flicker8k_Dataset/` (the official misspelling; `Flickr8k_Dataset/` will do),
                `Flickr8k.token.txt` and `Flickr_8k.{train,dev,test}Images.txt`; a split's list is needed once that
                split is asked for. Or Kaggle's, with `Images/` and `captions.txt`, which is divided by a hash of the
                images' names where no list is beside it. Or, in place of `Flickr8k.token.txt`, one file of
                Flickr8k-CN's captions; see `flickr8k_cn`.
            skip_missing: leave out listed images whose files are not there, and say how many, instead of stopping.
        """
        self.root = at_home(root)
        self.skip_missing = skip_missing

    def split(self, name: str) -> Split:
        """Read a split; val is the official dev.

        Raises:
            NoSplit: its list or all of its images are missing.
            UserError: the name is another one, or the split's files are missing or faulty.
        """
        check_name(name)
        images = existing_folder(self.root, ("Flicker8k_Dataset", "Flickr8k_Dataset", "Images"), _LAYOUT)
        path, captions = self._captions()
        lists, notes = self._lists() or read_lists(self.root), []
        if path.name == _KAGGLE and not lists:
            lists, note = divided(captions, path.name, ", ".join(_LISTS.values()))
            notes = [note]
        if name not in lists:
            existing_list(self.root / _LISTS[name], _LAYOUT)
        return assemble(
            name,
            lists=lists,
            captions=captions,
            files=images_in(images),
            caption_source=path.name,
            image_source=f"{images.name}/",
            skip_missing=self.skip_missing,
            outlined=partial(listed_in, self.root),
            notes=notes,
        )

    def _captions(self) -> tuple[Path, Captions]:
        """Return the captions and their file: the official one where there are several."""
        tokens, kaggle = self.root / _TOKENS, self.root / _KAGGLE
        if not tokens.is_file():
            if kaggle.is_file():
                return kaggle, read_pairs(kaggle)
            if chinese := captions_file(self.root):
                return chinese, read_captions(chinese)
        return existing_file(tokens, _LAYOUT), read_tokens(tokens)

    def _lists(self) -> dict[str, Listing]:
        """Return the official splits that are there."""
        files = {split: self.root / file for split, file in _LISTS.items()}
        return {split: Listing(file.name, read_names(file)) for split, file in files.items() if file.is_file()}
