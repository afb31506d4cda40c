"""The curve that tells how probably a run's caption is right, as `calibrating` leaves it in the run's folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gan_caption.distributed.world import say
from gan_caption.errors import UserError, is_number
from gan_caption.metrics.calibration import Logistic
from gan_caption.training.folders import best_weights, digest_of, inside, read_json


def confidence_file(folder: Path, phase: str) -> Path:
    """Return where a run keeps the curve of the weights that a phase left."""
    return folder / f"confidence_{phase}.json"


def read_curve(folder: Path, phase: str, decoding: Mapping[str, Any]) -> Logistic | None:
    """Return the curve of what a phase's weights say; None where none was fitted to them and to this decoding.

    Args:
        folder: of the run.
        phase: that left the weights.
        decoding: the node of configuration by which captions are written.

    Raises:
        UserError: the file is damaged.
    """
    path = inside(folder, confidence_file(folder, phase).name)
    if not path.exists():
        return None
    told = read_json(path)
    numbers = told.get("intercept"), told.get("slope")
    if not all(map(is_number, numbers)):
        raise UserError(f"{path} holds no confidence: delete it, or fit it again by gan_caption.calibrate")
    if told.get("weights") != digest_of(best_weights(folder, phase)):
        say(f"{path} is of other weights, and tells nothing of these: gan_caption.calibrate fits it anew")
        return None
    if told.get("decoding") != decoding:
        say(f"{path} is of captions decoded otherwise: gan_caption.calibrate fits it anew by the same decoding=...")
        return None
    return Logistic(*map(float, numbers))  # type: ignore[arg-type]
