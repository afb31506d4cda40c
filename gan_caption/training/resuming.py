"""Which folder a run writes to: a new one, or that of the same run before.

A folder is named `<experiment>-<data>-seed<seed>-<hash>`, and numbered where there are several. The name only says
where to look: whether a folder's run is the same is decided by its configuration and its data.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gan_caption import __version__
from gan_caption.configuration.settings import Settings
from gan_caption.distributed import world
from gan_caption.distributed.world import say
from gan_caption.errors import UserError
from gan_caption.files import aside
from gan_caption.training.folders import (
    FORMAT,
    ID,
    VERSION,
    has_finished,
    has_learned,
    numbered,
    numbered_like,
    read_json,
    write_json,
)
from gan_caption.training.identity import Differences, KnownData, configuration_hash, differences, write_data
from gan_caption.training.records import METRICS


def choose_folder(settings: Settings, known: KnownData | None, *, data: str, again: bool = False) -> Path:
    """Return the folder of a run, made if new.

    `resume=null` starts afresh in a new folder; `resume=auto` returns that of the same run, and starts one where there
    is none: of several the one that is on its way, then one that has finished, then one that never began, the latest
    of each; `resume=<folder>` takes up that one.

    Args:
        settings: of the run.
        known: what its data are; None where its settings say all.
        data: the name of the data set.
        again: the same command has been started before and was interrupted: without `resume`, the folder that it made
            is taken up, the latest of this run.

    Raises:
        UserError: the folder to resume holds another run, or none; no folder can be made.
    """
    resume = settings.resume
    if resume is not None and resume != "auto":
        _check_same(resume, settings, known)
        return resume
    while True:
        there = runs_of(settings, known, data=data) if again or resume == "auto" else []
        if resume == "auto" and there:
            return max(reversed(there), key=_promise)
        unfinished = [folder for folder in there if not has_finished(folder)]
        if unfinished:
            return unfinished[-1]
        names = numbered(_name(settings, data, () if known is None else known.locations))
        folder = next(name for name in names if not os.path.exists(name))  # of a name that is too long False
        if _begun(folder, settings, known):
            return folder


@contextmanager
def gone_unless_begun(folder: Path) -> Iterator[None]:
    """Remove a run's folder where its user's mistake ends the run before anything was learned or measured."""
    try:
        yield
    except UserError:
        if world.is_main() and not (has_learned(folder) or has_finished(folder) or (folder / METRICS).exists()):
            shutil.rmtree(folder, ignore_errors=True)
        raise


def runs_of(settings: Settings, known: KnownData | None, *, data: str) -> list[Path]:
    """Return the folders of this run, the oldest first; others that have its name by chance are passed over."""
    found = []
    for folder in _candidates(settings, known, data):
        if not os.path.exists(folder / "config.json"):  # of somebody else's folder, say, False
            continue
        other = differences(folder, settings.given, known)
        if not other:
            found.append(folder)
        elif not other.settings:
            say(f"{folder} is not taken up, its data were others:{other}")
    return found


def _promise(folder: Path) -> tuple[bool, bool]:
    """Return how soon a run comes to its table: on its way, finished, or never begun."""
    begun, finished = has_learned(folder), has_finished(folder)
    return begun and not finished, finished


def keep_location(folder: Path, settings: Settings) -> None:
    """Note where the data of a run lie now, where they have moved since it began: `evaluate` looks for them there."""
    told = read_json(folder / "config.json")
    if told.get("data") != settings.data.node:
        write_json(folder / "config.json", {**told, "data": dict(settings.data.node)})


def _check_same(folder: Path, settings: Settings, known: KnownData | None) -> None:
    """Refuse to take up another run."""
    asked = f"resume={folder}"
    if not (folder / "config.json").exists():
        raise UserError(f"{asked}: no run there (no config.json); give a run folder, or resume=auto")
    other = differences(folder, settings.given, known)
    if other.settings:
        raise UserError(
            f"{asked}: that run has another configuration; repeat the command that started it, with resume=... added"
            f"{_of_an_earlier_version(other, known)}{other}"
        )
    if other:
        raise UserError(
            f"{asked}: that run was trained on other data; give it those again, or start a new run, resume=null{other}"
        )


def _of_an_earlier_version(other: Differences, known: KnownData | None) -> str:
    """Say why it matters where data lie, where nothing else differs."""
    located = {f"data.{key}" for key in known.locations} if known else set()
    if not located.issuperset(other.settings):
        return ""
    return ". It is of an earlier version, which did not note what its data are: say where they lie as you did then"


def _candidates(settings: Settings, known: KnownData | None, data: str) -> Iterator[Path]:
    """Yield the folders that are named like this run, or would be by an earlier version."""
    locations = () if known is None else known.locations
    for first in dict.fromkeys([_name(settings, data, ()), _name(settings, data, locations)]):
        yield from numbered_like(first)


def _name(settings: Settings, data: str, locations: tuple[str, ...]) -> Path:
    digits = configuration_hash(settings.given, locations)
    return settings.outputs / f"{settings.title}-{data}-seed{settings.seed}-{digits}"


def _begun(folder: Path, settings: Settings, known: KnownData | None) -> bool:
    """Make a run folder, seen by others only once it says whose it is; False where another process made one meanwhile.

    Raises:
        UserError: none can be made.
    """
    draft = aside(folder)
    try:
        (draft / "checkpoints").mkdir(parents=True)
        write_json(draft / "config.json", settings.given)
        write_json(draft / FORMAT, {"format": VERSION, "gan_caption": __version__})
        write_json(draft / ID, uuid.uuid4().hex[:8])
        if known is not None:
            write_data(draft, known)
        draft.rename(folder)
    except OSError as error:
        if os.path.exists(folder):
            return False
        raise UserError(f"outputs={settings.outputs}: no folder can be made there ({error})") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return True
