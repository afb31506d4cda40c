"""Can a discriminator beat maximum likelihood at its best temperature and nucleus? See README.md."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from experiments.ratio import Arm
from experiments.ratio_on_scenes.arms import ARMS, BLIND, CHOSEN, QUICK_ARMS, QUICK_RUNGS, RATES, RUNGS, Rung
from experiments.ratio_on_scenes.ladder import table_of_rungs
from experiments.ratio_on_scenes.measure import divergence
from experiments.ratio_on_scenes.verdict import table_of_systems, table_of_trials
from experiments.study import cost, found_or_trained

HERE = Path(__file__).parent
TUNING, SEEDS = 100, tuple(range(5))
SETTING = ("tracker=local", "data.train=20000", "holdout.check=0.05")
CONVERGED = (
    "phases.words.steps=800", "phases.mle.epochs=4", "phases.mle.images_per_batch=32",
    "phases.mle.selected_by=nll_per_token",
)  # fmt: skip
OF_D = (
    "discriminator_training.images_per_batch=32", "discriminator_trainer.captions_per_image=5",
    "discriminator_training.steps=2000", "phases.ratio.check_every=100",
)  # fmt: skip
"""160 captions of people and 160 samples a step; a step of maximum likelihood has 160 captions."""
UPDATES = (
    "adversarial.steps=300", "adversarial.images_per_batch=32", "adversarial.validate_every=100",
    "adversarial.quality_floor=0", "adversarial.entropy_floor=0",
)  # fmt: skip
QUICK = (
    "data.train=100", "data.val=8", "data.test=8", "encoder.width=8", "size.hidden=16", "size.embedding=16",
    "phases.words.steps=5", "phases.words.images_per_batch=8", "phases.mle.epochs=2", "phases.mle.images_per_batch=8",
    "discriminator_training.steps=4", "discriminator_training.images_per_batch=8",
    "adversarial.steps=2", "adversarial.images_per_batch=8", "adversarial.validate_every=2",
)  # fmt: skip
_RESAMPLED = "phases.resampling.decoding"
QUICK_DECODING = (f"{_RESAMPLED}.candidates=4", f"{_RESAMPLED}.density_sets=2")


class Study:
    """The runs of one size, at so many at a time."""

    def __init__(self, size: str, *, workers: int) -> None:
        """Set where they are kept; with 0 workers nothing is trained, and what is finished is found."""
        self.quick = QUICK if size == "quick" else ()
        self.outputs = HERE / "outputs" / ("quick" if self.quick else "full")
        self.tables = self.outputs if self.quick else HERE
        self.seeds = SEEDS[:2] if self.quick else SEEDS
        self.tuning = SEEDS[0] if self.quick else TUNING  # where nothing is learned, the trials may be the runs
        self.rungs, self.arms = (QUICK_RUNGS, QUICK_ARMS) if self.quick else (RUNGS, ARMS)
        self.rates = RATES[:1] if self.quick else RATES
        self.workers = workers

    def runs(self, wanted: Sequence[Sequence[str]]) -> list[Path | None]:
        """Return the runs' folders, None for those that are not there."""
        return found_or_trained(wanted, outputs=self.outputs, workers=self.workers)

    def baselines(self, seeds: Sequence[int]) -> dict[int, Path]:
        """Return the converged baselines, by seed."""
        wanted = [("+experiment=mle", f"seed={seed}", *SETTING, *CONVERGED, *self.quick) for seed in seeds]
        return {seed: run for seed, run in zip(seeds, self.runs(wanted), strict=True) if run}

    def rung(self, rung: Rung, seed: int, base: Path, *more: str) -> tuple[str, ...]:
        """Return the run in which a discriminator alone learns."""
        matching: tuple[str, ...] = ()
        if rung.matching:
            steps = 10 if self.quick else rung.matching
            matching = ("+phase@phases.matching=matching", f"phases.matching.steps={steps}",
                        "phases.matching.trainer.captions_per_image=5")  # fmt: skip
        given = ("+experiment=residual_ebm", f"seed={seed}", f"pretrained={base}", *SETTING, *OF_D)
        few = QUICK_DECODING if self.quick else ()
        return (*matching, *given, *more, *rung.overrides, *few, *self.quick)

    def arm(self, arm: Arm, seed: int, base: Path, judge: Path | None, *, rate: str | None) -> tuple[str, ...]:
        """Return the run of an arm."""
        (chosen,) = (rung for rung in RUNGS if rung.name == CHOSEN)
        taken = (f"pretrained_discriminator={judge}", *OF_D, *chosen.overrides) if arm.judged else ()
        own = OF_D if arm.overrides == BLIND else ()
        learned = () if rate is None else (*UPDATES, f"adversarial.learning_rate={rate}")
        return (
            f"+experiment={arm.page}", f"seed={seed}", f"pretrained={base}", *SETTING, *taken, *own, *learned,
            *arm.overrides, *(QUICK_DECODING if self.quick and arm.resamples else ()), *self.quick,
        )  # fmt: skip


def climb(study: Study) -> None:
    """Train the ladder, and write its table."""
    found = {}
    for base in study.baselines([study.tuning]).values():
        wanted = [study.rung(rung, study.tuning, base, "phases.ratio.patience=0") for rung in study.rungs]
        found = {rung.name: run for rung, run in zip(study.rungs, study.runs(wanted), strict=True) if run}
    (study.tables / "ladder.md").write_text(table_of_rungs(found) + "\n")
    print(table_of_rungs(found))


def tune(study: Study) -> dict[str, str]:
    """Return the best learning rate of each arm that learns, by the divergence on validation scenes of one seed."""
    trials: dict[str, dict[str, float]] = {}
    arms = [arm for arm in study.arms if arm.learns and arm.of_another is None]
    judges = judges_of(study, [study.tuning])
    for seed, (base, judge) in judges.items():
        wanted = [(arm, rate, study.arm(arm, seed, base, judge, rate=rate)) for arm in arms for rate in study.rates]
        for (arm, rate, _), run in zip(wanted, study.runs([own for _, _, own in wanted]), strict=True):
            if run:
                found = divergence(run, arm.phase, temperatures=(1.0,), nuclei=(1.0,))
                trials.setdefault(arm.name, {})[rate] = found["validation_jsd"]
    (study.tables / "tuning.md").write_text(table_of_trials(trials, RATES) + "\n")
    return {name: min(found, key=lambda rate: found[rate]) for name, found in trials.items()}


def judges_of(study: Study, seeds: Sequence[int]) -> dict[int, tuple[Path, Path]]:
    """Return the baseline and the run of the chosen discriminator, by seed."""
    (chosen,) = (rung for rung in RUNGS if rung.name == CHOSEN)
    bases = study.baselines(seeds)
    runs = study.runs([study.rung(chosen, seed, base) for seed, base in bases.items()])
    return {seed: (base, run) for (seed, base), run in zip(bases.items(), runs, strict=True) if run}


def compare(study: Study, rates: Mapping[str, str]) -> None:
    """Train all arms from all baselines, measure them, and write the table."""
    judges = judges_of(study, study.seeds)
    arms = [arm for arm in study.arms if not arm.learns or arm.of_another or arm.name in rates]
    wanted: dict[tuple[str, int], tuple[str, ...]] = {}
    for seed, (base, judge) in judges.items():
        for arm in arms:
            if arm.of_another is None:
                wanted[arm.name, seed] = study.arm(arm, seed, base, judge, rate=rates.get(arm.name))
    runs = dict(zip(wanted, study.runs(list(wanted.values())), strict=True))
    asked = [("maximum likelihood", seed, base, "mle") for seed, (base, _) in judges.items()]
    asked += [
        (arm.name, seed, run, arm.phase)
        for arm in arms
        for seed in judges
        if (run := runs[arm.of_another or arm.name, seed]) is not None
    ]
    with ProcessPoolExecutor(max(study.workers, 1)) as pool:
        measured = list(pool.map(divergence, [run for _, _, run, _ in asked], [phase for *_, phase in asked]))
    found: dict[str, dict[int, dict[str, float]]] = {}
    for (name, seed, _, _), one in zip(asked, measured, strict=True):
        found.setdefault(name, {})[seed] = one
    (study.tables / "found.json").write_text(json.dumps(found, indent=1))
    table = table_of_systems(found)
    (study.tables / "table.md").write_text(f"{cost(study.outputs)}\n\n{table}\n")
    print(table)


def main(size: str = "full", *given: str) -> None:
    if size not in ("full", "ladder", "quick", "tables"):
        sys.exit(f"size {size}: full, ladder, quick, or tables of what is finished")
    workers = int(next((one.partition("=")[2] for one in given if one.startswith("workers=")), "2"))
    study = Study(size, workers=0 if size == "tables" else workers)
    climb(study)
    if size != "ladder":
        compare(study, tune(study))


if __name__ == "__main__":
    main(*sys.argv[1:])
