"""The runs of a sweep, and what each notes for whoever started them: each may be a process of its own, elsewhere."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gan_caption.files import write_atomically


@dataclass(frozen=True)
class Job:
    """One call of an entry point's task: one run of a sweep, or the only one."""

    overrides: list[str]
    """What the command line or the sweeper set."""
    sweep: str | None
    """The sweep's folder; None outside of a sweep."""
    result: Any = None
    """What the task returned, as JSON has it; a dataclass as a mapping."""
    failure: str | None = None
    """Why it failed; None where it did not."""
    bug: bool = False
    """Whether it failed by a mistake of the program."""


@dataclass(frozen=True)
class Notes:
    """Where the runs of a sweep leave a note each."""

    here: Path
    """A folder of this machine."""
    abroad: Path
    """One in the folder that the sweep began in, for runs on machines that share only that."""

    def write(self, job: Job, number: int) -> None:
        """Leave a run's note."""
        folder = self.here if self.here.is_dir() else self.abroad
        folder.mkdir(exist_ok=True)
        content = json.dumps(vars(job), default=vars).encode()
        write_atomically(folder / f"{number:06d}.json", lambda file: file.write(content))

    def read(self) -> list[Job]:
        """Return what the runs have noted, in their order."""
        paths = sorted([*self.here.glob("*.json"), *self.abroad.glob("*.json")], key=lambda path: path.name)
        return [Job(**json.loads(path.read_text(encoding="utf-8"))) for path in paths]


@contextmanager
def notes() -> Iterator[Notes]:
    """Lend a place for notes, which are removed in the end."""
    with tempfile.TemporaryDirectory(prefix="gan_caption-", ignore_cleanup_errors=True) as place:
        lent = Notes(Path(place), Path.cwd() / f".{Path(place).name}")
        try:
            yield lent
        finally:
            shutil.rmtree(lent.abroad, ignore_errors=True)
