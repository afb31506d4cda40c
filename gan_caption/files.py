"""Paths as people write them, and saving so that no crash, kill or full disk ever costs a saved file."""

from __future__ import annotations

import errno
import os
import shutil
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO

from gan_caption.errors import UserError

_ADVICE = {
    errno.ENOSPC: "Free some space on that disk and start again",
    errno.EDQUOT: "Your quota on that disk is used up: delete files there and start again",
    errno.EFBIG: "Raise the limit on the size of a file (`ulimit -f`) and start again",
    errno.EROFS: "That disk is read-only: choose another folder",
    errno.EACCES: "Choose a folder that you may write to",
    errno.EPERM: "Choose a folder that you may write to",
    errno.ENOTDIR: "Choose another folder: a part of this path is a file",
    errno.EEXIST: "Choose another folder: a part of this path is a file",
    errno.EISDIR: "Choose another name: a folder has this one",
    errno.ENAMETOOLONG: "Choose a shorter name",
    errno.EIO: "Check the disk",
    errno.ENOTEMPTY: "Choose another folder, or remove what has come to be there",
    errno.EBUSY: "Choose another name: something is mounted there, or uses it",
}


_AT_ONCE = 1 << 30
"""Bytes; systems read no more than two gigabytes at once."""


def at_home(path: str | Path) -> Path:
    """Return a path whose `~` is the user's home; one that begins with the name of no user stays as it is."""
    return Path(os.path.expanduser(path))


def check_folder(path: Path, asked: str) -> None:
    """Look, before hours of work, whether a folder can be written to, or made where it is not there yet.

    Args:
        path: of the folder.
        asked: the setting that named it, or what it is in, and its value.

    Raises:
        UserError: it cannot.
    """
    # `Path.exists` raises where a folder above may not be searched, or a name is too long.
    there = next((one for one in (path, *path.absolute().parents) if os.path.exists(one)), None)
    if there is None:
        raise UserError(f"{asked}: there is no {path.anchor}: choose another folder")
    if not there.is_dir():
        raise UserError(f"{asked}: {there} is a file, and no folder: choose another one")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"{asked}: you may not write to {there}: choose another folder")


def check_file(path: Path, asked: str) -> None:
    """Look, before hours of work, whether a file can be written.

    Args:
        path: of the file.
        asked: the setting that named it, and its value.

    Raises:
        UserError: it cannot, or a folder, a device or a pipe has its name.
    """
    check_folder(path.absolute().parent, asked)
    if os.path.isdir(path):
        raise UserError(f"{asked}: a folder has this name: give that of a file")
    if os.path.exists(path) and (not os.path.isfile(path) or path.absolute().parent == Path("/dev")):
        raise UserError(f"{asked}: a device or a pipe has this name, and would be replaced: give that of a file")


def is_taken(path: Path) -> bool:
    """Tell whether something has this name that is no empty folder, nor a link to one."""
    return os.path.exists(path) and (not path.is_dir() or any(path.iterdir()))


def blocks(path: Path) -> Iterator[bytes]:
    """Yield a file's content, a megabyte at a time."""
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            yield block


def read_at(file: BinaryIO, begin: int, size: int) -> bytes:
    """Return bytes of a file, wherever other processes that share it, as forks do, are reading in it."""
    if sys.platform == "win32":  # where nothing forks
        file.seek(begin)
        return file.read(size)
    parts = []
    while size > 0 and (part := os.pread(file.fileno(), min(size, _AT_ONCE), begin)):
        parts.append(part)
        begin, size = begin + len(part), size - len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def aside(path: Path) -> Path:
    """Return a hidden name beside a path that no other process takes: in containers the numbers of processes repeat."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file as a whole or not at all.

    The bytes go to a temporary file beside it, which takes the file's name once it has reached the disk. A process
    killed meanwhile leaves at most the temporary file (`.name.….tmp`) behind.

    Args:
        path: where the file shall be; its folder is made where it is missing.
        write: writes the content to the open binary file, e.g. `lambda file: torch.save(state, file)`.

    Raises:
        UserError: the disk is full, the quota used up, the folder read-only and the like. The previous version, if
            there was one, is untouched. Other exceptions of `write` come through as they are; no file is left then.
    """
    temporary = aside(path)
    try:
        with _told(f"cannot save {path}", partial(os.path.isfile, path), "The version saved before"):
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
            _sync_folder(path.parent)
    finally:
        with suppress(OSError):
            temporary.unlink()


@contextmanager
def new_folder(path: Path, asked: str) -> Iterator[Path]:
    """Lend a folder to write to, which gets its name, that of no file and of no other full folder, once all is written.

    Args:
        path: where it shall be.
        asked: the setting that named it, and its value.

    Raises:
        UserError: the disk is full, read-only and the like, or something came to be there meanwhile. What was there
            before is untouched, and nothing is left half-written. Other exceptions of what is done within come through
            as they are.
    """
    with _lent(path, asked) as (path, draft):
        yield draft
        with suppress(FileNotFoundError):
            path.rmdir()  # which refuses a full one: another process may have been quicker
        draft.rename(path)


@contextmanager
def renewed_folder(path: Path, asked: str) -> Iterator[Path]:
    """Lend a folder to write to, which takes the place of what `path` is, if anything, once all is written.

    A process that is killed between the two last steps leaves the old one beside it (`.name.….old`).

    Args:
        path: where it shall be.
        asked: the setting that named it, and its value.

    Raises:
        UserError: as `new_folder`, but that it may replace what is there.
    """
    with _lent(path, asked) as (path, draft):
        yield draft
        before = aside(path).with_suffix(".old")
        if path.exists():
            path.rename(before)
        try:
            draft.rename(path)
        except BaseException:
            if before.exists():
                before.rename(path)
            raise
        shutil.rmtree(before, ignore_errors=True)


@contextmanager
def _lent(path: Path, asked: str) -> Iterator[tuple[Path, Path]]:
    """Lend a path without links, and an empty folder beside it, which is removed if it has not moved there."""
    path = Path(os.path.realpath(path))  # of "." the last name is empty, and a link stays one
    if os.path.ismount(path):
        raise UserError(f"{asked}: a disk is mounted at {path}, which can take no other's place: give a folder in it")
    draft = aside(path)
    try:
        with _told(f"{asked} cannot be written", partial(os.path.exists, path), "What was there before"):
            draft.mkdir(parents=True)
            yield path, draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)


@contextmanager
def _told(failed: str, was_there: Callable[[], bool], before: str) -> Iterator[None]:
    """Say in one line what the disk refuses, and what is left; other exceptions come through."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        cause = _disk_error(error)
        if cause is None:
            raise
        kept = f"{before} is intact" if was_there() else "Nothing half-written is left"
        raise UserError(f"{failed}: {cause.strerror}. {kept}. {_ADVICE[cause.errno or 0]}.") from error


def _disk_error(error: BaseException | None) -> OSError | None:
    """Find the disk's complaint behind an exception: writers such as torch.save may raise their own on top of it."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _ADVICE:
            return error
        error = error.__cause__ or error.__context__
    return None


def _sync_folder(folder: Path) -> None:
    """Bring the new name to the disk as well, where the system can (POSIX)."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with suppress(OSError):  # some network file systems cannot sync a folder
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
