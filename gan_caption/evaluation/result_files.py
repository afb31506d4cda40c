"""What an evaluation leaves in a run's folder, read with care: the folder may be somebody else's."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from gan_caption.errors import UserError
from gan_caption.metrics.separation import Bin
from gan_caption.training.folders import RESULTS, read_json, within
from gan_caption.untrusted.parsing import parse_json


def read_results(run: Path, folder: Path) -> dict[str, Any]:
    """Return a `results.json`: its "title", and in "systems" and "humans" values by metric, NaN where nothing is known.

    Args:
        run: the run's folder.
        folder: that folder, or one of an evaluation in it.

    Raises:
        UserError: the file is missing, damaged, something else, or leads out of the run's folder.
    """
    path = within(run, folder / RESULTS)
    results = read_json(path)
    try:
        systems = {name: _values(values) for name, values in results["systems"].items()}
        return {**results, "title": str(results["title"]), "systems": systems, "humans": _values(results["humans"])}
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise UserError(f"{path} holds no results ({error!r:.300}): is the run folder whole?") from error


def read_said(run: Path, folder: Path, phase: str) -> list[dict[str, Any]]:
    """Return what a phase's captioner said of every image: "image_id", "caption", "samples", and what D thinks of it.

    Args:
        run: the run's folder.
        folder: that folder, or one of an evaluation in it.
        phase: whose captions they are.

    Raises:
        UserError: the file is missing, damaged, something else, or leads out of the run's folder.
    """
    path = within(run, folder / captions_file(phase))
    try:
        rows = parse_json(path.read_bytes())
        if not isinstance(rows, list):
            raise TypeError("a list, an image a row")
        for row in rows:
            if not isinstance(row["samples"], list):
                raise TypeError("samples are a list")
            texts = [row["image_id"], row["caption"], *row["samples"]]
            if not all(isinstance(text, str) for text in texts):
                raise TypeError("a caption is text")
            if not _is_share(row.get("discriminator", 0.0)):
                raise TypeError("what D thinks of a caption is a probability")
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} holds no captions ({error!r:.300}): delete {folder}, and evaluate again") from error
    return rows


def read_calibration(run: Path, folder: Path, phase: str) -> list[Bin]:
    """Return what a reliability diagram shows of the discriminator beside a phase's weights; [] where nothing was kept.

    Raises:
        UserError: the file is damaged, something else, or leads out of the run's folder.
    """
    path = within(run, folder / calibration_file(phase))
    if not path.exists():
        return []
    try:
        bins = [Bin(**row) for row in parse_json(path.read_bytes())]
        if not all(map(_is_share, chain.from_iterable(one[:3] for one in bins))):
            raise ValueError("weights and probabilities are numbers from 0 to 1")
        if not all(type(one.captions) is int and one.captions > 0 for one in bins):
            raise ValueError("of captions there is a number")
        return bins
    except (OSError, TypeError, ValueError) as error:
        raise UserError(f"{path} holds no calibration ({error!r:.300}): delete {folder}, and evaluate again") from error


def captions_file(phase: str) -> str:
    """Return the name of the file with what a phase's captioner said of every image."""
    return f"captions_{phase}.json"


def curve_file(phase: str) -> str:
    """Return the name of the file with the curve of quality and diversity of a phase's captioner."""
    return f"curve_{phase}.json"


def calibration_file(phase: str) -> str:
    """Return the name of the file with what a reliability diagram shows of D beside a phase's weights."""
    return f"calibration_{phase}.json"


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and 0 <= value <= 1


def _values(values: Mapping[str, Any]) -> dict[str, float]:
    return {name: math.nan if value is None else float(value) for name, value in values.items()}
