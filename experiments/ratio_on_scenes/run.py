"""Can a discriminator beat maximum likelihood at its best temperature and nucleus? See README.md."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.ratio_on_scenes.ladder import table_of_rungs
from experiments.study import finished, train_all

HERE = Path(__file__).parent
TUNING, SEEDS = (100,), tuple(range(10))
QUICK_SEEDS = (0, 1)
SETTING = ("tracker=local", "data.train=20000", "holdout.check=0.05")
CONVERGED = (
    "phases.words.steps=800", "phases.mle.epochs=4", "phases.mle.images_per_batch=32",
    "phases.mle.selected_by=nll_per_token",
)  # fmt: skip
"""Until held-out NLL has all but stopped falling: .008 nats a caption in the last of eight validations."""
QUICK = (
    "data.train=600", "data.val=40", "data.test=60", "phases.words.steps=60", "phases.mle.epochs=1",
    "discriminator_training.steps=20", "adversarial.steps=5", "adversarial.validate_every=5",
)  # fmt: skip
BATCH = ("discriminator_training.images_per_batch=32", "discriminator_trainer.captions_per_image=5")
"""Of D: 160 captions of people and 160 samples, as many captions as a step of maximum likelihood has twice."""


@dataclass(frozen=True)
class Rung:
    """A discriminator of the ladder."""

    name: str
    overrides: tuple[str, ...]
    matching: int = 0
    """Steps in which it learns from people's captions alone, before it meets a sample."""


def _inner(kind: str) -> tuple[str, ...]:
    return (f"discriminator@discriminator.discriminator={kind}",)


_EYES = (*_inner("own_eyes"), "discriminator@discriminator.discriminator.discriminator=coattention")
RUNGS = (
    Rung("lstm", _inner("lstm")),
    Rung("lstm, matching first", _inner("lstm"), matching=600),
    Rung("co-attention", _inner("coattention")),
    Rung("co-attention, matching first", _inner("coattention"), matching=600),
    Rung("each word (dense)", _inner("dense")),
    Rung("log p - log p_ref", _inner("likelihood_ratio")),
    Rung("log p - log p_ref, matching first", _inner("likelihood_ratio"), matching=600),
    Rung("own eyes, co-attention, matching first", _EYES, matching=600),
    Rung("lstm, no image", (*_inner("blind"), "discriminator@discriminator.discriminator.discriminator=lstm")),
)


def baseline(seed: int, quick: Sequence[str]) -> tuple[str, ...]:
    return "+experiment=mle", f"seed={seed}", *SETTING, *CONVERGED, *quick


def rung(one: Rung, seed: int, base: Path, quick: Sequence[str]) -> tuple[str, ...]:
    """Return the run of a rung: D alone learns, for all its steps, measured on images that nobody learned from."""
    first = ()
    if one.matching:
        first = ("+phase@phases.matching=matching", f"phases.matching.steps={one.matching if not quick else 10}",
                 "phases.matching.trainer.captions_per_image=5")  # fmt: skip
    return (
        *first, "+experiment=residual_ebm", f"seed={seed}", f"pretrained={base}", *SETTING, *BATCH,
        "discriminator_training.steps=2000", "phases.ratio.check_every=100", "phases.ratio.patience=0",
        *one.overrides, *quick,
    )  # fmt: skip


def main(size: str = "full", *given: str) -> None:
    if size not in ("full", "ladder", "quick", "tables"):
        sys.exit(f"size {size}: full, ladder, quick, or tables of what is finished")
    workers = int(next((one.partition("=")[2] for one in given if one.startswith("workers=")), "2"))
    quick = QUICK if size == "quick" else ()
    outputs = HERE / "outputs" / ("quick" if quick else "full")
    where = outputs if quick else HERE
    seeds = QUICK_SEEDS[:1] if quick else TUNING
    (base,) = _runs([baseline(seed, quick) for seed in seeds], outputs, workers=0 if size == "tables" else workers)
    if base is not None:
        runs = _runs([rung(one, seeds[0], base, quick) for one in RUNGS], outputs,
                     workers=0 if size == "tables" else workers)  # fmt: skip
        found = {one.name: run for one, run in zip(RUNGS, runs, strict=True) if run}
        (where / "ladder.md").write_text(table_of_rungs(found) + "\n")
        print(table_of_rungs(found))


def _runs(wanted: Sequence[Sequence[str]], outputs: Path, *, workers: int) -> list[Path | None]:
    """Train so many at a time; with 0 workers return what is finished."""
    if not workers:
        return [finished(*one, "threads=1", outputs=outputs) for one in wanted]
    return list(train_all(wanted, outputs=outputs, workers=workers))


if __name__ == "__main__":
    main(*sys.argv[1:])
