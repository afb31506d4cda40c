"""What a Java program needs: the extra with the jars, a Java of a fitting version, memory, and one locale."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

from gan_caption.errors import UserError

SETTINGS = ("-Duser.language=en", "-Duser.country=US", "-Dfile.encoding=UTF-8")
"""For any locale: a decimal comma or a Turkish i would change scores; they win over JAVA_TOOL_OPTIONS."""
_MISSING = "{what} needs the programs of pycocoevalcap: pip install 'gan_caption[java]'"
_SECONDS_TO_ANSWER = 60


def folder_of(part: str, *, what: str) -> Path:
    """Return the folder of a part of pycocoevalcap, where its jar lies.

    Args:
        part: `meteor` or `spice`.
        what: the metric, for messages.

    Raises:
        UserError: the extra is not installed.
    """
    try:
        found = find_spec(f"pycocoevalcap.{part}")
    except ModuleNotFoundError:
        found = None
    if found is None or not found.submodule_search_locations:
        raise UserError(_MISSING.format(what=what))
    return Path(next(iter(found.submodule_search_locations)))


def find_java(*, lowest: int, highest: int | None, what: str) -> str:
    """Return the path of Java: that of JAVA_HOME, or the first on the path.

    Args:
        lowest: version, 8 for what calls itself 1.8.
        highest: version; None: any later one does.
        what: the metric, for messages.

    Raises:
        UserError: there is no Java, it does not start, or its version does not fit.
    """
    wanted = f"Java {lowest} or newer" if highest is None else f"Java {lowest} to {highest}"
    home = os.environ.get("JAVA_HOME")
    path = shutil.which("java", path=f"{home}/bin") if home else None
    path = path or shutil.which("java")
    if path is None:
        raise UserError(f"{what} needs {wanted}, and no `java` is on the path: install a JRE, or set JAVA_HOME")
    try:
        done = subprocess.run([path, "-version"], capture_output=True, text=True, timeout=_SECONDS_TO_ANSWER)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UserError(f"{what} needs {wanted}: {path} does not answer ({error}); set JAVA_HOME to another") from error
    version = re.search(r'version "(?:1\.)?(\d+)', done.stderr + done.stdout)
    if version is None:
        raise UserError(f"{what} needs {wanted}: {path} does not tell its version; set JAVA_HOME to another")
    if int(version[1]) < lowest or (highest is not None and int(version[1]) > highest):
        raise UserError(f"{what} needs {wanted}: {path} is Java {version[1]}; set JAVA_HOME to another")
    return path


def enough_memory(gigabytes: float, *, what: str) -> None:
    """Refuse to start a Java program that this machine would kill.

    Raises:
        UserError: less memory is free than the program may take, or the extra is not installed.
    """
    try:
        import psutil
    except ModuleNotFoundError as error:
        raise UserError(_MISSING.format(what=what)) from error
    free = psutil.virtual_memory().available / 2**30
    if free < gigabytes:
        raise UserError(f"{what} takes up to {gigabytes} GB of memory, {free:.1f} GB are free: close something")
