"""The records of a run: JSON lines in its folder, written while it trains and read by whoever looks at it."""

from __future__ import annotations

import hashlib
import json
import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gan_caption.errors import UserError
from gan_caption.files import write_atomically
from gan_caption.training.tracking import Sample, small_image
from gan_caption.untrusted.parsing import parse_json

if TYPE_CHECKING:
    from PIL import Image

METRICS = "metrics.jsonl"
SAMPLES = "samples.jsonl"


class LocalTracker:
    """JSON lines in the run's folder: `metrics.jsonl`, and `samples.jsonl` with small images under `samples/`.

    Each record is one line with `step`, `phase` and `time` (seconds since 1970) and is handed to the system at once.
    A line that a crash cut short is dropped when the run is taken up again.
    """

    def __init__(self, *, folder: Path, job_type: str = "train") -> None:
        """Open the files, or those of the run that is being resumed.

        Args:
            folder: the run's folder.
            job_type: what the records say as their phase, unless they name another.

        Raises:
            UserError: the folder cannot be written, or a file in it is damaged (the line is named).
        """
        self.folder = folder
        self.job_type = job_type
        self._keep(lambda record: True)

    def log(self, values: Mapping[str, float], *, step: int, phase: str | None = None) -> None:
        """Append one line to `metrics.jsonl`; NaN and infinity become null.

        Raises:
            UserError: the disk is full.
        """
        self._append(METRICS, step, phase, {name: _number(value) for name, value in values.items()})

    def samples(self, rows: Sequence[Sample], *, step: int, phase: str | None = None) -> None:
        """Append one line an image to `samples.jsonl`: image_id, captions, references, image (a file's name or null).

        Raises:
            UserError: the disk is full.
        """
        for row in rows:
            self._append(
                SAMPLES,
                step,
                phase,
                {
                    "image_id": row.image_id,
                    "captions": dict(row.captions),
                    "references": list(row.references),
                    "image": row.image and self._save_image(row.image_id, row.image),
                },
            )

    def finish(self, status: str) -> None:
        """Do nothing: every line is already written."""

    def rewind(self, step: int) -> None:
        """Drop the records after this step, because the run goes on from there.

        Args:
            step: the checkpoint's.
        """
        self._keep(lambda record: record["step"] <= step)

    def _append(self, name: str, step: int, phase: str | None, content: dict[str, Any]) -> None:
        record = {"step": step, "phase": phase or self.job_type, "time": round(time.time(), 3)}
        if record.keys() & content.keys():
            raise ValueError(f"values named {sorted(record.keys() & content.keys())}: every record has these already")
        path = self.folder / name
        try:
            with path.open("ab") as file:
                line = json.dumps(record | content, ensure_ascii=False)
                file.write(line.encode(errors="replace") + b"\n")  # a file's name may be no UTF-8
        except OSError as error:
            raise UserError(
                f"cannot write to {path}: {error.strerror}. Free some space, or choose another folder, and start again"
            ) from error

    def _save_image(self, image_id: str, image: Image.Image) -> str:
        """Write the image where it is not yet, and return its name relative to the folder."""
        stem = re.sub(r"[^A-Za-z0-9._-]", "_", image_id)[:80]
        if stem != image_id:  # two ids must not meet in one name
            stem += f"_{hashlib.sha256(image_id.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"
        path = self.folder / "samples" / f"{stem}.png"
        if not path.exists():
            small = small_image(image)
            write_atomically(path, lambda file: small.save(file, format="PNG"))
        return path.relative_to(self.folder).as_posix()

    def _keep(self, wanted: Callable[[dict[str, Any]], bool]) -> None:
        """Keep the complete lines that are wanted, verbatim; rewrite a file only if that changes it."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"cannot make {self.folder}: {error.strerror}. Choose another folder") from error
        for path in (self.folder / METRICS, self.folder / SAMPLES):
            if not path.exists():
                continue
            before = path.read_bytes()
            after = b"".join(line + b"\n" for line, record in _complete_lines(path, before) if wanted(record))
            if after != before:
                write_atomically(path, lambda file, content=after: file.write(content))  # type: ignore[misc]


def read_records(path: Path) -> list[dict[str, Any]]:
    """Read `metrics.jsonl` or `samples.jsonl`, without a last line that is half-written.

    Raises:
        UserError: there is no such file, or a line before the last is damaged (it is named).
    """
    try:
        return [record for _, record in _complete_lines(path, path.read_bytes())]
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error


def _complete_lines(path: Path, content: bytes) -> list[tuple[bytes, dict[str, Any]]]:
    lines = content.splitlines()
    complete = []
    for number, line in enumerate(lines, start=1):
        try:
            record = parse_json(line)
            if not isinstance(record, dict) or not isinstance(record.get("step"), int):
                raise ValueError("a record is an object and has its step")
            complete.append((line, record))
        except ValueError as error:
            if number < len(lines):
                raise UserError(f"{path}, line {number} is damaged: remove the line, or the file") from error
    return complete


def _number(value: Any) -> float | int | None:
    """Turn a number or a tensor of one element into what JSON can hold."""
    if isinstance(value, int):
        return value
    value = float(value)
    return value if math.isfinite(value) else None
