"""SeqGAN's Table 1 from its authors' own oracle, with controls. See README.md."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from experiments.records import Records, Wanted
from experiments.seqgan_oracle.arms import ARMS, SEEDS, Arm
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

    def __init__(self, given: Sequence[str], *, quick: bool, outputs: Path, records: Records) -> None:
        """Set what all runs share and where they are kept."""
        self.shared = (*MEASURED, *given, *(QUICK if quick else ()))
        self.outputs, self.records = outputs, records
        self.seeds = SEEDS[:1] if quick else SEEDS
        self.temperatures = (1.0,) if quick else TEMPERATURES

    def baseline(self, seed: int, schedule: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Return the overrides of maximum likelihood."""
        return ("+experiment=mle", f"seed={seed}", *_task("lstm"), *self.shared, *schedule)

    def arm(self, arm: Arm, seed: int, base: Path) -> tuple[str, ...]:
        """Return the overrides of an arm."""
        given = (f"pretrained={base}",) if arm.generator == "lstm" else ()
        followed = (f"adversarial.steps={arm.updates}", f"adversarial.validate_every={EVERY}")
        task = (*arm.overrides, *_task(arm.generator), *self.shared)
        return (f"+experiment={arm.page}", f"seed={seed}", *given, *followed, *task)

    def wanted(self, bases: Mapping[int, Path]) -> list[Wanted]:
        """Return all runs.

        Args:
            bases: the baselines' folders by seed, where they are known.
        """
        of_mle = [Wanted(MLE, seed, self.baseline(seed), partial(at_temperatures, self.temperatures))
                  for seed in self.seeds]  # fmt: skip
        stopped = [Wanted(STOPPED, seed, self.baseline(seed, EARLY), as_it_stands) for seed in self.seeds]
        arms = [
            Wanted(arm.name, seed, self.arm(arm, seed, bases.get(seed, Path())), partial(followed, self.temperatures))
            for arm in ARMS
            for seed in arm.seeds
            if seed in self.seeds
        ]
        return [*of_mle, *stopped, *arms]

    def run(self, *, workers: int) -> None:
        """Train and measure what has no record."""
        begun = sorted({one.seed for one in self.records.missing(self.wanted({})) if one.name != STOPPED})
        runs = train_all([self.baseline(seed) for seed in begun], outputs=self.outputs, workers=workers)
        wanted = self.wanted(dict(zip(begun, runs, strict=True)))
        self.records.make(wanted, outputs=self.outputs, workers=workers)

    def report(self, where: Path) -> None:
        """Write `table.md` and `figure.png` of the records that there are."""
        found: dict[str, list[Found]] = {}
        for one in self.wanted({}):
            if (kept := self.records.found(one)) is not None:
                found.setdefault(one.name, []).append(kept)
        if MLE not in found:
            sys.exit("no baseline is finished yet: full trains it")
        minutes = [one["minutes"] for runs in found.values() for one in runs]
        told = (
            f"{len(minutes)} runs, {sum(minutes) / 60:.1f} hours of one core in all, the longest {max(minutes):.0f} min"
        )
        curves: dict[str, list[Found]] = {}  # of a method, however long its seeds went on
        for arm in ARMS:
            curves.setdefault(arm.name.removesuffix(f", {arm.updates} updates"), []).extend(found.get(arm.name, []))
        curves = {name: runs for name, runs in curves.items() if runs}
        tables = (told, table(found), table_of_curves(curves))
        where.mkdir(parents=True, exist_ok=True)
        (where / "table.md").write_text("\n\n".join(tables) + "\n")
        print(*tables, sep="\n\n")
        start = {name: _mean([run["rows"][""][name] for run in found[MLE]]) for name in (ORACLE, UNSEEN)}
        draw(where / "figure.png", curves, start=(start[ORACLE], start[UNSEEN]))


def _task(generator: str) -> tuple[str, ...]:
    return "data=oracle", "encoder=none", f"generator={generator}"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def table(found: Mapping[str, Sequence[Found]]) -> str:
    """Return a Markdown table: a row a method, as it stands after its last update, on the test split.

    D's AUC is that of the method's own discriminator, between the split's sequences and its samples.
    """
    rows = [["", "seeds", "temperature", "NLL_oracle", "NLL_test", "words used", "D's AUC"]]
    for name, runs in found.items():
        for row in runs[0]["rows"]:
            own = [run["rows"][row] for run in runs]
            known = {metric: [one[metric] for one in own if metric in one] for metric in SHOWN}
            cells = [with_interval(known[metric], SHOWN[metric]) if known[metric] else "" for metric in SHOWN]
            used = sorted({one.get("temperature", 1.0) for one in own})
            rows.append([f"{name}{row}", str(len(own)), ", ".join(f"{one:.2g}" for one in used), *cells])
    return markdown(rows)


def main(size: str = "full", *given: str) -> None:
    if size not in ("full", "quick", "tables"):
        sys.exit(f"size {size}: full, quick, or tables of what is finished")
    named = dict(one.split("=", 1) for one in given if one.startswith(("workers=", "records=")))
    quick = size == "quick"
    outputs = HERE / "outputs" / ("quick" if quick else "full")
    records = Records(Path(named.get("records", outputs / "records" if quick else HERE / "records")))
    overrides = [one for one in given if one.partition("=")[0] not in named]
    study = Study(overrides, quick=quick, outputs=outputs, records=records)
    if size != "tables":
        study.run(workers=int(named.get("workers", "2")))
    study.report(outputs if quick else records.folder.parent)


if __name__ == "__main__":
    main(*sys.argv[1:])
