"""Run folders: where a run writes, found again by its configuration.

A folder is named `<experiment>-<data>-seed<seed>-<hash>`; the hash covers every setting that changes the result.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from gan_caption import __version__
from gan_caption.errors import UserError
from gan_caption.files import write_atomically
from gan_caption.untrusted.parsing import briefly, parse_json, shown

VERSION = 1
"""Of what lies in a run folder, and where."""
FORMAT = "format.json"
"""Where a run folder says so; without it, it is of format 1."""
BASELINE = "mle"
"""The phase that leaves the baseline."""
COMMAND = "command.txt"
"""In a run's folder: what started it."""
WITHOUT_EFFECT = (
    "outputs", "resume", "tracker", "device", "threads", "cache", "log_every", "save_every", "diversity_floor",
    "shards",
)  # fmt: skip
"""Settings that do not change what is learned."""
OF_THE_DATA_WITHOUT_EFFECT = ("cache", "keep")
"""And those below `data`."""


def configuration_hash(config: Mapping[str, Any]) -> str:
    """Return six hexadecimal digits that two runs share exactly when they train the same thing."""
    kept = {key: value for key, value in config.items() if key not in WITHOUT_EFFECT}
    if isinstance(kept.get("data"), Mapping):
        kept["data"] = {key: value for key, value in kept["data"].items() if key not in OF_THE_DATA_WITHOUT_EFFECT}
    return hashlib.sha256(json.dumps(kept, sort_keys=True, default=str).encode()).hexdigest()[:6]


def choose_folder(config: Mapping[str, Any], *, data: str, again: bool = False) -> Path:
    """Return the folder of a run, made if new.

    `resume=null` starts afresh in a new folder; `resume=auto` returns that of the same configuration, one that has not
    finished before one that has, and starts one where there is none; `resume=<folder>` takes up that one.

    Args:
        config: of the run.
        data: the name of the data set.
        again: the same command has been started before and was interrupted: without `resume`, the folder that it made
            is taken up, the latest of this configuration.

    Raises:
        UserError: the folder to resume holds no run of this configuration.
    """
    resume = config["resume"]
    digest = configuration_hash(config)
    if resume not in (None, "auto"):
        folder = Path(resume)
        settings = folder / "config.json"
        if not settings.exists():
            raise UserError(f"resume={resume}: no run there (no config.json); give a run folder, or resume=auto")
        found = configuration_hash(read_json(settings))
        if found != digest:
            raise UserError(
                f"resume={resume}: that run has another configuration ({found}, this command gives {digest}); "
                "repeat the command that started it, with resume=... added"
            )
        return folder
    there = runs_of(config, data=data)
    unfinished = [folder for folder in there if not has_finished(folder)]
    if resume == "auto" and there:
        return next(iter(unfinished), there[-1])
    if again and unfinished:
        return unfinished[-1]
    number = len(there) + 1
    while True:
        folder = _numbered(config, data, number)
        try:
            (folder / "checkpoints").mkdir(parents=True)
        except FileExistsError:  # made by another process meanwhile
            if resume == "auto":
                return folder
            number += 1
            continue
        except OSError as error:
            raise UserError(f"outputs={config['outputs']}: no folder can be made there ({error})") from error
        write_json(folder / "config.json", dict(config))
        write_json(folder / FORMAT, {"format": VERSION, "gan_caption": __version__})
        write_json(folder / "id.json", uuid.uuid4().hex[:8])
        return folder


def runs_of(config: Mapping[str, Any], *, data: str) -> list[Path]:
    """Return the folders of the runs of a configuration, the oldest first."""
    found: list[Path] = []
    while (folder := _numbered(config, data, len(found) + 1)).exists():
        found.append(folder)
    return found


def _numbered(config: Mapping[str, Any], data: str, number: int) -> Path:
    name = f"{config['name']}-{data}-seed{config['seed']}-{configuration_hash(config)}"
    return Path(config["outputs"]) / (name if number == 1 else f"{name}-{number}")


def has_finished(folder: Path) -> bool:
    """Tell whether a run has made its final table."""
    return (folder / "results.json").exists()


def finished_folder(config: Mapping[str, Any], *, data: str) -> Path:
    """Return the folder of a run that has just finished."""
    if config["resume"] not in (None, "auto"):
        return Path(config["resume"])
    return [folder for folder in runs_of(config, data=data) if has_finished(folder)][-1]


@contextmanager
def alone_in(folder: Path, report: Callable[[str], None]) -> Iterator[None]:
    """Wait until no other process trains in a run folder, and keep others waiting: two would ruin each other's files.

    Args:
        folder: of the run.
        report: told when there is somebody to wait for.
    """
    lock = FileLock(folder / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        report(f"another process trains in {folder}: waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def best_weights(folder: Path, phase: str) -> Path:
    """Where a run keeps a phase's best captioner."""
    return folder / "checkpoints" / f"best_{phase}.safetensors"


def write_json(path: Path, content: Any) -> None:
    """Write JSON aside and rename it."""
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False, default=str))


def write_text(path: Path, text: str) -> None:
    """Write text aside and rename it."""
    write_atomically(path, lambda file: file.write(text.encode()))


def read_config(folder: Path) -> dict[str, Any]:
    """Return the configuration that a run was started with.

    Raises:
        UserError: the folder holds no run.
    """
    try:
        config = parse_json(inside(folder, "config.json").read_bytes())
        about = inside(folder, FORMAT)
        found = parse_json(about.read_bytes()) if about.exists() else {"format": 1}
        version = found["format"]
        if not isinstance(version, int):
            raise ValueError(f"format {briefly(version)} is no whole number")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"run={folder}: no run folder ({error}); `train` prints the folder that it wrote") from error
    if version > VERSION:
        raise UserError(
            f"run={folder} was written by gan_caption {briefly(found.get('gan_caption'))} in format "
            f"{briefly(version)}; this one, "
            f"{__version__}, reads up to format {VERSION}: upgrade it (nothing was changed)"
        )
    if not isinstance(config, dict) or not isinstance(config.get("phases"), dict):
        raise UserError(f"run={folder}: config.json is not a configuration")
    return config


def inside(folder: Path, name: str | Path) -> Path:
    """Return the path of a run's file, which must lie in the run's folder and be a plain file, if it exists.

    Raises:
        UserError: it leads out of the folder, by its name or by a link, or in circles; it is no file but a pipe, say,
            from which one could read for ever.
    """
    path = folder / name
    try:
        real = path.resolve()
        plain = real.is_file() or not real.exists()
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(f"run={folder}: {shown(str(name))} cannot be looked up ({error})") from error
    if not real.is_relative_to(folder.resolve()):
        raise UserError(
            f"run={folder}: {name} leads out of the folder, to {real}; a run's files lie in its folder. "
            "Nothing was read"
        )
    if not plain:
        raise UserError(f"run={folder}: {name} is not a plain file; a run's files are. Nothing was read")
    return path


def read_json(path: Path) -> dict[str, Any]:
    """Read one of a run's files that holds an object.

    Raises:
        UserError: it is missing, damaged or something else.
    """
    try:
        told = parse_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}): is the run folder whole?") from error
    if not isinstance(told, dict):
        raise UserError(f"{path} holds no JSON object: is the run folder whole?")
    return told
