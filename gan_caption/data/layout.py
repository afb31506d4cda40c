"""What the readers of photographs share: from lists, captions and files to a checked split."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gan_caption.data.corpus import CaptionedImage, CaptionedImages, NoSplit, Split
from gan_caption.data.images import reads_heic
from gan_caption.distributed.world import say
from gan_caption.errors import UserError
from gan_caption.files import at_home
from gan_caption.metrics.chair import Outlined
from gan_caption.untrusted.parsing import shown, some

SPLITS = ("train", "val", "test")
IMAGE_SUFFIXES = frozenset({
    ".apng", ".avif", ".avifs", ".bmp", ".gif", ".j2c", ".j2k", ".jfif", ".jp2", ".jpc", ".jpe", ".jpeg", ".jpf",
    ".jpg", ".jpx", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp",
})  # fmt: skip
"""Endings of names in the formats that `images` reads."""
HEIC_SUFFIXES = frozenset({".heic", ".heif"})
"""Of photographs of telephones; read where pillow-heif is installed."""


@dataclass(frozen=True)
class Listing:
    """Which images a split has, and who says so."""

    source: str
    """For messages: the list file's name, say."""
    names: Sequence[str]


def check_name(split: str) -> None:
    """Refuse the name of a split that no corpus has.

    Raises:
        UserError: it is none of train, val and test.
    """
    if split not in SPLITS:
        raise UserError(f"split={split} is not known: allowed are {', '.join(SPLITS)}")


def existing_folder(root: Path, names: Sequence[str], layout: str) -> Path:
    """Return the first of these folders of `root` that is there; with no name, `root` itself.

    Raises:
        UserError: there is none; the message tells the layout that is wanted.
    """
    # `Path.is_dir` raises where a folder above may not be searched, or a name is too long.
    if not os.path.isdir(root):
        raise UserError(f"data.root={root}: there is no such folder. {layout}")
    for name in names:
        if os.path.isdir(root / name):
            return root / name
    if names:
        raise UserError(f"{root / names[0]}: there is no such folder. {layout}")
    return root


def existing_file(path: Path, layout: str) -> Path:
    """Return the path, if a file is there.

    Raises:
        UserError: there is none; the message tells the layout that is wanted.
    """
    if not os.path.isfile(path):
        raise UserError(f"{path}: there is no such file. {layout}")
    return path


def existing_list(path: Path, layout: str) -> Path:
    """Return the path of a split's list, if it is there.

    Raises:
        NoSplit: it is not; the message tells the layout that is wanted.
    """
    try:
        return existing_file(path, layout)
    except UserError as error:
        raise NoSplit(str(error)) from error


def given_file(given: str | Path, root: Path, key: str) -> Path:
    """Return the file that a setting names: from the working folder, or inside `root`.

    Raises:
        UserError: it is in neither.
    """
    for path in (at_home(given), root / given):
        if os.path.isfile(path):
            return path
    raise UserError(f"{key}={given}: there is no such file, neither {Path(given).absolute()} nor {root / given}")


def images_in(folder: Path) -> dict[str, Path]:
    """Return the image files of a folder by their names, sorted; what lies in folders inside is not looked at.

    Raises:
        UserError: the folder may not be read.
    """
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError as error:
        raise UserError(f"{folder} cannot be looked through: {error.strerror}") from error
    return {name: folder / name for name in names if is_image(name)}


def names_below(root: Path) -> list[str]:
    """Return all files below a folder by their paths from it, sorted; none hidden, none behind links to folders.

    A folder inside that may not be read is told, and left out.
    """

    def tell(error: OSError) -> None:
        say(f"{shown(str(error.filename))} cannot be looked through, and is left out: {error.strerror}")

    names = []
    for home, folders, files in os.walk(root, onerror=tell):
        folders[:] = [folder for folder in folders if not folder.startswith(".")]
        names += [Path(home, file).relative_to(root).as_posix() for file in files if not file.startswith(".")]
    return sorted(names)


def images_among(names: Iterable[str], root: Path) -> dict[str, Path]:
    """Return the image files among those of `names_below(root)` by their names; see `is_image`."""
    return {name: root / name for name in names if is_image(name)}


def is_image(name: str) -> bool:
    """Whether a file is an image that can be read, by its ending; hidden files are none."""
    suffix = Path(name).suffix.lower()
    known = suffix in IMAGE_SUFFIXES or (suffix in HEIC_SUFFIXES and reads_heic())
    return known and not Path(name).name.startswith(".")


def unread_heic(names: Iterable[str]) -> list[str]:
    """Return the sentence that says how many of these files would be images if pillow-heif were installed, if any."""
    count = sum(Path(name).suffix.lower() in HEIC_SUFFIXES and not Path(name).name.startswith(".") for name in names)
    if not count or reads_heic():
        return []
    return [
        f"{counted(count, '.heic file')} {'is' if count == 1 else 'are'} left out: pip install 'gan_caption[heic]' "
        f"reads {'it' if count == 1 else 'them'}"
    ]


def assemble(
    name: str,
    *,
    lists: Mapping[str, Listing],
    captions: Mapping[str, Sequence[str]],
    files: Mapping[str, Path],
    caption_source: str,
    image_source: str,
    skip_missing: bool,
    notes: Sequence[str] = (),
    outlined: Callable[[Sequence[str]], Outlined | None] = lambda images: None,
) -> Split:
    """Join images and captions to a split, in the order of its list.

    Args:
        name: of the split; a key of `lists`.
        lists: every split that is known.
        captions: by image.
        files: the image files that are there, by image.
        caption_source: for messages: where the captions come from.
        image_source: for messages: where the image files lie.
        skip_missing: leave out the listed images that have no file, and say how many, instead of stopping.
        notes: what else is to be said of the split.
        outlined: what objects its images have, by their names; None where nobody knows.

    Raises:
        NoSplit: the list is empty, or none of its images has a file.
        UserError: an image is listed twice, also in two splits; a listed image has no file, or none a caption.
    """
    _refuse_leaks(lists)
    listing = lists[name]
    if not listing.names:
        raise NoSplit(f"{listing.source} lists no image: the split {name} would be empty")
    missing = [image for image in listing.names if image not in files]
    if missing:
        lacking = _lacking(missing, listing, image_source)
        hint = "".join(f". {sentence}" for sentence in unread_heic(missing))
        if len(missing) == len(listing.names):
            raise NoSplit(f"{lacking}{hint}. Unpack the images of {name}, or check data.root")
        if not skip_missing:
            raise UserError(
                f"{lacking}{hint}. Unpack the images again, take the names off the list, or leave them out with "
                "skip_missing=true"
            )
        notes = (*notes, f"{lacking}, left out")
        listing = Listing(listing.source, [image for image in listing.names if image in files])
    items = CaptionedImages(
        CaptionedImage(image, tuple(captions[image]), files[image]) for image in listing.names if captions.get(image)
    )
    if not items:
        raise UserError(
            f"no image of {listing.source} has a caption in {caption_source}: do these two belong together?"
        )

    notes = (*notes, *_notes(listing, lists, captions, files, caption_source, image_source))
    return Split(name, items, notes, outlined([item.image_id for item in items]))


def _lacking(missing: Sequence[str], listing: Listing, image_source: str) -> str:
    are = "is" if len(missing) == 1 else "are"
    return (
        f"{len(missing)} of {counted(len(listing.names), 'image')} of {listing.source} {are} not in {image_source}: "
        f"{some(missing, 10)}"
    )


def _notes(
    listing: Listing,
    lists: Mapping[str, Listing],
    captions: Mapping[str, Sequence[str]],
    files: Mapping[str, Path],
    caption_source: str,
    image_source: str,
) -> Iterator[str]:
    """Say what there is and no split uses, and which listed images go unused."""
    bare = [image for image in listing.names if not captions.get(image)]
    if bare:
        yield f"{counted(len(bare), 'image')} of {listing.source} without captions in {caption_source}: {some(bare)}"
    twice = {image: len(own) - len({*own}) for image in listing.names if (own := captions.get(image, ()))}
    if doubled := [image for image, count in twice.items() if count]:
        yield (
            f"{counted(sum(twice.values()), 'caption')} in {caption_source} that their image has already, word for "
            f"word: {some(doubled)}"
        )
    listed = {image for one in lists.values() for image in one.names}
    unlisted = [image for image in files if image not in listed]
    spare = [image for image in unlisted if captions.get(image)]
    if spare:
        count = counted(sum(len(captions[image]) for image in spare), "caption")
        yield (
            f"{counted(len(spare), 'image')} in {image_source}, with {count} in {caption_source}, "
            f"{_belong(spare)} to no split: {some(spare)}"
        )
    bare = [image for image in unlisted if not captions.get(image)]
    if bare:
        yield (
            f"{counted(len(bare), 'image')} in {image_source} {_belong(bare)} to no split, without captions in "
            f"{caption_source}: {some(bare)}"
        )
    strays = [image for image in captions if image not in listed and image not in files and captions[image]]
    if strays:
        count = counted(sum(len(captions[image]) for image in strays), "caption")
        yield (
            f"{count} in {caption_source} of {counted(len(strays), 'image')} not in {image_source}, in no split: "
            f"{some(strays)}"
        )


def _belong(images: Sequence[str]) -> str:
    return "belongs" if len(images) == 1 else "belong"


def counted(count: int, noun: str) -> str:
    """Return "1 image" or "2 images"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _refuse_leaks(lists: Mapping[str, Listing]) -> None:
    home: dict[str, str] = {}
    for split, listing in lists.items():
        twice: dict[str, list[str]] = {}
        for image in listing.names:
            if image in home:
                twice.setdefault(home[image], []).append(image)
            home[image] = split
        for other, images in twice.items():
            if other == split:
                raise UserError(f"{listing.source} lists {counted(len(images), 'image')} twice: {some(images, 10)}")
            raise UserError(
                f"{counted(len(images), 'image')} in both {lists[other].source} and {listing.source}: "
                f"{some(images, 10)}. What is measured on a split is worth nothing if another holds its images: "
                "remove them from one of the two"
            )
