"""Four families of policies on photographs, by maximum likelihood and by CIDEr-D as the reward. See README.md."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from experiments.flickr8k.measure import found
from experiments.flickr8k.run import QUICK
from experiments.flickr8k.verdict import draw, table_of_beams, table_of_samples
from experiments.records import NOWHERE, Records, Wanted, options
from experiments.study import gigabytes_of, train_all
from gan_caption.metrics.nouns import unsupported_nouns
from gan_caption.reporting.table import markdown

HERE = Path(__file__).parent
SEEDS = (0,)
SETTING = ("encoder=efficientnet_lite0", "decoding=beam", "tracker=local")
UPDATES = (
    "adversarial.steps=300", "adversarial.images_per_batch=10", "adversarial.validate_every=300",
    "adversarial.learning_rate=5e-5", "adversarial.quality_floor=0", "adversarial.entropy_floor=0",
    "validation.images=200",
)  # fmt: skip
FAMILIES = {
    "attention_lstm": (),
    "updown": (),
    "transformer": (),
    "pretrained_lm": ("max_length=25", "phases.mle.epochs=1", "adversarial.steps=100", "validation.images=200"),
}
"""What else a family is told: subwords are more than words, and a step of a large one takes minutes of the others'."""
BASELINE = "attention_lstm, mle"
"""What the others are compared with."""


class Study:
    """The runs of one size: each is trained and measured unless its record is kept."""

    def __init__(self, data: Sequence[str], *, quick: bool, workers: int, records: Path | None,
                 only: Collection[int] | None = None) -> None:  # fmt: skip
        """Set where they are kept, how many run at a time, of which seeds; with 0 workers what is finished is found."""
        self.shared = (*data, *SETTING)
        self.quick = QUICK if quick else ()
        self.outputs = HERE / "outputs" / ("quick" if quick else "full")
        self.records = Records(records or (self.outputs if quick else HERE) / "records")
        self.families = {name: own for name, own in FAMILIES.items() if not quick or name != "pretrained_lm"}
        self.workers, self.only = workers, only

    def baseline(self, family: str, seed: int) -> tuple[str, ...]:
        """Return the overrides of maximum likelihood."""
        return ("+experiment=mle", *self._of(family, seed))

    def rewarded(self, family: str, seed: int, base: Path) -> tuple[str, ...]:
        """Return the overrides of `nsc` from a baseline."""
        return ("+experiment=nsc", f"pretrained={base}", *UPDATES, *self._of(family, seed))

    def _of(self, family: str, seed: int) -> tuple[str, ...]:
        return (f"generator={family}", f"seed={seed}", *self.shared, *self.families[family], *self.quick)

    def wanted(self, seed: int, *bases: Path) -> list[Wanted]:
        """Return all runs of a seed, by the folders of its baselines."""
        told = []
        for family, base in zip(self.families, bases or [NOWHERE] * len(self.families), strict=True):
            after = self.rewarded(family, seed, base)
            told.append(self._plain(family, seed))
            told.append(Wanted(f"{family}, nsc", seed, after, partial(measured, phase="policy_gradient")))
        return told

    def _plain(self, family: str, seed: int) -> Wanted:
        return Wanted(f"{family}, mle", seed, self.baseline(family, seed), partial(measured, phase="mle"))

    def _bases(self, seeds: Collection[int]) -> list[tuple[Path, ...]]:
        """Train the baselines of all families, and keep what each is worth as soon as it is there."""
        plain = [self._plain(family, seed) for seed in seeds for family in self.families]
        self.records.make(plain, outputs=self.outputs, workers=self.workers)
        return [
            tuple(train_all([self.baseline(family, seed) for family in self.families],
                            outputs=self.outputs, workers=self.workers))
            for seed in seeds
        ]  # fmt: skip

    def report(self) -> None:
        """Train and measure what has no record, and write `table.md` and `figure.png` of the records."""
        known = self.records.known(
            self.wanted, SEEDS, self._bases, outputs=self.outputs, workers=self.workers, only=self.only
        )
        if not known:
            sys.exit("no run is finished yet: full trains them")
        tables = (table_of_beams(known, BASELINE), table_of_samples(known, BASELINE), table_of_costs(known))
        text = "\n\n".join(tables)
        where = self.records.folder.parent
        (where / "table.md").write_text(f"{text}\n")
        print(text)
        draw(where / "figure.png", known, BASELINE)


def measured(run: Path, phase: str) -> dict[str, Any]:
    """Return what `experiments.flickr8k.measure.found` does, and "gigabytes", the most memory that the run took."""
    return {**found(run, phase), "gigabytes": gigabytes_of(run)}


def table_of_costs(known: Mapping[str, Mapping[int, Mapping[str, Any]]]) -> str:
    """Return a Markdown table of minutes and memory, the most of any seed's."""
    rows = [["training and its table, one thread", "minutes", "GB"]]
    for name, runs in known.items():
        minutes, gigabytes = (max(run[key] for run in runs.values()) for key in ("minutes", "gigabytes"))
        rows.append([name, f"{minutes:.0f}", f"{gigabytes:.1f}"])
    return markdown(rows)


def main(size: str = "full", *given: str) -> None:
    if size not in ("full", "quick", "tables"):
        sys.exit(f"size {size}: full, quick, or tables of what is finished")
    told = options(given)
    if size != "tables":
        unsupported_nouns()  # what it needs is asked for before anything is trained
    workers = 0 if size == "tables" else told.workers
    Study(told.others, quick=size == "quick", workers=workers, records=told.records, only=told.seeds).report()


if __name__ == "__main__":
    main(*sys.argv[1:])
