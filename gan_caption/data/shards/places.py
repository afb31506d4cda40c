"""Where shards lie: names with wildcards and braces, files, and copies of what lies behind URLs."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import time
import urllib.error
import urllib.request
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException, InvalidURL
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from filelock import FileLock

from gan_caption.configuration.overrides import typed
from gan_caption.data.corpus import NoSplit
from gan_caption.errors import Unreachable, UserError
from gan_caption.files import at_home, write_atomically
from gan_caption.untrusted.parsing import shown, some

_TRIES = 3
_SECONDS = 60
"""Without an answer until a server is given up."""
_MOST, _LONGEST = 1_000_000, 1000
"""Shards of a split; characters of the pattern that names them."""
_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""Errors that fetching again does not mend."""
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")  # of two letters or more: C: is a drive


def is_url(root: str) -> bool:
    """Tell a URL from a folder.

    Raises:
        UserError: it is a faulty URL, or of another kind than http(s), as webdataset's `pipe:`, which runs a command.
    """
    if root.startswith(("http://", "https://")):
        try:
            _ = urlsplit(root).port  # which is looked at only now
        except ValueError as error:
            raise UserError(f"{root} is no address: {error}") from error
        return True
    if _SCHEME.match(root):
        raise UserError(
            f"data.root={root}: allowed are a folder and http:// or https:// addresses; nothing is run "
            "(pipe:), and for other storage fetch the shards into a folder"
        )
    return False


def expand(root: str, pattern: str) -> list[str]:
    """Return the shards that a pattern means, in order: paths, or URLs.

    Args:
        root: a folder, or the URL of one.
        pattern: names inside it, with braces (`train-{000000..000099}.tar`) and, in a folder, with wildcards
            (`train-*.tar`).

    Raises:
        NoSplit: there is none.
        UserError: one is missing, one is named twice, or `root` is of a kind that is not allowed.
    """
    from braceexpand import braceexpand

    remote = is_url(root)
    if not pattern:
        raise NoSplit(f"no shards of this split are named: give train-{{000000..000099}}.tar, say, in {root}")
    if len(pattern) > _LONGEST or _names_at_most(pattern) > _MOST:  # looked at first: they would be made all at once
        raise UserError(f"{shown(pattern)} means more than {_MOST:,} shards")
    try:
        names = list(braceexpand(pattern, escape=False))  # an escaped brace would be none: `_names_at_most` bounds all
    except ValueError as error:
        raise UserError(f"{pattern}: braces do not match; wanted is train-{{000000..000099}}.tar, say") from error
    if remote:
        if any(sign in pattern for sign in "*?["):
            raise NoSplit(f"{root}/{pattern}: a server does not list its files; use train-{{000000..000099}}.tar")
        found = [f"{root.rstrip('/')}/{name}" for name in names]
    else:
        folder = at_home(root)
        if not os.path.isdir(folder):
            raise UserError(f"data.root={root}: there is no such folder, or not for you")
        try:
            found = [str(path) for name in names for path in (sorted(folder.glob(name)) or [folder / name])]
        except (ValueError, NotImplementedError) as error:
            raise UserError(
                f"{pattern}: {error}; wanted are names within {root}, such as train-{{000000..000099}}.tar"
            ) from error
        except OSError as error:
            raise UserError(f"{root} cannot be looked through for {pattern}: {error.strerror}") from error
        missing = [path for path in found if not os.path.isfile(path)]
        if missing:
            kind = NoSplit if len(missing) == len(found) else UserError
            raise kind(f"there is no {some(missing)}: `prepare ... {typed('shards.folder', root)}` writes shards")
    if twice := [one for one, count in Counter(found).items() if count > 1]:
        raise UserError(f"{pattern} names a shard twice: {some(twice, 2)}")
    return found


def _names_at_most(pattern: str) -> int:
    """Return a bound on how many names braces stand for: the product over all of them, also of those inside others."""
    names = 1
    while inner := re.search(r"\{([^{}]*)\}", pattern):
        ends = inner[1].split("..")[:2]
        if all(re.fullmatch(r"-?\d+", end) for end in ends) and len(ends) == 2:
            names *= abs(int(ends[1]) - int(ends[0])) + 1
        elif [len(end) for end in ends] == [1, 1]:
            names *= abs(ord(ends[1]) - ord(ends[0])) + 1
        else:
            names *= inner[1].count(",") + 1
        pattern = pattern[: inner.start()] + pattern[inner.end() :]
    return names


@dataclass(frozen=True)
class Places:
    """Opens shards; those behind URLs are copied to a folder first, where the last used are kept."""

    folder: Path
    """Of the copies."""
    keep: float
    """Gigabytes of copies that are kept, at least one shard."""

    def identity(self, shard: str) -> str:
        """Return what changes when a shard does; of a URL the address alone.

        Raises:
            UserError: the file is gone.
        """
        if is_url(shard):
            return shard
        try:
            about = Path(shard).stat()
        except OSError as error:
            raise UserError(f"{shard} cannot be read: {error.strerror}") from error
        return f"{Path(shard).absolute()} {about.st_size} {about.st_mtime_ns}"

    def open(self, shard: str) -> BinaryIO:
        """Open a shard.

        Raises:
            UserError: it cannot be read or fetched.
        """
        if not is_url(shard):
            try:
                return Path(shard).open("rb")
            except OSError as error:
                raise UserError(f"{shard} cannot be read: {error.strerror}") from error
        try:
            return self._fetched(shard)
        except UserError as error:
            raise Unreachable(str(error)) from error
        except OSError as error:
            raise Unreachable(
                f"fetched shards cannot be kept in {self.folder} ({error.strerror}): give cache=... another place"
            ) from error

    def _fetched(self, shard: str) -> BinaryIO:
        """Open the copy of a shard at a URL, which is fetched where there is none."""
        copy = self._copy(shard)
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with suppress(PermissionError):  # another user's copy
                os.utime(copy)  # used now
            return copy.open("rb")
        except FileNotFoundError:
            pass
        with FileLock(self.folder / "lock"):  # what several processes want is fetched once
            if not copy.exists():
                write_atomically(copy, lambda file: self._check_same(shard, copy, _fetch(shard, file)))
            opened = copy.open("rb")
            self._tidy(copy)
        return opened

    def forget(self, shard: str) -> None:
        """Remove the copy of a shard at a URL, whose content is of no use: the next start fetches another."""
        copy = self._copy(shard)
        for path in (copy, _digest_of(copy)):
            with suppress(OSError):  # gone, or another user's
                path.unlink()

    def _copy(self, shard: str) -> Path:
        """Return where the copy of a shard at a URL is kept."""
        name = Path(urlsplit(shard).path).name
        return self.folder / f"{digest_of_name(shard)[:16]}-{name}"

    def _check_same(self, shard: str, copy: Path, digest: str) -> None:
        """Refuse a shard that was fetched before with another content: where its samples lie was looked up there.

        Raises:
            UserError: it has changed.
        """
        known = _digest_of(copy)
        if not known.exists():
            write_atomically(known, lambda file: file.write(digest.encode()))
        elif known.read_text() != digest:
            raise UserError(
                f"{shard} is another file than when it was fetched first: give shards that have changed a new name, "
                f"or remove {self.folder.parent}"
            )

    def _tidy(self, newest: Path) -> None:
        """Remove the copies that were used longest ago; who has one open can go on reading it."""
        copies = sorted(self.folder.glob("*-*"), key=lambda path: path.stat().st_mtime, reverse=True)
        total = 0
        for path in copies:
            total += path.stat().st_size
            if total > self.keep * 1e9 and path != newest:
                path.unlink()


def _digest_of(copy: Path) -> Path:
    """Return where the digest of a fetched shard's content is kept, longer than its copy."""
    return copy.with_name(f"{copy.name.split('-')[0]}.sha256")


def _fetch(url: str, file: BinaryIO) -> str:
    """Write what lies behind a URL to a file, and return the SHA-256 of it."""
    attempt = 0
    while True:
        attempt += 1
        try:
            file.seek(0)
            file.truncate()
            content = hashlib.sha256()
            with urllib.request.urlopen(url, timeout=_SECONDS) as answer:
                while block := answer.read(1 << 20):
                    content.update(block)
                    file.write(block)
                promised = answer.headers.get("Content-Length")
            if promised is not None and file.tell() != int(promised):
                raise OSError(f"{file.tell()} of {promised} bytes came")
            return content.hexdigest()
        except (OSError, HTTPException, ValueError) as error:  # timeouts and broken connections are OSErrors
            refused = isinstance(error, urllib.error.HTTPError) and 400 <= error.code < 500
            if isinstance(error, OSError) and error.errno in _OF_THE_DISK:
                raise  # `write_atomically` has words for it
            final = refused or isinstance(error, InvalidURL | ValueError)
            if final or attempt == _TRIES:
                raise UserError(
                    f"{url} cannot be fetched ({error}): check the address and the network. What was indexed and "
                    "fetched before is kept"
                ) from error
            time.sleep(attempt)


def digest_of_name(name: str) -> str:
    """Return the SHA-256 of a shard's name, which may be no UTF-8, in hexadecimal."""
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
