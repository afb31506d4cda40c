"""The files of a run's folder: written whole or not at all, read with care."""

from __future__ import annotations

import glob
import hashlib
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from itertools import count
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from gan_caption import __version__
from gan_caption.configuration.building import TARGET, read
from gan_caption.configuration.launching import conf_dir
from gan_caption.configuration.renamed import renewed, with_noise_law
from gan_caption.configuration.settings import OF_ONE_MACHINE, SINCE, Settings
from gan_caption.configuration.wording import listed
from gan_caption.errors import UserError
from gan_caption.files import write_atomically
from gan_caption.untrusted.parsing import briefly, parse_settings, shown

VERSION = 1
"""Of what lies in a run folder, and where."""
FORMAT = "format.json"
"""Where a run folder says so; without it, it is of format 1."""
BASELINE = "mle"
"""The phase that leaves the baseline."""
RESULTS = "results.json"
"""In the folder of a run or of an evaluation: what it found, last of all."""
ID = "id.json"
"""In a run's folder: what trackers tell it by."""
COMMAND = "command.txt"
"""In a run's folder: what started it."""


def words_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tokenizer of a configuration that names none, as every one did before there was a choice."""
    vocabulary = config.get("vocabulary")
    min_count = vocabulary.get("min_count", 1) if isinstance(vocabulary, Mapping) else 1
    return {TARGET: "gan_caption.text.words.WordTokenizer", "min_count": min_count}


def has_finished(folder: Path) -> bool:
    """Tell whether a run, or an evaluation, has made its final table."""
    return (folder / RESULTS).exists()


def has_learned(folder: Path) -> bool:
    """Tell whether a run has left a checkpoint."""
    return (folder / "checkpoints" / "last.pt").exists()


def numbered(first: Path) -> Iterator[Path]:
    """Yield a folder's name, and those that the second, the third ... of its name has, without end."""
    yield first
    for number in count(2):
        yield first.with_name(f"{first.name}-{number}")


def numbered_like(first: Path) -> list[Path]:
    """Return the folders of a name that there are, by their number; some in between may have been deleted."""
    there = {path.name: path for path in first.parent.glob(f"{glob.escape(first.name)}*")}
    numbers = {name: re.fullmatch(r"(?:-(\d+))?", name.removeprefix(first.name)) for name in there}
    own = sorted((int(number[1] or 1), name) for name, number in numbers.items() if number)
    return [there[name] for _, name in own]


@contextmanager
def alone_in(folder: Path, report: Callable[[str], None]) -> Iterator[None]:
    """Wait until no other process trains in a run folder, and keep others waiting: two would ruin each other's files.

    Args:
        folder: of the run.
        report: told when there is somebody to wait for.

    Raises:
        UserError: the folder may not be written to.
    """
    lock = FileLock(folder / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        report(f"another process trains in {folder}: waiting for it")
        lock.acquire()
    except OSError as error:
        raise UserError(f"{folder} cannot be written to: {error.strerror}") from error
    try:
        yield
    finally:
        lock.release()


def best_weights(folder: Path, phase: str) -> Path:
    """Where a run keeps a phase's best captioner."""
    return folder / "checkpoints" / f"best_{phase}.safetensors"


def digest_of(weights: Path) -> str:
    """Return a hash of a file of weights."""
    return hashlib.sha256(weights.read_bytes()).hexdigest()[:16]


def left_digest(folder: Path, phase: str) -> str | None:
    """Return a hash of the weights that a phase of a run left; None where it left none."""
    weights = best_weights(folder, phase)
    return digest_of(weights) if weights.exists() else None


def write_json(path: Path, content: Any) -> None:
    """Write JSON aside and rename it."""
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False, default=str))


def write_values(path: Path, content: Any) -> None:
    """Write JSON of measured values: one that is not a finite number, which JSON does not have, is null."""
    write_json(path, finite(content))


def finite(content: Any) -> Any:
    """Return what JSON can hold of measured values: of a number that is not finite, None."""
    if isinstance(content, Mapping):
        return {key: finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def write_text(path: Path, text: str) -> None:
    """Write text aside and rename it; what is no UTF-8, as names of files may be, is escaped as JSON does it."""
    write_atomically(path, lambda file: file.write(text.encode(errors="backslashreplace")))


def read_config(folder: Path) -> dict[str, Any]:
    """Return the configuration that a run was started with, by today's names of its keys.

    Raises:
        UserError: the folder holds no run.
    """
    try:
        config = parse_settings(inside(folder, "config.json").read_bytes())
        about = inside(folder, FORMAT)
        found = parse_settings(about.read_bytes()) if about.exists() else {"format": 1}
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
    if not isinstance(config, dict):
        raise UserError(f"run={folder}: config.json is not a configuration")
    if not isinstance(config.get("phases"), dict):
        told = briefly(config["phases"]) if "phases" in config else "missing"
        raise UserError(f"run={folder}: config.json is not a configuration: phases, which each run has, is {told}")
    return {"tokenizer": words_of(config), **with_noise_law(renewed(config))}


def read_settings(folder: Path, *, allow: str | Sequence[str] = ()) -> Settings:
    """Return the settings that a run was started with.

    What concerns one machine alone (`OF_ONE_MACHINE`), and is missing as in exported folders, is as
    `conf/config.yaml` has it; so is what there was not yet when the run began (`SINCE`). Keys that are no settings of
    today are left out; `given` keeps them.

    Args:
        folder: the run's.
        allow: packages of your own whose classes it may name; what its own configuration allows does not count.

    Raises:
        UserError: the folder holds no run, or its configuration lacks a key or has a wrong type.
    """
    config = read_config(folder)
    usual = yaml.safe_load((conf_dir() / "config.yaml").read_text(encoding="utf-8"))
    filled = {**{key: usual.get(key) for key in (*OF_ONE_MACHINE, *SINCE)}, **config, "allow": listed(allow)}
    names = {field.name for field in fields(Settings)} - {"given"}
    try:
        return read(Settings, {key: value for key, value in filled.items() if key in names}, given=config)
    except UserError as error:
        raise UserError(f"run={folder}: config.json: {error}") from error


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


def within(folder: Path, path: Path) -> Path:
    """Return the path of a run's file, which begins with the run's folder; see `inside`."""
    return inside(folder, path.relative_to(folder))


def read_id(folder: Path) -> str:
    """Return what trackers tell a run by, and know it again by when it goes on.

    Raises:
        UserError: its file is missing, damaged or something else.
    """
    path = inside(folder, ID)
    told = _read(path)
    if not isinstance(told, str):
        raise UserError(f"{path} holds no text: is the run folder whole?")
    return told


def read_json(path: Path) -> dict[str, Any]:
    """Read one of a run's files that holds an object.

    Raises:
        UserError: it is missing, damaged or something else.
    """
    told = _read(path)
    if not isinstance(told, dict):
        raise UserError(f"{path} holds no JSON object: is the run folder whole?")
    return told


def _read(path: Path) -> Any:
    """Return what one of a run's files of JSON holds."""
    try:
        return parse_settings(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}): is the run folder whole?") from error
