"""The files of Flickr8k-CN (Li et al. 2016, Adding Chinese Captions to Images): Chinese captions of Flickr8k's images.

`flickr8kzhc.caption.txt` (written by people), `...zhb...` and `...zhg...` (translated by programs) and
`flickr8kzhmtest.captions.txt` (translated by people) have lines `name.jpg#zhc#0 caption`; the lists
`flickr8k{train,val,test}.txt` name images without their ending.
"""

from __future__ import annotations

import re
from pathlib import Path

from gan_caption.data.annotations import Captions, bad_line, empty_caption, numbered_lines, read_names, relative_name
from gan_caption.data.layout import SPLITS, Listing
from gan_caption.errors import UserError
from gan_caption.untrusted.parsing import shown

_FORM = "wanted is name#language#number, a space, and the caption"


def captions_file(root: Path) -> Path | None:
    """Return the file of captions in a folder; None where there is none.

    Raises:
        UserError: there are several, in other words or languages.
    """
    found = sorted(path for path in root.glob("flickr8k*.caption*.txt") if path.is_file())
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise UserError(f"{root} holds several captions of each image ({names}): leave the one that is meant")
    return found[0] if found else None


def read_captions(path: Path) -> Captions:
    """Return the captions of a file.

    Raises:
        UserError: as `annotations.read_text`; a line has another form, an empty caption or a number that came already.
    """
    captions: dict[str, dict[str, str]] = {}
    for number, line in numbered_lines(path):
        parts = re.fullmatch(r"(\S.*?)#([^\s#]+#\d{1,9})(?:\s+(.*))?", line.rstrip())
        if parts is None:
            raise bad_line(path, number, line, _FORM)
        name = relative_name(parts[1], f"{path}, line {number}")
        if not parts[3]:
            raise empty_caption(f"{path}, line {number}", name)
        own = captions.setdefault(name, {})
        if parts[2] in own:
            raise bad_line(path, number, line, f"{shown(name)} has a caption #{parts[2]} already")
        own[parts[2]] = parts[3]
    return {name: tuple(own.values()) for name, own in captions.items()}


def read_lists(root: Path) -> dict[str, Listing]:
    """Return the splits whose lists are in a folder; they name the images without `.jpg`.

    Raises:
        UserError: as `annotations.read_names`.
    """
    files = {split: root / f"flickr8k{split}.txt" for split in SPLITS}
    return {
        split: Listing(path.name, [f"{name}.jpg" for name in read_names(path)])
        for split, path in files.items()
        if path.is_file()
    }
