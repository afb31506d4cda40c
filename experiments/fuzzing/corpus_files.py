"""The targets, and what each is fed."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from types import ModuleType

from experiments.fuzzing import targets

CORPUS = Path(__file__).parent / "corpus"


def target_names() -> list[str]:
    """Return the names of all targets."""
    return sorted(one.name for one in pkgutil.iter_modules(targets.__path__))


def target(name: str) -> ModuleType:
    """Import a target."""
    return importlib.import_module(f"experiments.fuzzing.targets.{name}")


def inputs(name: str) -> dict[str, bytes]:
    """Return a target's seeds by name, made and kept."""
    kept = {path.name: path.read_bytes() for path in sorted((CORPUS / name).glob("*"))}
    return {**target(name).seeds(), **kept}
