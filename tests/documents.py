"""What the documents tell their readers to type."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROGRAMS = ("python", "pip", "torchrun", "pytest", "ruff", "wandb", "tensorboard", "pre-commit", "printf")
COMMAND = re.compile(rf"(?:{'|'.join(PROGRAMS)}) .+")
ASSIGNMENT = re.compile(r"\w+=\$\(.*\)$")
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
SPAN = re.compile(r"`([^`]+)`")
MENTIONED = ("wandb sync", "torchrun --max_restarts")
"""Named in the middle of a sentence, without what they are given."""


def documents() -> list[Path]:
    """Return every document that people read, but for the tables that studies write."""
    top = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")]
    rooms = ("gan_caption", "conf", "experiments")
    below = (path for room in rooms for path in sorted((ROOT / room).rglob("README.md")))
    return [*top, *(path for path in below if "outputs" not in path.relative_to(ROOT).parts)]


def commands(text: str) -> list[str]:
    """Return what a document tells to type into bash, in its order.

    That is each line of an indented block that begins with a program or sets a variable (a line that ends in a
    backslash goes on), and each inline piece of code that begins with a program.
    """
    found = []
    prose: list[str] = []
    lines = iter(FENCED.sub("", text).splitlines())
    for line in lines:
        if not line.startswith("    "):
            prose.append(line)
            continue
        found += _inline(prose)
        prose = []
        typed = line[4:]
        while typed.endswith("\\"):
            typed += "\n" + next(lines)[4:]
        if COMMAND.match(typed) or ASSIGNMENT.match(_plain(typed)):
            found.append(typed)
    return found + _inline(prose)


def scripts(text: str) -> list[str]:
    """Return a document's pieces of Python that are not said to be files."""
    named = re.compile(r"`[\w/]+\.py`[^`]*\n\n```python\n(.*?)^```$", re.M | re.S)
    files = {match[1] for match in named.finditer(text)}
    return [code for language, code in FENCED.findall(text) if language == "python" and code not in files]


def _inline(prose: list[str]) -> list[str]:
    """Return the commands among the pieces of code of a paragraph, each shown in one line wherever it is broken."""
    spans = [" ".join(span.split()) for span in SPAN.findall("\n".join(prose))]
    return [span for span in spans if COMMAND.fullmatch(span) and span not in MENTIONED]


def _plain(typed: str) -> str:
    """Return a line without its comment."""
    return re.sub(r"\s+#.*", "", typed).strip()
