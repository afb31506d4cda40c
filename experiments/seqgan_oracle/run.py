"""SeqGAN's Table 1 from its authors' own oracle, with controls. See README.md."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from experiments.records import Records
from experiments.seqgan_oracle.arms import ARMS, SEEDS, Arm
from experiments.seqgan_oracle.curves import curve_of, draw, table_of_curves
from experiments.study import cost_of, evaluate, systems, train, trained
from gan_caption.reporting.seeds import with_interval
from gan_caption.reporting.table import markdown

HERE = Path(__file__).parent
TEMPERATURES = (0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5)
EVERY = 5
"""Updates between validations, as in the authors' log."""
ORACLE, UNSEEN = "sample_oracle_nll_per_token", "nll_per_token"
SHOWN = {ORACLE: 3, UNSEEN: 3, "sample_vocabulary": 0, "discriminator_auc": 3}
"""Metrics of the table, and their decimals."""
MEASURED = ("tracker=local", "validation.samples_per_image=5", "validation.batch_images=500")
EARLY = ("phases.mle.selected_by=nll_per_token", "phases.mle.epochs=10")
QUICK = (
    "data.words=50", "data.train=80", "data.val=20", "data.test=20", "phases.mle.epochs=2", "data.parameters=null",
    "discriminator_training.steps=5", "discriminator_training.steps_per_update=2", "adversarial.steps=5",
    "adversarial.images_per_batch=8", "adversarial.rollouts=2", "text_cnn.filters=8", "text_cnn.widths=[1,2,3]",
)  # fmt: skip
MLE, STOPPED = "mle", "mle, stopped by held-out NLL"

Found = Mapping[str, Any]
"""What is kept of a run: "minutes", "rows" (metrics by what they are of), "oracle" and "unseen" (values by update)."""


class Study:
    """The runs of one size: each is trained and measured unless its record is kept."""

    def __init__(self, given: Sequence[str], *, quick: bool, outputs: Path, records: Records) -> None:
        """Set what all runs share and where they are kept."""
        self.shared = (*MEASURED, *given, *(QUICK if quick else ()))
        self.outputs, self.records = outputs, records
        self.seeds, self.temperatures = (SEEDS[:1], TEMPERATURES[:2]) if quick else (SEEDS, TEMPERATURES)

    def baseline(self, seed: int, schedule: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Return the overrides of maximum likelihood."""
        return ("+experiment=mle", f"seed={seed}", *_task("lstm"), *self.shared, *schedule)

    def arm(self, arm: Arm, seed: int) -> tuple[str, ...]:
        """Return the overrides of an arm, but for the baseline that it begins with."""
        task = _task(arm.generator)
        followed = (f"adversarial.steps={arm.updates}", f"adversarial.validate_every={EVERY}")
        return (f"+experiment={arm.page}", f"seed={seed}", *followed, *arm.overrides, *task, *self.shared)

    def wanted(self) -> dict[tuple[str, int], tuple[str, ...]]:
        """Return the overrides of all runs, by name and seed: what each arm begins with first."""
        wanted = {(MLE, seed): self.baseline(seed) for seed in self.seeds}
        wanted |= {(arm.name, seed): self.arm(arm, seed) for arm in ARMS for seed in arm.seeds if seed in self.seeds}
        return wanted | {(STOPPED, seed): self.baseline(seed, EARLY) for seed in self.seeds}

    def run(self, *, workers: int) -> None:
        """Train and measure what has no record, so many at a time, each on one thread."""
        missing = {key: own for key, own in self.wanted().items() if self.records.found(*key, own) is None}
        print(f"{len(missing)} of {len(self.wanted())} runs have no record in {self.records.folder}", flush=True)
        alone = {STOPPED, *(arm.name for arm in ARMS if arm.generator != "lstm")}
        with ThreadPoolExecutor(workers) as pool:
            begun = sorted({seed for name, seed in missing if name not in alone})
            bases = dict(zip(begun, pool.map(lambda seed: self._train(*self.baseline(seed)), begun), strict=True))
            begins = {key: None if key[0] in alone else bases[key[1]] for key in missing}
            for future in [pool.submit(self.record, *key, begins[key]) for key in missing]:
                future.result()

    def record(self, name: str, seed: int, base: Path | None) -> None:
        """Train a run, measure it, and keep what was found.

        Args:
            name: of an arm, or of a baseline.
            seed: of the run.
            base: the run of the seed's baseline; None where the run does not begin with it.
        """
        own = self.wanted()[name, seed]
        if name == MLE and base is not None:
            run = base
        else:
            run = self._train(*own[:2], *(() if base is None else (f"pretrained={base}",)), *own[2:])
        self.records.keep(name, seed, own, self._found(run, name))

    def _train(self, *overrides: str) -> Path:
        return train(*overrides, "threads=1", outputs=self.outputs)

    def _found(self, run: Path, name: str) -> Found:
        """Measure a run."""
        system = MLE if name in (MLE, STOPPED) else trained(run)
        rows = {"": systems(run)[system]}
        if name == MLE:
            rows |= {
                f" at temperature {one:g}": _sampled(run, "test", one)[MLE] for one in self.temperatures if one != 1
            }
        elif name != STOPPED:
            rows[", at its best temperature"] = self._at_its_best(run, system)
        if "leakgan" in name:
            rows[": its own mle"] = systems(run)[MLE]
            rows[", logits x 1.5 (as published)"] = _sampled(run, "test", 1 / 1.5)[system]
        curve = {} if system == MLE else curve_of(run, system, every=EVERY)
        kept = (*SHOWN, "temperature")
        return {
            "minutes": cost_of(run),
            "rows": {row: {one: found[one] for one in kept if one in found} for row, found in rows.items()},
            **curve,
        }

    def _at_its_best(self, run: Path, system: str) -> dict[str, float]:
        """Return the metrics at the temperature whose two NLLs have the least sum on the validation split."""
        found = {temperature: _sampled(run, "val", temperature)[system] for temperature in self.temperatures}
        best = min(found, key=lambda temperature: sum(found[temperature][name] for name in (ORACLE, UNSEEN)))
        return _sampled(run, "test", best)[system]

    def report(self, where: Path) -> None:
        """Write `table.md` and `figure.png` of the records that there are."""
        found: dict[str, list[Found]] = {}
        for (name, seed), own in self.wanted().items():
            if (one := self.records.found(name, seed, own)) is not None:
                found.setdefault(name, []).append(one)
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


def _sampled(run: Path, split: str, temperature: float) -> dict[str, dict[str, float]]:
    """Return the metrics of a run's systems, written and judged at a temperature."""
    found = evaluate(
        run, f"split={split}", "validation.samples_per_image=2", "validation.batch_images=500",
        f"validation.temperature={temperature:.4g}",
    )  # fmt: skip
    return {system: {**metrics, "temperature": temperature} for system, metrics in found.items()}


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
