"""Which objects images have, by outlines or by a list of one's own: what a caption names beside them is not there.

`objects.json` in the data's folder lists them by image, {"dog.jpg": ["dog", "frisbee"]}, from a detector, say. COCO
has them outlined, in `annotations/instances_*.json`. The names are those of COCO's 80 categories or other names of
theirs in `metrics/coco_objects.txt`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gan_caption.data.annotations import has, read_json
from gan_caption.errors import UserError
from gan_caption.metrics.chair import Outlined
from gan_caption.metrics.coco_objects import categories, objects
from gan_caption.untrusted.parsing import some

LIST = "objects.json"


def listed_in(root: Path, images: Iterable[str]) -> Outlined | None:
    """Return the objects of images by the list in a folder; None where there is none.

    Raises:
        UserError: the list is faulty, or lacks an image.
    """
    path = root / LIST
    if not path.is_file():
        return None
    listed = read_list(path)
    check_complete(listed, images, path)
    return lambda: listed


def read_list(path: Path) -> dict[str, set[str]]:
    """Return the categories of the objects of each image.

    Raises:
        UserError: it is no list of names by image, or a name is none of COCO's.
    """
    return _listed(read_json(path), path)


def _listed(content: Any, path: Path) -> dict[str, set[str]]:
    """Return what a list holds; see `read_list`."""
    if not isinstance(content, dict) or not all(
        isinstance(own, list) and all(isinstance(name, str) for name in own) for own in content.values()
    ):
        raise UserError(f'{path}: wanted is {{"image": ["dog", ...], ...}}: of each image the names of its objects')
    category = _categories((name for own in content.values() for name in own), path)
    return {image: {category[name] for name in own} for image, own in content.items()}


def _categories(names: Iterable[str], path: Path) -> dict[str, str]:
    """Return of each name COCO's category.

    Raises:
        UserError: one is none of its names.
    """
    found = {name: objects(name.lower()) for name in names}
    if unknown := sorted(name for name, own in found.items() if len(own) != 1):
        raise UserError(
            f"{path}: {some(unknown, 5)}: no object of COCO's; leave other objects out. Known are "
            f"{', '.join(categories())}, and more names of these"
        )
    return {name: own[0] for name, own in found.items()}


def read_outlined(path: Path) -> dict[str, set[str]]:
    """Return the categories of the objects of each image, of a list or of COCO's instances, by the images' numbers.

    Raises:
        UserError: it is neither.
    """
    content = read_json(path)
    outlines = isinstance(content, dict) and "annotations" in content
    return _instances(content, path, None) if outlines else _listed(content, path)


def check_complete(listed: Mapping[str, set[str]], images: Iterable[str], path: Path | str) -> None:
    """Refuse a list that lacks images: nobody knows what is on them.

    Raises:
        UserError: it does.
    """
    if missing := [image for image in images if image not in listed]:
        raise UserError(f"{path} lacks {len(missing)} images: {some(missing, 3)}; an image without objects has []")


@functools.lru_cache(maxsize=4)
def read_instances(paths: tuple[Path, ...], name: Callable[[str], str] | None) -> dict[str, set[str]]:
    """Return the categories of the objects that COCO has outlined on each image.

    Args:
        paths: of `instances_*.json` files; reading those of 2014 takes half a minute.
        name: what an image is called, by its file's name; None: by its number.

    Raises:
        UserError: one is faulty.
    """
    found: dict[str, set[str]] = {}
    for path in paths:
        for image, own in _instances(read_json(path), path, name).items():
            found.setdefault(image, set()).update(own)
    return found


def complete_instances(
    paths: tuple[Path, ...], name: Callable[[str], str], images: Sequence[str]
) -> dict[str, set[str]]:
    """Return the same, where all images of a split are among them.

    Raises:
        UserError: as `read_instances`; one of the images is in no file.
    """
    found = read_instances(paths, name)
    check_complete(found, images, " and ".join(path.name for path in paths))
    return found


def _instances(content: Any, path: Path, name: Callable[[str], str] | None) -> dict[str, set[str]]:
    """Return what one file of instances holds; see `read_instances`."""
    fields: dict[str, dict[str, type]] = {
        "images": {"id": int, "file_name": str} if name else {"id": int}, "categories": {"id": int, "name": str},
        "annotations": {"image_id": int, "category_id": int},
    }  # fmt: skip
    if not has(content, **dict.fromkeys(fields, list)):
        raise UserError(f"{path} is no file of instances: it lacks a list of images, annotations or categories")
    for part, wanted in fields.items():
        for index, entry in enumerate(content[part]):
            if not has(entry, **wanted):
                needed = " and ".join(wanted)
                raise UserError(f"{path}, {part}[{index}]: wanted is an entry with {needed}; ids are numbers")
    names = {one["id"]: one["name"] for one in content["categories"]}
    outlined = {(one["image_id"], one["category_id"]) for one in content["annotations"]}
    if unknown := {kind for _, kind in outlined} - names.keys():
        raise UserError(f"{path}: no category has the id {min(unknown)}, which annotations name: download it again")
    category = _categories((names[kind] for _, kind in outlined), path)
    found: dict[int, set[str]] = {image["id"]: set() for image in content["images"]}
    for image, kind in outlined:
        if image in found:
            found[image].add(category[names[kind]])
    return {name(one["file_name"]) if name else str(one["id"]): found[one["id"]] for one in content["images"]}
