"""A disk of a few bytes, where the right to mount one is given."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """Mount a disk of this size ("64k") on a new folder; skip the test where that is not allowed."""
    folder.mkdir()
    try:
        mounted = mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("no right to mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def mount(*arguments: str) -> bool:
    """Say whether mounting succeeded."""
    return subprocess.run(["mount", *arguments], capture_output=True).returncode == 0
