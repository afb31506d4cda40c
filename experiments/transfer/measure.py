"""What is kept of a run: its endpoint image by image, at home and away, and what stands beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from experiments.composing import composed
from gan_caption.evaluation.settings import transfer_from
from gan_caption.evaluation.transfer import Measured
from gan_caption.reporting.transfer import in_both_places
from gan_caption.training.folders import read_settings

PLACES = ("home", "away")


def found(run: Path, away: Sequence[str], endpoint: str) -> dict[str, Any]:
    """Measure a run's last weights in both places.

    Args:
        run: its folder.
        away: the other data, and their split.
        endpoint: a metric, by name.

    Returns:
        of "home" and "away": "images", a hash of them and their captions; "scores", the endpoint of each, (N,);
        "values" of all metrics; "humans", the same of people; "unsayable", the words of people that the run has no
        token for.
    """
    asked = (f"runs=[{run}]", f"against={read_settings(run).title}", *away, f"endpoint={endpoint}")
    places = in_both_places(transfer_from(composed(*asked, config_name="transfer")))
    return {name: _kept(place, endpoint) for name, place in zip(PLACES, places, strict=True)}


def _kept(there: Measured, endpoint: str) -> dict[str, Any]:
    ((system,), ((lacking,),)) = there.systems, there.unsayable.values()
    (run,) = system.runs
    return {
        "images": there.place.split.fingerprint,
        "scores": [round(float(value), 4) for value in run.scores[endpoint].per_image],
        "values": {name: score.corpus for name, score in run.scores.items()} | dict(run.values),
        "humans": dict(there.humans),
        "unsayable": asdict(lacking),
    }
