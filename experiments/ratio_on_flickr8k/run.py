"""Can a discriminator beat maximum likelihood on photographs? See README.md."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from experiments.ratio import Arm
from experiments.ratio_on_flickr8k.arms import ARMS, BLIND, DISCRIMINATORS, QUICK_ARMS, RATES
from experiments.ratio_on_flickr8k.figures import systems_figure
from experiments.ratio_on_flickr8k.measure import SAMPLES, Measure, Point, measured, planted
from experiments.ratio_on_flickr8k.verdict import (
    People,
    systems_of,
    table_of_planted,
    table_of_systems,
    table_of_trials,
)
from experiments.study import cost, cost_of, found_or_trained, write_png
from gan_caption.evaluation.judge_network import JudgeSettings
from gan_caption.metrics import self_cider
from gan_caption.training.records import METRICS, read_records

HERE = Path(__file__).parent
TUNING, SEEDS = 100, tuple(range(5))
SETTING = ("generator=attention_lstm", "encoder=efficientnet_lite0", "tracker=local")
CONVERGED = (
    "phases.mle.objective.label_smoothing=0", "phases.mle.selected_by=nll_per_token", "phases.mle.patience=2",
)  # fmt: skip
FULL = ("size.hidden=256", "size.embedding=256", "holdout.check=0.05")
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
SHORT = ("phases.resampling.decoding.density_sets=1", "validation.samples_per_image=2")
"""A run that resamples learns nothing, and `measure` measures it: its own evaluation is kept short."""
QUICK = (
    "size.hidden=32", "size.embedding=32", "phases.mle.epochs=1", "validation.images=40",
    "phases.mle.learning_rate_schedule.warmup_steps=2", "discriminator_training.steps=6", "adversarial.steps=2",
)  # fmt: skip
QUICK_HELD_OUT = "holdout.check=0.2"
QUICK_JUDGE = JudgeSettings(folds=2, epochs=1, hidden=32, embedding=16, batch_captions=256)
_RESAMPLED = "phases.resampling.decoding"
QUICK_DECODING = (f"{_RESAMPLED}.candidates=4", f"{_RESAMPLED}.density_sets=2")


class Study:
    """The runs of one size on some data, at so many at a time."""

    def __init__(self, size: str, data: Sequence[str], *, workers: int) -> None:
        """Set where they are kept; with 0 workers nothing is trained, and what is finished is found."""
        quick = size == "quick"
        self.quick = QUICK if quick else ()
        self.setting = (*data, *SETTING, *((QUICK_HELD_OUT,) if quick else FULL))
        self.outputs = HERE / "outputs" / ("quick" if quick else "full")
        self.tables = self.outputs if quick else HERE
        self.seeds = SEEDS[:1] if quick else SEEDS
        self.tuning = SEEDS[0] if quick else TUNING  # where nothing is learned, the trials may be the runs
        self.arms = QUICK_ARMS if quick else ARMS
        self.rates = RATES[:1] if quick else RATES
        self.discriminators = dict(list(DISCRIMINATORS.items())[1:]) if quick else DISCRIMINATORS
        self.judge = QUICK_JUDGE if quick else JUDGE
        self.split = "test" if size == "test" else "val"
        self.workers = workers

    def runs(self, wanted: Sequence[Sequence[str]]) -> list[Path | None]:
        """Return the runs' folders, None for those that are not there."""
        return found_or_trained(wanted, outputs=self.outputs, workers=self.workers)

    def baselines(self, seeds: Sequence[int]) -> dict[int, Path]:
        """Return the converged baselines, by seed."""
        wanted = [("+experiment=mle", f"seed={seed}", *self.setting, *CONVERGED, *self.quick) for seed in seeds]
        return {seed: run for seed, run in zip(seeds, self.runs(wanted), strict=True) if run}

    def discriminator(self, name: str, seed: int, base: Path) -> tuple[str, ...]:
        """Return the run in which a discriminator alone learns; its last phase resamples by it."""
        few = QUICK_DECODING if self.quick else SHORT
        return (
            "+experiment=residual_ebm", f"seed={seed}", f"pretrained={base}", *self.setting, *OF_D,
            *DISCRIMINATORS[name], *few, *self.quick,
        )  # fmt: skip

    def arm(self, arm: Arm, seed: int, base: Path, judge: Path, *, chosen: str, rate: str | None) -> tuple[str, ...]:
        """Return the run of an arm."""
        inside = (one for one in DISCRIMINATORS[chosen] if one.startswith("discriminator@"))
        taken = (f"pretrained_discriminator={judge}", *inside) if arm.judged else ()
        own = OF_D if arm.overrides == BLIND else ()
        learned = () if rate is None else (*UPDATES, f"adversarial.learning_rate={rate}")
        short = QUICK_DECODING if self.quick else SHORT
        few = short if arm.resamples else ()
        return (
            f"+experiment={arm.page}", f"seed={seed}", f"pretrained={base}", *self.setting, *taken, *own, *learned,
            *arm.overrides, *few, *self.quick,
        )  # fmt: skip


def choose(study: Study) -> str:
    """Return the discriminator with the lowest log-loss on held-out images of the tuning seed, and write the losses."""
    told: dict[str, dict[str, float]] = {}
    for base in study.baselines([study.tuning]).values():
        wanted = [study.discriminator(name, study.tuning, base) for name in study.discriminators]
        for name, run in zip(study.discriminators, study.runs(wanted), strict=True):
            if run:
                last = [row for row in read_records(run / METRICS) if "ratio/auc" in row][-1]
                told[name] = {key: last[f"ratio/{key}"] for key in ("log_loss", "auc", "ece")}
    if not told:
        sys.exit("no discriminator has learned yet: full trains them")
    (study.tables / "discriminators.md").write_text(table_of_trials(told, ("log_loss", "auc", "ece")) + "\n")
    return min(told, key=lambda name: told[name]["log_loss"])


def judges_of(study: Study, seeds: Sequence[int], chosen: str) -> dict[int, tuple[Path, Path]]:
    """Return the baseline and the run of the chosen discriminator, by seed."""
    bases = study.baselines(seeds)
    runs = study.runs([study.discriminator(chosen, seed, base) for seed, base in bases.items()])
    return {seed: (base, run) for (seed, base), run in zip(bases.items(), runs, strict=True) if run}


def tune(study: Study, chosen: str) -> dict[str, str]:
    """Return the learning rate of each arm that learns whose samples the judge tells least from people's, one seed."""
    trials: dict[str, dict[str, float]] = {}
    arms = [arm for arm in study.arms if arm.learns]
    for seed, (base, judge) in judges_of(study, [study.tuning], chosen).items():
        wanted = [
            (arm, rate, study.arm(arm, seed, base, judge, chosen=chosen, rate=rate))
            for arm in arms
            for rate in study.rates
        ]
        for (arm, rate, _), run in zip(wanted, study.runs([own for _, _, own in wanted]), strict=True):
            if run:
                (point,) = measured(run, arm.phase, "val", study.judge, (1.0,))
                trials.setdefault(arm.name, {})[rate] = float(np.mean(point.auc))
    (study.tables / "tuning.md").write_text(table_of_trials(trials, RATES) + "\n")
    return {name: min(found, key=lambda rate: abs(found[rate] - 0.5)) for name, found in trials.items()}


def compare(study: Study, chosen: str, rates: Mapping[str, str]) -> None:
    """Train all arms from all baselines, measure them, and write the tables and the figure."""
    judges = judges_of(study, study.seeds, chosen)
    arms = [arm for arm in study.arms if not arm.learns or arm.name in rates]
    wanted = {
        (arm, seed): study.arm(arm, seed, base, judge, chosen=chosen, rate=rates.get(arm.name))
        for seed, (base, judge) in judges.items()
        for arm in arms
    }
    asked = [("maximum likelihood", seed, base, "mle") for seed, (base, _) in judges.items()]
    asked += [
        (arm.name, seed, run, arm.phase)
        for (arm, seed), run in zip(wanted, study.runs(list(wanted.values())), strict=True)
        if run is not None
    ]
    if not asked:
        sys.exit("no run is finished yet: full trains them")
    found = {split: _measured(study, asked, split) for split in dict.fromkeys(("val", study.split))}
    with ProcessPoolExecutor(max(study.workers, 1)) as pool:
        bases = [base for base, _ in judges.values()]
        told = list(pool.map(planted, bases, [study.split] * len(bases), [study.judge] * len(bases)))
    people, minutes = people_of(bases[0], study), minutes_of(arms, asked, [run for _, run in judges.values()])
    systems = systems_of(found[study.split], people, found["val"] if study.split == "test" else None)
    parts = [
        cost(study.outputs), table_of_systems(systems, people, minutes),
        table_of_planted(dict(zip(judges, told, strict=True))),
    ]  # fmt: skip
    (study.tables / f"table_{study.split}.md").write_text("\n\n".join(parts) + "\n")
    print("\n\n".join(parts))
    write_png(systems_figure(systems), study.tables / f"figure_{study.split}.png")


def minutes_of(
    arms: Sequence[Arm], asked: Sequence[tuple[str, int, Path, str]], judges: Sequence[Path]
) -> dict[str, float]:
    """Return what each arm took, the mean over seeds, its discriminator counted."""
    judge = float(np.mean([cost_of(run) for run in judges]))
    return {
        arm.name: float(np.mean([cost_of(run) for name, _, run, _ in asked if name == arm.name])) + judge * arm.judged
        for arm in arms
    }


def _measured(
    study: Study, asked: Sequence[tuple[str, int, Path, str]], split: str
) -> dict[str, dict[int, list[Point]]]:
    with ProcessPoolExecutor(max(study.workers, 1)) as pool:
        told = pool.map(
            measured, [run for _, _, run, _ in asked], [phase for *_, phase in asked], [split] * len(asked),
            [study.judge] * len(asked),
        )  # fmt: skip
        found: dict[str, dict[int, list[Point]]] = {}
        for (name, seed, _, _), points in zip(asked, told, strict=True):
            found.setdefault(name, {})[seed] = points
    return found


def people_of(run: Path, study: Study) -> People:
    """Return the scale of a study's images."""
    measure = Measure(run, study.split, study.judge)
    lengths = [[len(text.split()) for text in own] for own in measure.people]
    several = [own if len(own) == SAMPLES else ["", ""] for own in measure.people]
    diversity = self_cider(several, measure.evaluator.frequencies).per_image
    alone = [len(own) < SAMPLES for own in measure.people]
    return People(lengths, np.where(alone, np.nan, diversity))


def main(size: str = "full", *given: str) -> None:
    if size not in ("full", "quick", "tables", "test"):
        sys.exit(f"size {size}: full, quick, tables of what is finished, or test")
    workers = int(next((one.partition("=")[2] for one in given if one.startswith("workers=")), "2"))
    data = [one for one in given if not one.startswith("workers=")]
    study = Study(size, data, workers=0 if size == "tables" else workers)
    study.outputs.mkdir(parents=True, exist_ok=True)
    chosen = choose(study)
    compare(study, chosen, tune(study, chosen))


if __name__ == "__main__":
    main(*sys.argv[1:])
