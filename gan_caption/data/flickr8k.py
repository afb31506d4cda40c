"""Flickr8k in its official layout (Hodosh, Young and Hockenmaier 2013)."""

from __future__ import annotations

from pathlib import Path

from gan_caption.data.annotations import read_names, read_tokens
from gan_caption.data.corpus import Split
from gan_caption.data.layout import (
    Listing,
    assemble,
    check_name,
    existing_file,
    existing_folder,
    existing_list,
    images_in,
)
from gan_caption.files import at_home

_LISTS = {
    "train": "Flickr_8k.trainImages.txt",
    "val": "Flickr_8k.devImages.txt",
    "test": "Flickr_8k.testImages.txt",
}
_LAYOUT = (
    "data.root is the folder that holds Flicker8k_Dataset/ (the images), Flickr8k.token.txt (the captions) and "
    f"{', '.join(_LISTS.values())} (the splits): unpack Flickr8k_Dataset.zip and Flickr8k_text.zip into one folder"
)


class Flickr8k:
    """8,000 photographs with five captions each; 6,000 / 1,000 / 1,000 of them in train, val ("dev") and test."""

    LOCATIONS = ("root",)

    def __init__(self, *, root: str | Path) -> None:
        """Say where the data lies.

        Args:
            root: the folder with `Flicker8k_Dataset/` (the official misspelling; `Flickr8k_Dataset/` will do),
                `Flickr8k.token.txt` and `Flickr_8k.{train,dev,test}Images.txt`; a split's list is needed once that
                split is asked for.
        """
        self.root = at_home(root)

    def split(self, name: str) -> Split:
        """Read a split; val is the official dev.

        Raises:
            UserError: the name is another one, or the split's files are missing or faulty.
        """
        check_name(name)
        images = existing_folder(self.root, ("Flicker8k_Dataset", "Flickr8k_Dataset"), _LAYOUT)
        tokens = existing_file(self.root / "Flickr8k.token.txt", _LAYOUT)
        existing_list(self.root / _LISTS[name], _LAYOUT)
        lists = {
            split: Listing(file, read_names(self.root / file))
            for split, file in _LISTS.items()
            if (self.root / file).is_file()
        }
        return assemble(
            name,
            lists=lists,
            captions=read_tokens(tokens),
            files=images_in(images),
            caption_source=tokens.name,
            image_source=f"{images.name}/",
        )
