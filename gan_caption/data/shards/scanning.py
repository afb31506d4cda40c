"""One pass over a shard: where each sample's bytes lie, and what is said of it. Nothing is unpacked or decoded."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, BinaryIO

from gan_caption.data.annotations import relative_name
from gan_caption.data.layout import HEIC_SUFFIXES, IMAGE_SUFFIXES
from gan_caption.errors import UserError
from gan_caption.untrusted.parsing import parse_json, shown

ABOUT = "__about__/features.json"
"""A member that says which encoder the features of a shard come from; other readers pass over names like that."""
FEATURES = "npz"
"""The ending of features: `grid` (R, D) and `pooled` (P,)."""
_LONGEST_NAME = 4096
"""Characters; no file system has more in a path."""
_META = re.compile(r"__[^/]*__(/|$)")
_BLOCK = 512
_TOLD = ("json", "txt")
"""Endings of what is said of an image."""

Place = tuple[int, int]
"""Where a member's content begins in its shard, and its bytes."""


@dataclass(frozen=True)
class Found:
    """A sample."""

    image_id: str
    captions: tuple[str, ...]
    content: Place
    """Of the image or of the features."""


@dataclass
class Scan:
    """What a pass has found."""

    samples: list[Found] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    """Of each sample that is of no use, why; its shard and key are named."""
    size: int = 0
    """Bytes of the shard."""
    features: dict[str, str] | None = None
    """Of which encoder the features are: its "fingerprint" and "description"; None for images."""


def scan(file: BinaryIO, shard: str) -> Scan:
    """Go once over a shard.

    Args:
        file: the shard, open at its beginning.
        shard: its path or URL, for messages.

    Raises:
        UserError: it is no plain tar, cut short, or damaged between samples: what follows cannot be found.
    """
    from webdataset.tariterators import group_by_keys

    found = Scan(size=file.seek(0, 2))
    file.seek(0)
    members = _members(file, shard, found)
    seen: set[str] = set()
    try:
        for sample in group_by_keys(members):
            key = sample["__key__"]
            try:
                if key in seen:
                    raise UserError("an earlier sample has the same name")
                seen.add(key)
                found.samples.append(_sample(file, shard, key, sample, found.features is not None))
            except UserError as error:
                found.damaged.append(f"{shard}, sample {shown(key)}: {error}")
    except ValueError as error:
        raise UserError(
            f"{shard}: two members have one name ({shown(str(error.args[0]))}). Write the shard again"
        ) from error
    return found


def _members(file: BinaryIO, shard: str, found: Scan) -> Iterator[dict[str, Any]]:
    """Yield the regular members as webdataset's grouping wants them, the place of their content for the content."""
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            while (member := tar.next()) is not None:
                tar.members = []  # type: ignore[attr-defined]  # which would grow with the shard
                if not 0 <= member.size <= found.size or tar.offset <= member.offset:  # it would be read for ever
                    raise tarfile.TarError(f"a member of {member.size} bytes")
                if len(member.name) > _LONGEST_NAME:  # webdataset looks for the key in time by its square
                    raise tarfile.TarError(f"a member's name of {len(member.name)} characters")
                if member.name == ABOUT:
                    found.features = _about(_content(file, (member.offset_data, member.size)), shard)
                elif member.isreg() and not member.issparse() and not _META.match(member.name):
                    yield {"fname": member.name, "data": (member.offset_data, member.size), "__url__": shard}
            # An archive that ends without its mark was cut, or its next header is damaged; tarfile takes both for ends.
            end = _content(file, (tar.offset, _BLOCK))
    except (tarfile.TarError, EOFError, ValueError, OSError, MemoryError, RecursionError) as error:
        what = f"{shard} is no plain tar, or cut short ({str(error)[:300]})"
        raise UserError(f"{what}: unpack a compressed one, or fetch it again") from error
    if end != bytes(_BLOCK):
        what = "cut short" if len(end) < _BLOCK else "damaged"
        raise UserError(f"{shard} is {what} at byte {tar.offset}: fetch or write it again")


def _about(content: bytes, shard: str) -> dict[str, str]:
    told = _json(content)
    if not isinstance(told, dict) or not all(isinstance(told.get(key), str) for key in ("fingerprint", "description")):
        raise UserError(f"{shard}: {ABOUT} does not say which encoder the features are of. Write the shard again")
    return {key: told[key] for key in ("fingerprint", "description")}


def _sample(file: BinaryIO, shard: str, key: str, members: dict[str, Any], features: bool) -> Found:
    """Make a sample of its members."""
    endings = [FEATURES] if features else [suffix[1:] for suffix in sorted(IMAGE_SUFFIXES | HEIC_SUFFIXES)]
    contents = [members[ending] for ending in endings if ending in members]
    if len(contents) != 1:
        wanted = f"features (.{FEATURES})" if features else "an image (.jpg, .png ...)"
        dotted = "" if contents else _dotted(members, endings)
        raise UserError(f"{'no' if not contents else 'more than one'} member is {wanted}{dotted}")
    if any(f"{one.rpartition('.')[0]}.{ending}" in members for one in _longer(members, endings) for ending in _TOLD):
        raise UserError(f"another sample's members are among its own{_dotted(members, endings)}")
    told = _json(_content(file, members["json"])) if "json" in members else {}
    captions = told.get("captions") if isinstance(told, dict) else None
    if captions is None and "txt" in members:
        captions = [line for line in _text(_content(file, members["txt"])).split("\n") if line.strip()]
    if captions is None and isinstance(told, dict) and "caption" in told:
        captions = [told["caption"]]
    texts = captions if isinstance(captions, list) else []
    if not texts or not all(isinstance(one, str) and one.strip() for one in texts):
        raise UserError('it has no captions: wanted is a .json with "captions": ["...", "..."], or a .txt, one a line')
    name = told.get("image_id") if isinstance(told, dict) else None
    if isinstance(name, int) and not isinstance(name, bool):  # as COCO has them; 9 and "9" are one image elsewhere too
        name = str(name)
    image_id = relative_name(name if isinstance(name, str) else f"{PurePosixPath(shard).stem}/{key}", "its name")
    try:
        image_id.encode()
    except UnicodeEncodeError as error:
        raise UserError("its name is not UTF-8") from error
    return Found(image_id, tuple(one.strip() for one in texts), contents[0])


def _dotted(members: dict[str, Any], endings: list[str]) -> str:
    """Say that a dot in a member's name is why its ending was not seen, if it is."""
    if not (longer := _longer(members, endings)):
        return ""
    return (
        f": the first dot of a name ends the sample's key, so that .{longer[0]} is taken for the ending. Write the "
        "shard again with names that have no other dot (img.v2.jpg as img_v2.jpg), or rename its members"
    )


def _longer(members: dict[str, Any], endings: list[str]) -> list[str]:
    """Return what stands after the first dot of a name where that is more than one of these endings."""
    return sorted(one for one in members if "." in one and one.rpartition(".")[2] in endings)


def _content(file: BinaryIO, place: Place) -> bytes:
    file.seek(place[0])
    return file.read(place[1])


def _json(content: bytes) -> Any:
    try:
        return parse_json(content)
    except ValueError as error:
        raise UserError(f"its .json is none ({str(error)[:300]})") from error


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"its text is not UTF-8 (byte 0x{content[error.start]:02x})") from error
