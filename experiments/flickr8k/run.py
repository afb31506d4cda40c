"""Maximum likelihood and what goes on from it, on photographs, with five seeds. See README.md."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from experiments.composing import composed
from experiments.flickr8k.arms import (
    ARMS,
    BASELINES,
    CHOSEN,
    PHOTOGRAPHS,
    RATES,
    SEEDS,
    SETTING,
    TUNING,
    UPDATES,
    Arm,
)
from experiments.flickr8k.measure import found
from experiments.flickr8k.verdict import (
    draw,
    heights_of,
    table_of_beams,
    table_of_likelihoods,
    table_of_samples,
    table_of_trials,
)
from experiments.records import NOWHERE, Prepare, Records, Wanted, options
from experiments.study import train_all
from gan_caption.errors import UserError
from gan_caption.metrics.nouns import unsupported_nouns
from gan_caption.training.setup import check_configuration, open_corpus

HERE = Path(__file__).parent
MLE = "maximum likelihood"
QUICK = (
    "size.hidden=32", "size.embedding=32", "phases.mle.epochs=1", "validation.images=40", "decoding=greedy",
    "phases.mle.learning_rate_schedule.warmup_steps=2", "discriminator_training.steps=4", "adversarial.steps=2",
    "adversarial.validate_every=2", "adversarial.images_per_batch=4",
)  # fmt: skip
QUICK_ARMS = tuple(arm for arm in ARMS if arm.name in ("more maximum likelihood", "nsc", "cgan"))

Systems = dict[str, dict[int, Mapping[str, Any]]]
"""What is kept of runs, by name and seed."""


class Study:
    """The runs of one size: each is trained and measured unless its record is kept."""

    def __init__(self, data: Sequence[str], *, quick: bool, workers: int, records: Path | None,
                 only: Collection[int] | None = None) -> None:  # fmt: skip
        """Set where they are kept, how many run at a time, of which seeds; with 0 workers what is finished is found."""
        self.quick = QUICK if quick else ()
        self.shared = (*data, *PHOTOGRAPHS, SETTING)
        self.outputs = HERE / "outputs" / ("quick" if quick else "full")
        self.records = Records(records or (self.outputs if quick else HERE) / "records")
        self.tables = self.records.folder.parent
        self.seeds, self.tuning = (SEEDS[:1], SEEDS[0]) if quick else (SEEDS, TUNING)
        self.baselines = dict(list(BASELINES.items())[:1]) if quick else BASELINES
        self.chosen = BASELINES["as its page has it"] if quick else BASELINES[CHOSEN]
        self.arms = QUICK_ARMS if quick else ARMS
        self.rates = RATES[:1] if quick else RATES
        self.workers, self.only = workers, only

    def baseline(self, seed: int, chosen: Sequence[str]) -> tuple[str, ...]:
        """Return the overrides of a baseline."""
        return ("+experiment=mle", f"seed={seed}", *self.shared, *chosen, *self.quick)

    def arm(self, arm: Arm, seed: int, base: Path, rate: str | None) -> tuple[str, ...]:
        """Return the overrides of an arm."""
        given = (f"pretrained={base}",) if arm.follows else ()
        learned = () if rate is None else (f"adversarial.learning_rate={rate}",)
        return (
            f"+experiment={arm.page}", f"seed={seed}", *given, *self.shared, *self.chosen, *UPDATES, *learned,
            *arm.overrides, *self.quick,
        )  # fmt: skip

    def known(self, wanted: Callable[..., list[Wanted]], seeds: Sequence[int], prepare: Prepare) -> Systems:
        """Return what is found of all runs; see `Records.known`."""
        return self.records.known(wanted, seeds, prepare, outputs=self.outputs, workers=self.workers, only=self.only)

    def bases(self, seeds: Collection[int]) -> list[tuple[Path]]:
        """Train the baselines of seeds."""
        own = [self.baseline(seed, self.chosen) for seed in seeds]
        return [(base,) for base in train_all(own, outputs=self.outputs, workers=self.workers)]


def choose(study: Study) -> None:
    """Train the baselines that are tried, and write their table: `CHOSEN` is the one whose NLL is lowest."""

    def wanted(seed: int) -> list[Wanted]:
        tried = study.baselines.items()
        measure = partial(found, phase="mle")
        return [Wanted(f"baseline, {name}", seed, study.baseline(seed, own), measure) for name, own in tried]

    known = study.known(wanted, [study.tuning], lambda seeds: [()] * len(seeds))
    table = table_of_trials({name.removeprefix("baseline, "): own[study.tuning] for name, own in known.items()})
    (study.tables / "baselines.md").write_text(f"{table}\n")
    print(table)


def tune(study: Study) -> dict[str, str]:
    """Return the rate of each arm that has none of its own: whose curve lies highest above the baseline's."""
    trials = {f"{arm.name}, rate {rate}": (arm, rate) for arm in study.arms if arm.learns for rate in study.rates}

    def wanted(seed: int, base: Path = NOWHERE) -> list[Wanted]:
        told = [Wanted(MLE, seed, study.baseline(seed, study.chosen), partial(found, phase="mle"))]
        for name, (arm, rate) in trials.items():
            told.append(Wanted(name, seed, study.arm(arm, seed, base, rate), partial(found, phase=arm.phase)))
        return told

    known = study.known(wanted, [study.tuning], study.bases)
    kept = {name: own[study.tuning] for name, own in known.items()}
    (study.tables / "tuning.md").write_text(f"{table_of_trials(kept)}\n")
    above: dict[str, dict[str, float]] = {}
    for name, (arm, rate) in trials.items():
        if name in kept and MLE in kept:
            own = heights_of({0: kept[name]}, {0: kept[MLE]})
            above.setdefault(arm.name, {})[rate] = own[0] if own else float("-inf")
    return {name: max(own, key=own.__getitem__) for name, own in above.items()}


def compare(study: Study, rates: Mapping[str, str], *, split: str = "val") -> None:
    """Train all arms from all baselines, measure them on a split, and write tables and figure."""
    on, named = ("", "") if split == "val" else (f", {split}", f"_{split}")
    measured = partial(found, split=split)
    arms = [arm for arm in study.arms if not arm.learns or arm.name in rates]

    def wanted(seed: int, base: Path = NOWHERE) -> list[Wanted]:
        told = [Wanted(f"{MLE}{on}", seed, study.baseline(seed, study.chosen), partial(measured, phase="mle"))]
        for arm in arms:
            overrides = study.arm(arm, seed, base, rates.get(arm.name))
            told.append(Wanted(f"{arm.name}{on}", seed, overrides, partial(measured, phase=arm.phase)))
        return told

    known = study.known(wanted, study.seeds, study.bases)
    systems = {name.removesuffix(on): own for name, own in known.items()}
    if MLE not in systems:
        sys.exit("no baseline is finished yet: full trains it")
    alone = {f"{arm.name}{on}" for arm in arms if not arm.follows}  # which learn a baseline of their own
    told = study.records.doubts([one for seed in study.seeds for one in wanted(seed) if one.name not in alone])
    parts = (table_of_beams(systems, MLE), table_of_samples(systems, MLE), table_of_likelihoods(systems, MLE), told)
    tables = "\n\n".join(part for part in parts if part)
    (study.tables / f"table{named}.md").write_text(f"{tables}\n")
    print(tables)
    draw(study.tables / f"figure{named}.png", systems, MLE)


def check_test_list(data: Sequence[str]) -> None:
    """Leave with a message where the data has no test split: before anything is trained."""
    try:
        open_corpus(check_configuration(composed("+experiment=mle", *data))).split("test")
    except UserError as error:
        sys.exit(f"test: {error}")


def main(size: str = "full", *given: str) -> None:
    if size not in ("full", "test", "baselines", "quick", "tables"):
        sys.exit(f"size {size}: full, test, baselines, quick, or tables of what is finished")
    told = options(given)
    if size != "tables":
        unsupported_nouns()  # what it needs is asked for before anything is trained
    if size == "test":
        check_test_list(told.others)
    workers = 0 if size == "tables" else told.workers
    study = Study(told.others, quick=size == "quick", workers=workers, records=told.records, only=told.seeds)
    study.tables.mkdir(parents=True, exist_ok=True)
    choose(study)
    if size != "baselines":
        compare(study, tune(study), split="test" if size == "test" else "val")


if __name__ == "__main__":
    main(*sys.argv[1:])
