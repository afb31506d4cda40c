"""Can a discriminator beat maximum likelihood at its best temperature and nucleus? See README.md."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from experiments.ratio import QUICK_DECODING, Arm, Rung, begun_with, matching_first, table_of_trials, wrapped
from experiments.ratio_on_scenes.arms import (
    ARMS,
    CHOSEN,
    LONG,
    LONGER,
    LONGER_RUNGS,
    MLE,
    OTHERS,
    QUICK_ARMS,
    QUICK_RUNGS,
    RATES,
    RUNGS,
)
from experiments.ratio_on_scenes.captioners import knows, table_of_captioners
from experiments.ratio_on_scenes.figures import calibration_figure, differences_figure, ladder_figure
from experiments.ratio_on_scenes.ladder import EVERY, known, table_of_rungs
from experiments.ratio_on_scenes.measure import best, divergence
from experiments.ratio_on_scenes.verdict import RIVALS, compared, table_of_systems, tried
from experiments.records import NOWHERE, Records, Wanted, options
from experiments.study import write_png

HERE = Path(__file__).parent
TUNING, SEEDS = 100, tuple(range(5))
SETTING = ("tracker=local", "data.train=20000", "holdout.check=0.05")
SCHEDULE = (
    "phases.words.steps=800", "phases.mle.epochs=4", "phases.mle.images_per_batch=32",
    "phases.mle.selected_by=nll_per_token",
)  # fmt: skip
OF_D = (
    "discriminator_training.images_per_batch=32", "discriminator_trainer.captions_per_image=5",
    "discriminator_training.steps=2000", f"phases.ratio.check_every={EVERY}", "phases.ratio.patience=0",
)  # fmt: skip
"""160 captions of people and 160 samples a step; a step of maximum likelihood has 160 captions. All steps are made, and
the weights with the lowest held-out log-loss are kept: where matching came first it rises for 600 steps before it falls
below what it was."""
UPDATES = (
    "adversarial.steps=300", "adversarial.images_per_batch=32", "adversarial.validate_every=100",
    "adversarial.quality_floor=0", "adversarial.entropy_floor=0",
)  # fmt: skip
QUICK = (
    "data.train=100", "data.val=8", "data.test=8", "max_length=10",
    "encoder.width=8", "size.hidden=16", "size.embedding=16",
    "phases.words.steps=5", "phases.words.images_per_batch=8", "phases.mle.epochs=2", "phases.mle.images_per_batch=8",
    "discriminator_training.steps=4", "discriminator_training.images_per_batch=8",
    "adversarial.steps=2", "adversarial.images_per_batch=8", "adversarial.validate_every=2",
)  # fmt: skip

Found = dict[str, dict[int, Mapping[str, Any]]]
"""What is kept of runs, by name and seed."""


class Study:
    """The runs of one size: each is trained and measured unless its record is kept."""

    def __init__(
        self, size: str, *, workers: int, records: Path | None = None, only: Collection[int] | None = None
    ) -> None:
        """Set where they are kept, how many run at a time, of which seeds; with 0 workers what is finished is found."""
        self.quick = QUICK if size == "quick" else ()
        self.longer = LONGER if size == "converged" else ()  # whose baseline is the other part's rival
        self.outputs = HERE / "outputs" / ("quick" if self.quick else "full")
        place = self.outputs if self.quick else HERE / "converged" if self.longer else HERE
        if records and self.longer:  # beside those of the other part, as they lie here
            records = records.parent / "converged" / records.name
        self.records = Records(records or place / "records")
        self.tables = self.records.folder.parent
        self.seeds = SEEDS[:2] if self.quick else SEEDS
        self.tuning = SEEDS[0] if self.quick else TUNING  # where nothing is learned, the trials may be the runs
        self.rungs = QUICK_RUNGS if self.quick else LONGER_RUNGS if self.longer else RUNGS
        self.others = dict(list(OTHERS.items())[:1]) if self.quick or self.longer else OTHERS
        self.arms = QUICK_ARMS if self.quick else ARMS if self.longer else tuple(one for one in ARMS if not one.learns)
        self.rates = RATES[:1] if self.quick else RATES
        self.workers, self.only = workers, only

    def baseline(self, seed: int, *more: str) -> tuple[str, ...]:
        """Return the overrides of the baseline."""
        return ("+experiment=mle", f"seed={seed}", *SETTING, *SCHEDULE, *self.longer, *more, *self.quick)

    def rung(self, rung: Rung, seed: int, base: Path) -> tuple[str, ...]:
        """Return the overrides of a run in which a discriminator alone learns."""
        steps = 10 if self.quick else rung.matching
        matching = matching_first(steps) if rung.matching else ()
        given = ("+experiment=residual_ebm", f"seed={seed}", f"pretrained={base}", *SETTING, *OF_D)
        few = QUICK_DECODING if self.quick else ()
        return (*matching, *given, *rung.overrides, *few, *self.quick)

    def arm(self, arm: Arm, seed: int, base: Path, judge: Path, *, rate: str | None) -> tuple[str, ...]:
        """Return the overrides of an arm."""
        taken = (f"pretrained_discriminator={judge}", *OF_D, *_chosen().overrides) if arm.judged else ()
        own = (*OF_D, *wrapped(_chosen().overrides, arm.around), *arm.taught_by) if arm.around else ()
        learned = () if rate is None else (*UPDATES, f"adversarial.learning_rate={rate}")
        return (
            f"+experiment={arm.page}", f"seed={seed}", f"pretrained={base}", *SETTING, *taken, *own, *learned,
            *arm.overrides, *(QUICK_DECODING if self.quick and arm.resamples else ()), *self.quick,
        )  # fmt: skip

    def known(self, wanted: Callable[..., list[Wanted]], seeds: Sequence[int], *, judged: bool) -> Found:
        """Return what is found of all runs, by name and seed; see `Records.known`.

        Args:
            wanted: the runs, of a seed, its baseline's folder and that of its discriminator.
            seeds: of them.
            judged: whether any of them is given the seed's discriminator.
        """
        judge = partial(self.rung, _chosen()) if judged else None
        prepare = begun_with(self.baseline, judge, outputs=self.outputs, workers=self.workers)
        return self.records.known(wanted, seeds, prepare, outputs=self.outputs, workers=self.workers, only=self.only)


def _chosen() -> Rung:
    (chosen,) = (rung for rung in RUNGS if rung.name == CHOSEN)
    return chosen


def climb(study: Study) -> None:
    """Train the ladder, and write its table and its figures."""

    def wanted(seed: int, base: Path = NOWHERE) -> list[Wanted]:
        own = ((rung, study.rung(rung, seed, base)) for rung in study.rungs)
        return [Wanted(f"ladder, {rung.name}", seed, overrides, known) for rung, overrides in own]

    found = study.known(wanted, [study.tuning], judged=False)
    if not found:
        print("no discriminator of the ladder is finished yet")
        return
    rungs = {name.removeprefix("ladder, "): own[study.tuning] for name, own in found.items()}
    table = table_of_rungs(rungs)
    (study.tables / "ladder.md").write_text(f"{table}\n")
    print(table)
    write_png(ladder_figure(rungs), study.tables / "ladder.png")
    write_png(calibration_figure(rungs), study.tables / "calibration.png")


def ask_others(study: Study) -> None:
    """Train other captioners, and write the table of what they know of the first one's samples."""

    def wanted(seed: int, base: Path = NOWHERE) -> list[Wanted]:
        measure = partial(knows, base=base)
        others = study.others.items() if seed == study.tuning else list(study.others.items())[:1]
        own = ((name, study.baseline(seed + 1, *more)) for name, more in others)
        return [Wanted(f"captioner {name}", seed, overrides, measure) for name, overrides in own]

    found = study.known(wanted, list(dict.fromkeys((study.tuning, *study.seeds))), judged=False)
    if found:
        table = table_of_captioners(found, study.seeds)
        (study.tables / "captioners.md").write_text(f"{table}\n")
        print(table)


def tune(study: Study) -> dict[str, str]:
    """Return the best learning rate of each arm that learns, by the divergence on validation scenes of one seed."""
    arms = [arm for arm in study.arms if arm.learns]
    trials = {f"{arm.name}, rate {rate}": (arm, rate) for arm in arms for rate in study.rates}

    def wanted(seed: int, base: Path = NOWHERE, judge: Path = NOWHERE) -> list[Wanted]:
        own = ((name, arm, study.arm(arm, seed, base, judge, rate=rate)) for name, (arm, rate) in trials.items())
        return [Wanted(name, seed, overrides, partial(divergence, phase=arm.phase)) for name, arm, overrides in own]

    found: dict[str, dict[str, float]] = {}
    known_trials = study.known(wanted, [study.tuning], judged=True)
    for name, own in known_trials.items():
        arm, rate = trials[name]
        found.setdefault(arm.name, {})[rate] = own[study.tuning]["validation_jsd"]
    if found:
        parts = [table_of_trials(found, RATES), tried(known_trials), study.records.doubts(wanted(study.tuning))]
        (study.tables / "tuning.md").write_text("\n\n".join(filter(None, parts)) + "\n")
    return {name: best(one) for name, one in found.items()}


def compare(study: Study, rates: Mapping[str, str]) -> None:
    """Train all arms from all baselines, measure them, and write the table and the figure."""
    arms = [arm for arm in study.arms if not arm.learns or arm.name in rates]

    def wanted(seed: int, base: Path = NOWHERE, judge: Path = NOWHERE) -> list[Wanted]:
        plain = partial(divergence, phase="mle")
        likelihood = {MLE: study.baseline(seed)}
        if not study.longer:
            likelihood[LONG] = study.baseline(seed, *LONGER)
        told = [Wanted(name, seed, overrides, plain) for name, overrides in likelihood.items()]
        for arm in arms:
            overrides = study.arm(arm, seed, base, judge, rate=rates.get(arm.name))
            told.append(Wanted(arm.name, seed, overrides, partial(divergence, phase=arm.phase)))
        return told

    found = study.known(wanted, study.seeds, judged=True)
    if not found:
        print("no arm is finished yet")
        return
    told = study.records.doubts([one for seed in study.seeds for one in wanted(seed) if one.name != LONG])
    planned = [one.name for one in wanted(study.tuning)] + [arm.name for arm in study.arms if arm not in arms]
    table = "\n\n".join(part for part in (table_of_systems(found, planned), told) if part)
    (study.tables / "table.md").write_text(f"{table}\n")
    print(table)
    write_png(differences_figure({rival: compared(found, rival) for rival in RIVALS}), study.tables / "figure.png")


def main(size: str = "full", *given: str) -> None:
    if size not in ("full", "ladder", "converged", "quick", "tables"):
        sys.exit(f"size {size}: full, ladder, converged, quick, or tables of what is finished")
    told = options(given)
    of = told.others
    if not {*of} <= {"full", "converged"} or (of and size != "tables"):
        sys.exit(f"{' '.join(of)}: only `tables` is told of which part, full or converged")
    for one in (of or ("full", "converged")) if size == "tables" else (size,):
        workers = 0 if size == "tables" else told.workers
        study = Study(one, workers=workers, records=told.records, only=told.seeds)
        study.tables.mkdir(parents=True, exist_ok=True)
        climb(study)
        ask_others(study)
        if one != "ladder":
            compare(study, tune(study))


if __name__ == "__main__":
    main(*sys.argv[1:])
