"""A captioner's curve of quality and diversity, as an evaluation keeps it.

Shapes: N images, K samples an image.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gan_caption.errors import UserError
from gan_caption.files import write_atomically
from gan_caption.training.folders import finite
from gan_caption.untrusted.parsing import parse_json


@dataclass(frozen=True)
class CurvePoint:
    """What was sampled in one way."""

    temperature: float
    """Above 0."""
    top_p: float
    """Above 0; 1 samples from all words."""
    values: dict[str, np.ndarray]
    """By metric, of each image's samples, (N,) float64."""
    samples: Sequence[Sequence[str]]
    """Of each image K captions."""


def write_curve(path: Path, points: Sequence[CurvePoint]) -> None:
    """Write JSON."""
    told = [
        {
            "temperature": point.temperature,
            "top_p": point.top_p,
            "values": {name: value.tolist() for name, value in point.values.items()},
            "samples": point.samples,
        }
        for point in points
    ]
    write_atomically(path, lambda file: file.write(json.dumps(finite(told), ensure_ascii=False).encode()))


def read_curve(path: Path) -> list[CurvePoint]:
    """Read what `write_curve` wrote.

    Raises:
        UserError: the file is missing or is something else.
    """
    try:
        points = [
            CurvePoint(
                float(told["temperature"]),
                float(told["top_p"]),
                {name: np.array(value, dtype=np.float64) for name, value in told["values"].items()},
                told["samples"],
            )
            for told in parse_json(path.read_bytes())
        ]
        if not all(math.isfinite(one.temperature) and one.temperature > 0 and 0 < one.top_p <= 1 for one in points):
            raise ValueError("a temperature is above 0, and top_p above 0 and at most 1")
        return points
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise UserError(
            f"{path}: no curve here ({repr(error)[:300]}); `python -m gan_caption.evaluate` writes it"
        ) from error
