"""The images that a run left out because they could not be read: taken up, it must leave out the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from gan_caption.data.corpus import Split
from gan_caption.errors import UserError
from gan_caption.training.folders import has_learned, inside, read_json, write_json
from gan_caption.untrusted.parsing import briefly

UNREADABLE = "unreadable.json"
"""In a run's folder: the names of these images, by split. Runs of earlier versions lack it."""


def left_out(split: Split, kept: Split) -> list[str]:
    """Return the names of the images of a split that were not kept."""
    if len(kept) == len(split):
        return []
    names = {item.image_id for item in kept.items}
    return [item.image_id for item in split.items if item.image_id not in names]


def keep_left_out(folder: Path, lost: Mapping[str, Sequence[str]]) -> None:
    """Note in a run's folder which images are left out.

    Args:
        folder: of the run.
        lost: names of images, by split.

    Raises:
        UserError: the run has learned without others, so that its batches were others.
    """
    path = inside(folder, UNREADABLE)
    if not has_learned(folder):
        write_json(path, dict(lost))
        return
    known = read_json(path) if path.exists() else lost
    for name, own in lost.items():
        if (before := known.get(name)) != list(own):
            raise UserError(
                f"{folder}: of {name}, this run has learned without {briefly(before)}, and now {briefly(list(own))} "
                "cannot be read: mend the images that have become unreadable, put empty files in the place of those "
                "that were not readable then, or start a new run, resume=null"
            )
