"""Commands as shells read them."""

from __future__ import annotations

import subprocess

SHELLS = ("bash", "dash")


def pasted(command: str, shell: str) -> list[str]:
    """Return the words that a command's program is given when it is pasted into a shell; the program is not run."""
    program = command.split(" ", 1)[0]
    listing = f"{program}() {{ printf '%s\\0' \"$@\"; }}\n{command}"
    told = subprocess.run([shell, "-c", listing], capture_output=True, check=True)
    return told.stdout.decode().split("\0")[:-1]
