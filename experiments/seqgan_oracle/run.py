"""SeqGAN's Table 1 from its authors' own oracle, with controls. See README.md."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean

import numpy as np

from experiments.records import NOWHERE, Records, Wanted, options
from experiments.seqgan_oracle.arms import ARMS, QUICK_ARMS, SEEDS, Arm
from experiments.seqgan_oracle.curves import EVERY, draw, table_of_curves
from experiments.seqgan_oracle.measure import ORACLE, SHOWN, UNSEEN, Found, as_it_stands, at_temperatures, followed
from experiments.study import train_all
from gan_caption.reporting.seeds import with_interval
from gan_caption.reporting.table import markdown

HERE = Path(__file__).parent
TEMPERATURES = (0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5)
MEASURED = ("tracker=local", "validation.samples_per_image=5", "validation.batch_images=500")
EARLY = ("phases.mle.selected_by=nll_per_token", "phases.mle.epochs=10")
QUICK = (
    "data.words=50", "data.train=80", "data.val=20", "data.test=20", "phases.mle.epochs=2", "data.parameters=null",
    "discriminator_training.steps=5", "discriminator_training.steps_per_update=2", "adversarial.steps=5",
    "adversarial.images_per_batch=8", "adversarial.rollouts=2", "text_cnn.filters=8", "text_cnn.widths=[1,2,3]",
)  # fmt: skip
MLE, STOPPED = "mle", "mle, stopped by held-out NLL"


class Study:
    """The runs of one size: each is trained and measured unless its record is kept."""

    def __init__(self, given: Sequence[str], *, quick: bool, workers: int, records: Path | None,
                 only: Collection[int] | None = None) -> None:  # fmt: skip
        """Set what all runs share, where they are kept, of which seeds; with 0 workers what is finished is found."""
        self.shared = (*MEASURED, *given, *(QUICK if quick else ()))
        self.outputs = HERE / "outputs" / ("quick" if quick else "full")
        self.records = Records(records or (self.outputs if quick else HERE) / "records")
        self.seeds = SEEDS[:1] if quick else SEEDS
        self.arms = QUICK_ARMS if quick else ARMS
        self.temperatures = (1.0,) if quick else TEMPERATURES
        self.workers, self.only = workers, only

    def baseline(self, seed: int, schedule: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Return the overrides of maximum likelihood."""
        return ("+experiment=mle", f"seed={seed}", *_task("lstm"), *self.shared, *schedule)

    def arm(self, arm: Arm, seed: int, base: Path) -> tuple[str, ...]:
        """Return the overrides of an arm."""
        given = (f"pretrained={base}",) if arm.generator == "lstm" else ()
        followed = (f"adversarial.steps={arm.updates}", f"adversarial.validate_every={EVERY}")
        task = (*arm.overrides, *_task(arm.generator), *self.shared)
        return (f"+experiment={arm.page}", f"seed={seed}", *given, *followed, *task)

    def wanted(self, seed: int, base: Path = NOWHERE) -> list[Wanted]:
        """Return all runs of a seed, by its baseline's folder."""
        mle = Wanted(MLE, seed, self.baseline(seed), partial(at_temperatures, self.temperatures))
        stopped = Wanted(STOPPED, seed, self.baseline(seed, EARLY), as_it_stands)
        measure = partial(followed, self.temperatures)
        arms = [Wanted(arm.name, seed, self.arm(arm, seed, base), measure) for arm in self.arms if seed in arm.seeds]
        return [mle, stopped, *arms]

    def _bases(self, seeds: Collection[int]) -> list[tuple[Path]]:
        runs = train_all([self.baseline(seed) for seed in seeds], outputs=self.outputs, workers=self.workers)
        return [(run,) for run in runs]

    def report(self) -> None:
        """Train and measure what has no record, and write `table.md` and `figure.png` of the records."""
        known = self.records.known(
            self.wanted, self.seeds, self._bases, outputs=self.outputs, workers=self.workers, only=self.only
        )
        if MLE not in known:
            sys.exit("no baseline is finished yet: full trains it")
        names = [name for name in (MLE, STOPPED, *(arm.name for arm in self.arms)) if name in known]
        found = {name: list(known[name].values()) for name in names}
        minutes = [one["minutes"] for runs in found.values() for one in runs]
        told = (
            f"{len(minutes)} runs, {sum(minutes) / 60:.1f} hours of one core in all, the longest {max(minutes):.0f} min"
        )
        curves = {arm.name: found[arm.name] for arm in self.arms if arm.name in found}
        # Those that learn by maximum likelihood for themselves have no baseline to share.
        alone = {STOPPED, *(arm.name for arm in self.arms if arm.generator != "lstm")}
        paired = [one for seed in self.seeds for one in self.wanted(seed) if one.name not in alone]
        shown = table({name: known[name] for name in names})
        tables = list(filter(None, [told, shown, table_of_curves(curves), self.records.doubts(paired)]))
        where = self.records.folder.parent
        (where / "table.md").write_text("\n\n".join(tables) + "\n")
        print(*tables, sep="\n\n")
        start = {name: fmean([run["rows"][""][name] for run in found[MLE]]) for name in (ORACLE, UNSEEN)}
        draw(where / "figure.png", curves, start=(start[ORACLE], start[UNSEEN]))


def _task(generator: str) -> tuple[str, ...]:
    return "data=oracle", "encoder=none", f"generator={generator}"


def table(known: Mapping[str, Mapping[int, Found]]) -> str:
    """Return a Markdown table: a row a method, as it stands after its last update, on the test split.

    D's AUC is that of the method's own discriminator, between the split's sequences and its samples.

    Args:
        known: by name and seed, maximum likelihood at all temperatures first.
    """
    rows = [["", "seeds", "temperature", "NLL_oracle", "NLL_test", "above the curve", "D's AUC"]]
    for name, runs in known.items():
        for row in next(iter(runs.values()))["rows"]:
            own = {seed: run["rows"][row] for seed, run in runs.items()}
            told = {metric: [one[metric] for one in own.values() if metric in one] for metric in SHOWN}
            cells = [with_interval(told[metric], SHOWN[metric]) if told[metric] else "" for metric in SHOWN]
            used = sorted({one.get("temperature", 1.0) for one in own.values()})
            above = [
                one for seed, found in own.items() if seed in known[MLE] and name != MLE
                for one in above_curve(found, known[MLE][seed])
            ]  # fmt: skip
            cells.insert(2, with_interval(above, 3, sign="+") if above else "")
            rows.append([f"{name}{row}", str(len(own)), ", ".join(f"{one:.3g}" for one in used), *cells])
    return markdown(rows)


def above_curve(found: Mapping[str, float], mle: Found) -> list[float]:
    """Return how much higher NLL_test is than maximum likelihood's at the temperature with the same NLL_oracle.

    Between two temperatures the curve is a straight line; where it does not come to that NLL_oracle, nothing is
    returned.
    """
    curve = sorted((one[ORACLE], one[UNSEEN]) for one in mle["rows"].values())
    (lowest, _), (highest, _) = curve[0], curve[-1]
    if not lowest <= found[ORACLE] <= highest:
        return []
    return [found[UNSEEN] - float(np.interp(found[ORACLE], *np.transpose(curve)))]


def main(size: str = "full", *given: str) -> None:
    if size not in ("full", "quick", "tables"):
        sys.exit(f"size {size}: full, quick, or tables of what is finished")
    told = options(given)
    workers = 0 if size == "tables" else told.workers
    Study(told.others, quick=size == "quick", workers=workers, records=told.records, only=told.seeds).report()


if __name__ == "__main__":
    main(*sys.argv[1:])
