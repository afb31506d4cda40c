"""Can a discriminator beat maximum likelihood on photographs? See README.md."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from experiments.flickr8k.run import check_test_list
from experiments.ratio import (
    DECODING,
    QUICK_DECODING,
    Arm,
    Overrides,
    Rung,
    begun_with,
    inner,
    matching_first,
    table_of_trials,
    wrapped,
)
from experiments.ratio_on_flickr8k.arms import (
    ANOTHER,
    ARMS,
    BESIDE,
    DISCRIMINATORS,
    EBM,
    MODELS,
    MORE,
    QUICK_ARMS,
    QUICK_BESIDE,
    QUICK_DISCRIMINATORS,
    RATES,
    RIVAL,
)
from experiments.ratio_on_flickr8k.captioners import found_by_another
from experiments.ratio_on_flickr8k.figures import systems_figure
from experiments.ratio_on_flickr8k.measure import (
    AS_VARIED,
    POLICY,
    RESAMPLED,
    SAMPLES,
    TRIED,
    Found,
    Place,
    found,
    knows,
    planted,
)  # fmt: skip
from experiments.ratio_on_flickr8k.verdict import (
    systems_of,
    table_beside,
    table_of_likelihoods,
    table_of_places,
    table_of_planted,
    table_of_systems,
)
from experiments.records import NOWHERE, Records, Wanted, options
from experiments.reliability import reliability_figure
from experiments.study import write_png
from gan_caption.evaluation.judge_network import JudgeSettings

HERE = Path(__file__).parent
TUNING, SEEDS = 100, tuple(range(5))
SETTING = ("generator=attention_lstm", "encoder=efficientnet_lite0", "tracker=local", "skip_unknown=true")
CONVERGED = (
    "phases.mle.objective.label_smoothing=0", "phases.mle.selected_by=nll_per_token", "phases.mle.patience=2",
    "phases.mle.epochs=24",
)  # fmt: skip
FULL = ("size.hidden=256", "size.embedding=256", "holdout.check=0.15")
OF_D = (
    "discriminator_training.images_per_batch=20", "discriminator_trainer.captions_per_image=5",
    "discriminator_training.steps=1000", "phases.ratio.patience=0",
)  # fmt: skip
"""100 captions of people and 100 samples a step; a step of maximum likelihood has 100 captions. All steps are made, and
the weights with the lowest held-out log-loss are kept: on scenes it rises for hundreds of steps before it falls."""
UPDATES = (
    "adversarial.steps=300", "adversarial.images_per_batch=20", "adversarial.validate_every=150",
    "adversarial.quality_floor=0", "adversarial.entropy_floor=0", "validation.images=200",
)  # fmt: skip
JUDGE = JudgeSettings(folds=3, epochs=8, hidden=128, embedding=64, batch_captions=256, learning_rate=2e-3)
SHORT = ("phases.resampling.decoding.density_sets=1", "validation.samples_per_image=2", "validation.images=50")
"""A run that resamples learns nothing, and `measure` measures it: its own evaluation is kept short."""
QUICK = (
    "size.hidden=32", "size.embedding=32", "phases.mle.epochs=1", "validation.images=40",
    "phases.mle.learning_rate_schedule.warmup_steps=2", "discriminator_training.steps=6", "adversarial.steps=2",
)  # fmt: skip
QUICK_HELD_OUT = "holdout.check=0.2"
QUICK_JUDGE = JudgeSettings(folds=2, epochs=1, hidden=32, embedding=16, batch_captions=256)


Kept = dict[str, dict[int, Mapping[str, Any]]]
"""What is kept of runs, by name and seed."""
MLE, PLANTED = "maximum likelihood", "planted differences"
TOLD = ("log_loss", "auc", "ece", "deviation")
"""Of discriminators."""


@dataclass(frozen=True)
class Judge:
    """The discriminator that arms are given."""

    rung: Rung
    deviation: float
    """Of its logits, on the tuning seed: random ones in their place have the same."""


class Study:
    """The runs of one size on some data: each is trained and measured unless its record is kept."""

    def __init__(self, size: str, data: Sequence[str], *, workers: int, records: Path | None = None,
                 only: Collection[int] | None = None) -> None:  # fmt: skip
        """Set where they are kept, how many run at a time, of which seeds; with 0 workers what is finished is found."""
        quick = size == "quick"
        self.quick = QUICK if quick else ()
        self.setting = (*data, *SETTING, *((QUICK_HELD_OUT,) if quick else FULL))
        self.outputs = HERE / "outputs" / ("quick" if quick else "full")
        self.records = Records(records or (self.outputs if quick else HERE) / "records")
        self.tables = self.records.folder.parent
        self.seeds = SEEDS[:1] if quick else SEEDS
        self.tuning = SEEDS[0] if quick else TUNING  # where nothing is learned, the trials may be the runs
        self.arms = QUICK_ARMS if quick else ARMS
        self.beside = QUICK_BESIDE if quick else BESIDE
        self.rates = RATES[:1] if quick else RATES
        self.discriminators = QUICK_DISCRIMINATORS if quick else DISCRIMINATORS
        self.judge = QUICK_JUDGE if quick else JUDGE
        self.splits = ("val", "test") if size == "test" else ("val",)
        self.workers, self.only = workers, only

    def judge_of(self, seed: int) -> JudgeSettings:
        """Return the settings of a seed's judge: what judges of several seeds differ in is in intervals over seeds."""
        return self.judge if seed == self.tuning else replace(self.judge, seed=seed)

    def how(self, seed: int) -> str:
        """Return what a record tells of how it was measured."""
        judge, places = self.judge_of(seed), f"{POLICY}, resampled {RESAMPLED} or {AS_VARIED}"
        return f"{judge}, held-out lessons, {places}, {SAMPLES} samples"

    def baseline(self, seed: int) -> tuple[str, ...]:
        """Return the overrides of the converged baseline."""
        return ("+experiment=mle", f"seed={seed}", *self.setting, *CONVERGED, *self.quick)

    def discriminator(self, rung: Rung, seed: int, base: Path) -> tuple[str, ...]:
        """Return those of the run in which a discriminator alone learns; its last phase resamples by it."""
        matching = matching_first(rung.matching) if rung.matching else ()
        few = QUICK_DECODING if self.quick else SHORT
        return (
            *matching, "+experiment=residual_ebm", f"seed={seed}", f"pretrained={base}", *self.setting, *CONVERGED,
            *OF_D, *rung.overrides, *few, *self.quick,
        )  # fmt: skip

    def arm(self, arm: Arm, seed: int, base: Path, judge: Path, *, chosen: Judge, rate: str | None) -> tuple[str, ...]:
        """Return those of an arm."""
        taken = (f"pretrained_discriminator={judge}", *OF_D, *chosen.rung.overrides) if arm.judged else ()
        kind = inner(arm.kind) if arm.kind else chosen.rung.overrides
        own = (*OF_D, *wrapped(kind, arm.around), *arm.taught_by) if arm.around else ()
        own += (f"{DECODING}.judge.std={chosen.deviation:.2f}",) if arm.page == "control_logits" else ()
        learned = () if rate is None else (*UPDATES, f"adversarial.learning_rate={rate}")
        short = QUICK_DECODING if self.quick else SHORT
        few = short if arm.resamples else ()
        return (
            f"+experiment={arm.page}", f"seed={seed}", f"pretrained={base}", *self.setting, *CONVERGED, *taken, *own,
            *learned, *arm.overrides, *few, *self.quick,
        )  # fmt: skip

    def judging(self, rung: Rung, seed: int, base: Path) -> Wanted:
        """Return what is to be known of a discriminator."""
        return Wanted(_judge(rung), seed, self.discriminator(rung, seed, base), knows)

    def of(self, seed: int, base: Path, judge: Path, *, chosen: Judge, rates: Mapping[str, str],
           arms: Sequence[Arm]) -> list[tuple[str, Overrides, str]]:  # fmt: skip
        """Return the baseline's and the arms' names, overrides, and the phases that are measured."""
        told = [(MLE, self.baseline(seed), "mle")]
        for arm in arms:
            own = self.arm(arm, seed, base, judge, chosen=chosen, rate=rates.get(arm.name))
            told.append((arm.name, own, arm.phase))
        return told

    def known(self, wanted: Callable[..., list[Wanted]], seeds: Sequence[int], *, chosen: Judge | None) -> Kept:
        """Return what is kept of all runs, by name and seed; see `Records.known`.

        Args:
            wanted: the runs, of a seed, its baseline's folder and that of its discriminator.
            seeds: of them.
            chosen: the discriminator that they are given; None: none.
        """
        judge = None if chosen is None else partial(self.discriminator, chosen.rung)
        prepare = begun_with(self.baseline, judge, outputs=self.outputs, workers=self.workers)
        return self.records.known(wanted, seeds, prepare, outputs=self.outputs, workers=self.workers, only=self.only)


def choose(study: Study) -> Judge:
    """Return the discriminator with the lowest log-loss on held-out images of the tuning seed, and write the losses."""

    def wanted(seed: int, base: Path = NOWHERE) -> list[Wanted]:
        return [study.judging(rung, seed, base) for rung in study.discriminators]

    kept = study.known(wanted, [study.tuning], chosen=None)
    told = {rung: kept[_judge(rung)][study.tuning] for rung in study.discriminators if _judge(rung) in kept}
    if not told:
        sys.exit("no discriminator has learned yet: full trains them")
    table = table_of_trials({rung.name: own for rung, own in told.items()}, TOLD)
    (study.tables / "discriminators.md").write_text(f"{table}\n")
    panels = {rung.name: own["reliability"] for rung, own in told.items() if "reliability" in own}
    write_png(reliability_figure(panels), study.tables / "calibration.png")
    rung = min(told, key=lambda rung: told[rung]["log_loss"])
    return Judge(rung, told[rung]["deviation"])


def tune(study: Study, chosen: Judge) -> dict[str, str]:
    """Return the learning rate of each arm that learns whose samples the judge tells least from people's, one seed."""
    trials = {f"{arm.name}, rate {rate}": (arm, rate) for arm in study.arms if arm.learns for rate in study.rates}

    def wanted(seed: int, base: Path = NOWHERE, judge: Path = NOWHERE) -> list[Wanted]:
        alone = partial(found, split="val", judge=study.judge_of(seed), places=TRIED)
        return [
            Wanted(name, seed, study.arm(arm, seed, base, judge, chosen=chosen, rate=rate),
                   partial(alone, phase=arm.phase), how=f"{study.how(seed)}, trials at {TRIED}")
            for name, (arm, rate) in trials.items()
        ]  # fmt: skip

    told: dict[str, dict[str, float]] = {}
    for name, own in study.known(wanted, [study.tuning], chosen=chosen).items():
        arm, rate = trials[name]
        trial = Found.of(own[study.tuning])
        told.setdefault(arm.name, {})[rate] = trial.aucs[trial.best.place]
    if told:
        parts = [table_of_trials(told, RATES), study.records.doubts(wanted(study.tuning))]
        (study.tables / "tuning.md").write_text("\n\n".join(part for part in parts if part) + "\n")
    return {name: min(own, key=lambda rate: abs(own[rate] - 0.5)) for name, own in told.items()}


def place(study: Study, chosen: Judge, rates: Mapping[str, str]) -> dict[str, Place]:
    """Return the temperature and top-p of each system whose samples the judge tells least from people's, one seed."""
    arms = [arm for arm in study.arms if not arm.learns or arm.name in rates]

    def wanted(seed: int, base: Path = NOWHERE, judge: Path = NOWHERE) -> list[Wanted]:
        everywhere = partial(found, split="val", judge=study.judge_of(seed))
        return [
            Wanted(f"{name}, all points", seed, own, partial(everywhere, phase=phase), how=study.how(seed))
            for name, own, phase in study.of(seed, base, judge, chosen=chosen, rates=rates, arms=arms)
        ]

    kept = study.known(wanted, [study.tuning], chosen=chosen)
    told = {name.removesuffix(", all points"): Found.of(own[study.tuning]) for name, own in kept.items()}
    if told:
        (study.tables / "places.md").write_text(f"{table_of_places(told)}\n")
    return {name: own.best.place for name, own in told.items()}


def compare(study: Study, chosen: Judge, rates: Mapping[str, str], places: Mapping[str, Place]) -> None:
    """Train all arms from all baselines, measure them, and write the tables and the figure."""
    arms = [arm for arm in study.arms if arm.name in places]
    rates = {**rates, **({RIVAL.name: rates[MORE.name]} if MORE.name in rates else {})}
    beside = [arm for arm in study.beside if EBM.name in places and (not arm.learns or arm.name in rates)]
    judged = {**places, **{arm.name: places[EBM.name] for arm in beside}}
    alone = {arm.name for arm in beside}

    def wanted(seed: int, base: Path = NOWHERE, judge: Path = NOWHERE) -> list[Wanted]:
        told = [study.judging(chosen.rung, seed, base)]
        every = study.of(seed, base, judge, chosen=chosen, rates=rates, arms=[*arms, *beside])
        for split in study.splits:
            on = partial(found, split=split, judge=study.judge_of(seed))
            for name, own, phase in every:
                if name not in judged:
                    continue
                best = judged[name]
                drawn = [best] if name in alone else _drawn(phase, best)
                measure = partial(on, phase=phase, places=drawn, judged=[best], limits=name not in alone)
                told.append(Wanted(_on(split, name), seed, own, measure, how=f"{study.how(seed)}, judged at {best}"))
            if EBM.name in places:
                by_another = partial(
                    found_by_another, base=base, split=split, judge=study.judge_of(seed), place=places[EBM.name]
                )
                own, how = study.baseline(seed + 1), f"{study.how(seed)}, judged at {places[EBM.name]}"
                told.append(Wanted(_on(split, ANOTHER), seed, own, by_another, how=how, paired_by=base))
            differences = partial(planted, split=split, judge=study.judge_of(seed))
            told.append(Wanted(_on(split, PLANTED), seed, study.baseline(seed), differences, how=study.how(seed)))
        return told

    kept = study.known(wanted, study.seeds, chosen=chosen)
    split = study.splits[-1]

    taught = {seed: own["minutes"] for seed, own in kept.get(_judge(chosen.rung), {}).items()}
    judged_by = {arm.name for arm in (*arms, *beside) if arm.judged}

    def of(names: Sequence[str]) -> dict[str, dict[int, Found]]:
        """Return what is found of systems, the minutes of the discriminator counted that they are given."""
        there = [name for name in names if _on(split, name) in kept]
        told = {name: {seed: Found.of(own) for seed, own in kept[_on(split, name)].items()} for name in there}
        for name in judged_by & told.keys():
            told[name] = {
                seed: replace(own, minutes=own.minutes + taught.get(seed, np.nan)) for seed, own in told[name].items()
            }
        return told

    told = of([MLE, *(arm.name for arm in arms)])
    others = of([*(arm.name for arm in beside), ANOTHER])
    if not told:
        sys.exit("no run is finished yet: full trains them")
    systems = systems_of(told)
    parts = [
        table_of_systems(systems, [MLE, *(arm.name for arm in study.arms)]),
        table_beside(told.get(EBM.name, {}), others),
        table_of_likelihoods({**told, **others}, [MORE.name, MODELS.name, ANOTHER]),
        table_of_planted(kept.get(_on(split, PLANTED), {})),
        study.records.doubts([one for seed in study.seeds for one in wanted(seed)], to=_on(split, MORE.name)),
    ]  # fmt: skip
    text = "\n\n".join(part for part in parts if part)
    (study.tables / f"table_{split}.md").write_text(f"{text}\n")
    print(text)
    write_png(systems_figure(systems), study.tables / f"figure_{split}.png")


def _drawn(phase: str, chosen: Place) -> list[Place] | None:
    """Return where a system is drawn whose point is chosen: all that is cheap, None, or what its measures need."""
    return sorted({*AS_VARIED, chosen}) if phase == "resampling" else None


def _judge(rung: Rung) -> str:
    """Return what the record of a discriminator is called."""
    return f"discriminator, {rung.name}"


def _on(split: str, name: str) -> str:
    """Return what a record on a split is called."""
    return name if split == "val" else f"{name}, {split}"


def main(size: str = "full", *given: str) -> None:
    if size not in ("full", "quick", "tables", "test"):
        sys.exit(f"size {size}: full, quick, tables of what is finished, or test")
    told = options(given)
    if size == "test":
        check_test_list(told.others)
    workers = 0 if size == "tables" else told.workers
    study = Study(size, told.others, workers=workers, records=told.records, only=told.seeds)
    study.outputs.mkdir(parents=True, exist_ok=True)
    study.tables.mkdir(parents=True, exist_ok=True)
    chosen = choose(study)
    rates = tune(study, chosen)
    compare(study, chosen, rates, place(study, chosen, rates))


if __name__ == "__main__":
    main(*sys.argv[1:])
