"""What a run is: its settings, and the images and captions that it learns from, wherever these lie."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gan_caption.configuration.renamed import renewed, without_later, without_noise_law
from gan_caption.configuration.settings import SINCE, WITHOUT_EFFECT
from gan_caption.data.corpus import Split
from gan_caption.errors import UserError
from gan_caption.files import at_home
from gan_caption.training.folders import inside, read_json, words_of, write_json
from gan_caption.untrusted.parsing import shown

OF_THE_DATA_WITHOUT_EFFECT = ("cache", "keep")
"""Settings below `data` that do not change what is learned, as `WITHOUT_EFFECT` has them of the others."""
DATA = "data.json"
"""In a run's folder: what its data are. Runs of earlier versions lack it, and so do runs on data that are drawn."""
_LISTED = 10
"""Differences that a message names, at most."""


@dataclass(frozen=True)
class KnownData:
    """What the data of a run are, told without where they lie."""

    splits: Mapping[str, str]
    """Fingerprints (see `Split.fingerprint`) of train and val; of test as well, once the run was evaluated on it."""
    locations: tuple[str, ...]
    """Settings below `data` that only say where the data lie."""

    def others(self, known: KnownData) -> list[str]:
        """Return the splits, of those that both know, that hold other images or captions."""
        return [name for name, own in self.splits.items() if known.splits.get(name, own) != own]


@dataclass(frozen=True)
class Differences:
    """In what a run in a folder is another one than a command asks for; false where it is the same."""

    settings: Mapping[str, str]
    """Both values in words, by setting."""
    splits: Sequence[str]
    """Those that hold other images or captions."""

    def __bool__(self) -> bool:
        return bool(self.settings or self.splits)

    def __str__(self) -> str:
        lines = [f"{shown(key)[:120]}: {values}" for key, values in self.settings.items()]
        more = [f"and {len(lines) - _LISTED} more"] if len(lines) > _LISTED else []
        splits = [f"the images or captions of {name} are others" for name in self.splits]
        return "".join(f"\n  {line}" for line in (*lines[:_LISTED], *more, *splits))


def settings_of(config: Mapping[str, Any], locations: Sequence[str] = ()) -> dict[str, Any]:
    """Return the settings that change what is learned; paths in them are absolute, however they were written.

    Args:
        config: of a run.
        locations: settings below `data` that are left out, where the data themselves are known.
    """
    kept = {key: value for key, value in config.items() if key not in WITHOUT_EFFECT}
    for key in SINCE:
        if _is_off(kept.get(key)):
            kept.pop(key, None)  # so that runs of before there were any are found again
    if kept.get("tokenizer") == words_of(config):
        del kept["tokenizer"]  # so are those of before there was a choice
    kept = without_noise_law(kept)  # and those of before there were two
    kept = without_later(kept)
    for key in ("pretrained", "pretrained_discriminator", "begin_from"):
        if kept.get(key):
            kept[key] = _place(kept[key])
    if isinstance(kept.get("encoder"), Mapping) and "root" in kept["encoder"]:
        kept["encoder"] = {**kept["encoder"], "root": _place(kept["encoder"]["root"])}
    if isinstance(kept.get("data"), Mapping):
        without = (*OF_THE_DATA_WITHOUT_EFFECT, *locations)
        kept["data"] = {key: value for key, value in kept["data"].items() if key not in without}
    return kept


def _is_off(value: Any) -> bool:
    """Tell whether a setting, or every one of a group, is as runs of before had it: not asked for."""
    return all(map(_is_off, value.values())) if isinstance(value, Mapping) else not value


def _place(path: Any) -> Any:
    """Return the one way to write a path; what is none stays as it is."""
    try:
        return os.path.realpath(at_home(path)) if isinstance(path, str | Path) else path
    except ValueError:  # of a page from elsewhere: no system has such a name
        return path


def configuration_hash(config: Mapping[str, Any], locations: Sequence[str] = ()) -> str:
    """Return six hexadecimal digits that names of folders tell settings apart by; now and then two share them."""
    return hashlib.sha256(_written(settings_of(config, locations)).encode()).hexdigest()[:6]


def same_settings(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Tell whether two configurations differ in nothing that changes a result."""
    return _written(settings_of(one)) == _written(settings_of(other))


def differences(folder: Path, config: Mapping[str, Any], known: KnownData | None) -> Differences:
    """Return in what the run of a folder is another one than that of a configuration.

    Where both know what their data are, these are compared, and not where they lie.

    Args:
        folder: of a run.
        config: of the other.
        known: of the other's data; None where its settings say all.

    Raises:
        UserError: the folder's files are damaged.
    """
    stored = read_data(folder)
    locations = known.locations if known and stored else ()
    told = renewed(read_json(folder / "config.json"))
    try:
        there, here = (flattened(settings_of(one, locations)) for one in (told, config))
        settings = {
            key: f"{_value(there, key)} there, {_value(here, key)} here"
            for key in dict.fromkeys([*here, *there])
            if _written([key in there, there.get(key)]) != _written([key in here, here.get(key)])
        }
    except RecursionError as error:
        raise UserError(f"{folder / 'config.json'} is nested too deeply: is the run folder whole?") from error
    return Differences(settings, known.others(stored) if known and stored else ())


def _value(settings: Mapping[str, Any], key: str) -> str:
    written = repr(settings[key]) if key in settings else "nothing"
    return written if len(written) <= 120 else f"{written[:117]}..."


def _written(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def flattened(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return settings by their dotted keys."""
    return dict(_leaves(config, prefix))


def _leaves(config: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def read_data(folder: Path) -> KnownData | None:
    """Return what a run notes of its data; None where it notes nothing.

    Raises:
        UserError: the note is damaged.
    """
    path = inside(folder, DATA)
    if not path.exists():
        return None
    told = read_json(path)
    splits, locations = told.get("splits"), told.get("locations")
    if (
        not isinstance(splits, dict)
        or not isinstance(locations, list)
        or not all(isinstance(one, str) for one in (*splits.values(), *locations))
    ):
        raise UserError(f"{path} does not tell what the run's data are: is the run folder whole?")
    return KnownData(splits, tuple(locations))


def write_data(folder: Path, known: KnownData) -> None:
    """Note in a run's folder what its data are."""
    write_json(folder / DATA, {"splits": dict(known.splits), "locations": list(known.locations)})


def add_split(folder: Path, split: Split) -> None:
    """Note a further split in the folder of a run that knows its data."""
    known = read_data(folder)
    if known is not None:
        write_data(folder, KnownData({**known.splits, split.name: split.fingerprint}, known.locations))
