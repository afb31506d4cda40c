"""What a study keeps of its runs: a small file each, so that it goes on, and its tables are made, without the runs."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gan_caption.files import write_atomically


@dataclass(frozen=True)
class Records:
    """The files of one study, JSON each: the overrides of a run, and what was found of it."""

    folder: Path

    def found(self, name: str, seed: int, overrides: Sequence[str]) -> Any:
        """Return what is kept of a run; None where nothing is.

        Raises:
            SystemExit: what is kept was made by other overrides.
        """
        path = self._path(name, seed)
        if not path.exists():
            return None
        kept = json.loads(path.read_text())
        if kept["overrides"] != _without_places(overrides):
            told = f"{path} was made by {' '.join(kept['overrides'])}, not {' '.join(_without_places(overrides))}"
            raise SystemExit(f"{told}: give records=FOLDER, another one, or delete it")
        return kept["found"]

    def keep(self, name: str, seed: int, overrides: Sequence[str], found: object) -> None:
        """Keep what was found of a run, anything that JSON can hold."""
        told = json.dumps({"overrides": _without_places(overrides), "found": found}, indent=1)
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self._path(name, seed), lambda file: file.write(f"{told}\n".encode()))

    def _path(self, name: str, seed: int) -> Path:
        return self.folder / f"{re.sub(r'[^a-z0-9.]+', '-', name.lower())}-{seed}.json"


def _without_places(overrides: Sequence[str]) -> list[str]:
    """Return overrides that mean the same on another machine: no run folders, and of other paths the last name."""
    parts = [override.partition("=") for override in overrides if not override.startswith("pretrained")]
    return [f"{name}{sign}{value.rpartition('/')[2]}" for name, sign, value in parts]
