"""Reading annotation files: every fault is reported with the file's name, its line, and what to do."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from gan_caption.errors import UserError
from gan_caption.untrusted.parsing import parse_json, shown

Captions = dict[str, tuple[str, ...]]
"""Raw captions by image, images and captions in the order of the file."""
_COMPRESSED = (b"PK\x03\x04", b"\x1f\x8b")
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_text(path: Path) -> str:
    """Return a text file's content, without its byte order mark.

    Raises:
        UserError: the file cannot be opened, is compressed, or is not UTF-8; then the message gives the line.
    """
    return _text_in(read_bytes(path), path)


def _text_in(data: bytes, path: Path) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _not_utf8(path, data, error.start) from error


def lines_of(text: str) -> list[str]:
    """Return the lines of a text; only line feeds end them, or else carriage returns, as old Macintoshes wrote."""
    return text.split("\n" if "\n" in text or "\r" not in text else "\r")


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of a text file that are not blank with their numbers, from 1.

    Only line feeds end a line, as in an editor's count, or else carriage returns (see `lines_of`): a caption may hold
    other separators (U+2028 and the like).

    Raises:
        UserError: as `read_text`.
    """
    return lines_in(read_bytes(path), path)


def lines_in(data: bytes, path: Path) -> Iterator[tuple[int, str]]:
    """Yield the same of a file's content."""
    for number, line in enumerate(lines_of(_text_in(data, path)), 1):
        if line.strip():
            yield number, line.removesuffix("\r")


def read_json(path: Path) -> Any:
    """Return the content of a JSON file.

    Raises:
        UserError: the file cannot be opened, is compressed, ends too early, or is no JSON.
    """
    return json_in(read_bytes(path), path)


def json_in(data: bytes, path: Path) -> Any:
    """Return the same of a file's content."""
    try:  # not final: a file cut inside a character is an incomplete file, not one of another encoding
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(data, final=False).rstrip()
    except UnicodeDecodeError as error:
        raise _not_utf8(path, data, error.start) from error
    try:
        return parse_json(text)
    except json.JSONDecodeError as error:
        cut = error.pos >= len(text) or error.msg.startswith("Unterminated") or text[-1] not in "]}"
        if cut and text[:1] in ("", "{", "["):
            raise UserError(
                f"{path} is incomplete: its JSON breaks off after {len(data)} bytes. Download it again"
            ) from error
        line = text.split("\n")[error.lineno - 1]
        start = max(0, error.colno - 20)
        raise UserError(
            f"{path}, line {error.lineno}, column {error.colno}: no JSON ({error.msg}): "
            f"{beginning(line[start:])}. Download it again"
        ) from error


def read_names(path: Path) -> list[str]:
    """Return the image names that a list file gives, one a line.

    Raises:
        UserError: as `read_text`; a name comes twice or leads out of the images' folder.
    """
    lines: dict[str, int] = {}
    for number, line in numbered_lines(path):
        name = relative_name(line.strip(), f"{path}, line {number}")
        if name in lines:
            raise UserError(
                f"{path}, line {number}: {shown(name)} is listed twice, on line {lines[name]} already. Remove one of "
                "the lines"
            )
        lines[name] = number
    return list(lines)


def read_tokens(path: Path) -> Captions:
    """Return the captions of a token file of Flickr8k or Flickr30k, with lines `name#i<TAB>caption`.

    Raises:
        UserError: as `read_text`; a line has another form, an empty caption or a number that came already.
    """
    captions: dict[str, dict[int, str]] = {}
    for number, line in numbered_lines(path):
        key, tab, caption = line.partition("\t")
        name, _, index = key.rpartition("#")
        if not tab:
            raise bad_line(path, number, line, "no tab; wanted is name#number<TAB>caption")
        if not name or not index.isdecimal() or len(index) > 9:
            raise bad_line(path, number, line, "no #number before the tab; wanted is name#number<TAB>caption")
        if not caption.strip():
            raise empty_caption(f"{path}, line {number}", name)
        own = captions.setdefault(relative_name(name, f"{path}, line {number}"), {})
        if int(index) in own:
            raise bad_line(path, number, line, f"{shown(name)} has a caption #{int(index)} already")
        own[int(index)] = caption.strip()
    return {name: tuple(own.values()) for name, own in captions.items()}


def relative_name(name: str, where: str) -> str:
    """Return an image's name with forward slashes, if it stays inside its folder.

    Raises:
        UserError: the name is empty, absolute, or climbs with "..".
    """
    posix = name.replace("\\", "/")
    parts = PurePosixPath(posix).parts
    if not parts or ".." in parts or posix.startswith("/") or PureWindowsPath(name).drive or "\0" in name:
        raise UserError(
            f"{where}: the image name {beginning(name)} is refused: names are relative to the folder of images, "
            "without '..'"
        )
    return "/".join(parts)


def has(entry: Any, **fields: type) -> bool:
    """Tell whether an entry of JSON has these fields, of these types."""
    return isinstance(entry, dict) and all(isinstance(entry.get(key), kind) for key, kind in fields.items())


def bad_line(path: Path, number: int, line: str, why: str) -> UserError:
    """Return the error for a faulty line."""
    return UserError(f"{path}, line {number}: {why}. The line begins {beginning(line)}. Correct or remove it")


def empty_caption(where: str, image: str) -> UserError:
    """Return the error for a caption without a word."""
    return UserError(f"{where}: the caption of {shown(image)} is empty. Write one, or remove the entry")


def beginning(line: str) -> str:
    """Return the first characters of a line, quoted."""
    return repr(line if len(line) <= 60 else f"{line[:60]}...")


def read_bytes(path: Path) -> bytes:
    """Return the content of a file that should hold text.

    Raises:
        UserError: the file cannot be opened, is compressed, or holds what text does not.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise UserError(f"{path}: there is no such file") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    if data.startswith(_COMPRESSED):
        raise UserError(f"{path} is compressed: unpack it")
    if (position := data.find(b"\0")) >= 0 and not data.startswith(_UTF16):
        number = data.count(b"\n", 0, position) + 1
        raise UserError(
            f"{path}, line {number}: a zero byte, which text does not have. Download the file again, or if it is "
            f"UTF-16 save it as UTF-8, e.g. {_converted(path, 'UTF-16LE')}"
        )
    return data


def _not_utf8(path: Path, data: bytes, position: int) -> UserError:
    start = data.rfind(b"\n", 0, position) + 1
    number = data.count(b"\n", 0, position) + 1
    line = data[start : start + 60].split(b"\n")[0].decode("utf-8", "replace")
    encoding = "UTF-16" if data.startswith(_UTF16) else "LATIN1"
    return UserError(
        f"{path}, line {number}: not UTF-8 (byte 0x{data[position]:02x}); the line begins {line!r}. "
        f"Save the file as UTF-8, e.g. {_converted(path, encoding)}"
    )


def _converted(path: Path, encoding: str) -> str:
    return f"iconv -f {encoding} -t UTF-8 {path.name} > new && mv new {path.name}"
