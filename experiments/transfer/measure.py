"""What is kept of a run: its endpoint image by image, at home and away, and what stands beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

from experiments.composing import composed
from experiments.study import cost_of
from experiments.transfer.claims import claims
from gan_caption.evaluation.settings import transfer_from
from gan_caption.evaluation.transfer import Measured
from gan_caption.reporting.transfer import in_both_places
from gan_caption.training.folders import read_settings

PLACES = ("home", "away")
TRUE, TRUE_CLAIMS = "oracle_true", "true_claims"
"""Of scenes: the share of true captions, and how many claims a caption makes, 0 if one of them is false."""


def found(run: Path, away: Sequence[str], endpoint: str) -> dict[str, Any]:
    """Measure a run's last weights in both places.

    Args:
        run: its folder.
        away: the other data, and their split.
        endpoint: a metric, by name, or `TRUE_CLAIMS`.

    Returns:
        of "home" and "away": "images", a hash of them and their captions; "scores", the endpoint of each, (N,);
        "values" of all metrics; "humans", the same of people, and of the endpoint; "unsayable", the words of people
        that the run has no token for. And "minutes" of training.
    """
    of_images = TRUE if endpoint == TRUE_CLAIMS else endpoint
    asked = (f"runs=[{run}]", f"against={read_settings(run).title}", *away, f"endpoint={of_images}")
    places = in_both_places(transfer_from(composed(*asked, config_name="transfer")))
    kept = {name: _kept(place, endpoint) for name, place in zip(PLACES, places, strict=True)}
    return {**kept, "minutes": cost_of(run)}


def _kept(there: Measured, endpoint: str) -> dict[str, Any]:
    ((system,), ((lacking,),)) = there.systems, there.unsayable.values()
    (run,) = system.runs
    humans = dict(there.humans)
    if endpoint == TRUE_CLAIMS:
        scores = [true * claims(text) for text, true in zip(run.captions, run.scores[TRUE].per_image, strict=True)]
        humans[endpoint] = fmean(claims(text) for item in there.place.split.items for text in item.captions)
    else:
        scores = list(run.scores[endpoint].per_image)
    return {
        "images": there.place.split.fingerprint,
        "scores": [round(float(value), 4) for value in scores],
        "values": {name: score.corpus for name, score in run.scores.items()} | dict(run.values),
        "humans": humans,
        "unsayable": asdict(lacking),
    }
