"""The systems of runs, loaded to be shown side by side, by names that tell them apart."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gan_caption.configuration.building import Part
from gan_caption.decoding.decoders import Reranked
from gan_caption.decoding.reweighted import Reweighted
from gan_caption.evaluation.comparison import Chosen, name_runs
from gan_caption.evaluation.trained import usable_weights
from gan_caption.inference.captioner import Captioner
from gan_caption.training.folders import BASELINE, best_weights, digest_of, read_settings
from gan_caption.training.setup import decoding_of


@dataclass(frozen=True)
class _Shown:
    """A system, and whose it is."""

    phase: str
    runs: list[str]
    captioner: Captioner


def load_systems(
    folders: Sequence[Path], *, device: str = "auto", allow: str | Sequence[str] = (), decoding: Part | None = None
) -> dict[str, Captioner]:
    """Load what every phase of runs has left, by the names that a page gives it: runs in their order, phases in theirs.

    A baseline that several runs share, the same weights decoded alike, comes once, with the discriminator of the first.

    Args:
        folders: the runs', at least one.
        device: "auto", "cpu", "cuda" ...
        allow: packages of your own whose classes the runs may name.
        decoding: how one caption comes about; None: as each phase, or else its run, decodes.

    Raises:
        UserError: a run has no weights yet, or two are the same; see `Captioner.load`.
    """
    runs = [_usable(folder, allow) for folder in folders]
    node = None if decoding is None else decoding.node
    shown: list[_Shown] = []
    baselines: dict[str, _Shown] = {}
    for name, run in zip(name_runs(runs), runs, strict=True):
        for phase in usable_weights(run.folder, run.settings):
            how = _what_it_says(run, phase, decoding)
            if phase == BASELINE and how in baselines:
                baselines[how].runs.append(name)
                continue
            captioner = Captioner.load(
                run.folder, weights=phase, device=device, allow=allow, decoding=node, confidence=False
            )
            shown.append(_Shown(phase, [name], captioner))
            if phase == BASELINE and not isinstance(captioner.decoder, Reweighted | Reranked):  # judges are a run's own
                baselines[how] = shown[-1]
    return {_name(one, runs=len(runs)): one.captioner for one in shown}


def _usable(folder: Path, allow: str | Sequence[str]) -> Chosen:
    """Return a run by the last weights that it has left."""
    settings = read_settings(folder, allow=allow)
    return Chosen(folder, settings, usable_weights(folder, settings)[-1], known=None)


def _what_it_says(run: Chosen, phase: str, decoding: Part | None) -> str:
    """Return what tells whether two systems write the same captions, where no judge chooses them."""
    used = decoding or decoding_of(run.settings, phase)
    weights = digest_of(best_weights(run.folder, phase))
    return json.dumps([weights, used.node, run.settings.max_length], sort_keys=True)


def _name(one: _Shown, *, runs: int) -> str:
    if one.phase == BASELINE and len(one.runs) == runs:
        return "maximum likelihood (the baseline)"
    return f"{', '.join(one.runs)} ({'maximum likelihood' if one.phase == BASELINE else one.phase})"
