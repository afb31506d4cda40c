"""Run folders: where a run writes, found again by its configuration.

A folder is named `<experiment>-<data>-seed<seed>-<hash>`; the hash covers every setting that changes the result.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gan_caption import __version__
from gan_caption.errors import UserError
from gan_caption.files import write_atomically
from gan_caption.parsing import briefly, parse_json, shown

VERSION = 1
"""Of what lies in a run folder, and where."""
FORMAT = "format.json"
"""Where a run folder says so; without it, it is of format 1."""
WITHOUT_EFFECT = ("outputs", "resume", "tracker", "device", "threads", "cache", "log_every", "save_every")
"""Settings that do not change what is learned."""


def configuration_hash(config: Mapping[str, Any]) -> str:
    """Return six hexadecimal digits that two runs share exactly when they train the same thing."""
    kept = {key: value for key, value in config.items() if key not in WITHOUT_EFFECT}
    return hashlib.sha256(json.dumps(kept, sort_keys=True, default=str).encode()).hexdigest()[:6]


def choose_folder(config: Mapping[str, Any], *, data: str) -> tuple[Path, bool]:
    """Return the folder of a run, made if new, and whether the run in it is to be taken up.

    `resume=null` starts afresh in a new folder; `resume=auto` takes up the run of the same configuration that has not
    finished, or starts one; `resume=<folder>` takes up that one.

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
        return folder, (folder / "checkpoints" / "last.pt").exists()
    stem = Path(config["outputs"]) / f"{config['name']}-{data}-seed{config['seed']}-{digest}"
    number = 1
    while True:
        folder = stem if number == 1 else stem.with_name(f"{stem.name}-{number}")
        try:
            (folder / "checkpoints").mkdir(parents=True)
        except FileExistsError:
            if resume == "auto" and not (folder / "results.json").exists():
                return folder, (folder / "checkpoints" / "last.pt").exists()
            number += 1
            continue
        except OSError as error:
            raise UserError(f"outputs={config['outputs']}: no folder can be made there ({error})") from error
        write_json(folder / "config.json", dict(config))
        write_json(folder / FORMAT, {"format": VERSION, "gan_caption": __version__})
        write_json(folder / "id.json", uuid.uuid4().hex[:8])
        return folder, False


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
