"""Flickr30k (Young et al. 2014): its token file with split lists, or Karpathy's JSON."""

from __future__ import annotations

from pathlib import Path

from gan_caption.data.annotations import Captions, read_names, read_tokens
from gan_caption.data.corpus import Split
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
from gan_caption.errors import UserError
from gan_caption.files import at_home

_KARPATHY = "dataset_flickr30k.json"
_TOKENS = "results_20130124.token"
_LAYOUT = (
    f"data.root is the folder that holds flickr30k-images/ (the images) and either {_KARPATHY} (Karpathy's captions "
    f"and splits) or {_TOKENS} (the captions) with train.txt, val.txt and test.txt (the splits: one image a line)"
)


class Flickr30k:
    """31,783 photographs with five captions each."""

    LOCATIONS = ("root", "annotations")

    def __init__(self, *, root: str | Path, annotations: str | Path | None) -> None:
        """Say where the data lies.

        Args:
            root: the folder with `flickr30k-images/` (`flickr30k_images/` will do) and the annotations.
            annotations: Karpathy's JSON (`*.json`), or a token file, whose splits are then those of
                `root`/{train,val,test}.txt. None: `dataset_flickr30k.json` or `results_20130124.token` in `root`,
                whichever is there.
        """
        self.root = at_home(root)
        self.annotations = annotations

    def split(self, name: str) -> Split:
        """Read a split.

        Raises:
            UserError: the name is another one; the split's files are missing or faulty; there are both kinds of
                annotations and no word on which to take.
        """
        check_name(name)
        images = existing_folder(self.root, ("flickr30k-images", "flickr30k_images"), _LAYOUT)
        annotations = self._choose()
        read = _read_karpathy if annotations.suffix == ".json" else _read_lists
        lists, captions = read(annotations, self.root)
        if name not in lists:
            existing_list(self.root / f"{name}.txt", _LAYOUT)
        return assemble(
            name,
            lists=lists,
            captions=captions,
            files=images_in(images),
            caption_source=annotations.name,
            image_source=f"{images.name}/",
        )

    def _choose(self) -> Path:
        if self.annotations is not None:
            return given_file(self.annotations, self.root, "data.annotations")
        karpathy, tokens = self.root / _KARPATHY, self.root / _TOKENS
        if not karpathy.is_file():
            return existing_file(tokens, _LAYOUT)
        if tokens.is_file() and any((self.root / f"{split}.txt").is_file() for split in SPLITS):
            raise UserError(
                f"{self.root} holds both {_KARPATHY} and {_TOKENS} with lists, whose splits may differ: choose one, "
                f"data.annotations={_KARPATHY} or data.annotations={_TOKENS}"
            )
        return karpathy


def _read_karpathy(path: Path, root: Path) -> tuple[dict[str, Listing], Captions]:
    del root
    images = read_karpathy(path)
    lists = {
        split: Listing(f"{path.name} ({split})", [image.name for image in images if image.split == split])
        for split in SPLITS
    }
    return lists, {image.name: image.captions for image in images}


def _read_lists(path: Path, root: Path) -> tuple[dict[str, Listing], Captions]:
    files = {split: root / f"{split}.txt" for split in SPLITS}
    lists = {
        split: Listing(file.name, [one if is_image(one) else f"{one}.jpg" for one in read_names(file)])
        for split, file in files.items()
        if file.is_file()
    }
    return lists, read_tokens(path)
