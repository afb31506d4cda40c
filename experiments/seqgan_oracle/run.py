"""SeqGAN's Table 1 from its authors' own oracle, with controls. See README.md."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.seqgan_oracle.curves import Curve, curve_of, draw, table_of_curves
from experiments.study import cost, evaluate, found_or_trained, systems, trained
from gan_caption.reporting.seeds import with_interval
from gan_caption.reporting.table import markdown

HERE = Path(__file__).parent
SEEDS = (0, 1, 2)
TEMPERATURES = (0.7, 0.8, 0.9, 1.1, 1.25, 1.5)
EVERY = 5
"""Updates between validations, as in the authors' log."""
ORACLE, UNSEEN = "sample_oracle_nll_per_token", "nll_per_token"
MEASURED = ("tracker=local", "validation.samples_per_image=5", "validation.batch_images=500")
FOLLOWED = ("adversarial.steps=150", f"adversarial.validate_every={EVERY}")
EPOCH = 312
"""Steps in which D sees 10,000 sequences and as many samples."""
BUDGET = (f"discriminator_training.steps={15 * EPOCH}", f"discriminator_training.steps_per_update={EPOCH // 4}")
"""Of D: 15 epochs before, a quarter of one after each update; the authors have 150, and 15 after each."""
LONGER = (BUDGET[0], f"discriminator_training.steps_per_update={EPOCH}")
EARLY = ("phases.mle.selected_by=nll_per_token", "phases.mle.epochs=10")
QUICK = (
    "data.words=50", "data.train=80", "data.val=20", "data.test=20", "phases.mle.epochs=2", "data.parameters=null",
    "discriminator_training.steps=5", "discriminator_training.steps_per_update=2", "adversarial.steps=5",
    "adversarial.images_per_batch=8", "adversarial.rollouts=2", "text_cnn.filters=8", "text_cnn.widths=[1,2,3]",
)  # fmt: skip


@dataclass(frozen=True)
class Arm:
    """A way to go on from the baseline."""

    name: str
    page: str
    overrides: tuple[str, ...] = ()
    seeds: tuple[int, ...] = SEEDS
    generator: str = "lstm"
    """Any other than the baseline's learns by maximum likelihood for itself."""


_REWARD = "phases.policy_gradient.objective.reward"
ARMS = (
    Arm("constant reward", "control_constant"),
    Arm("uniform random reward", "control_constant", (f"reward@{_REWARD}=random", f"~{_REWARD}.value")),
    Arm("relgan, beta_max 1", "relgan", ("phases.adversarial.objective.beta_max=1",), seeds=(0,)),
    Arm("relgan, beta_max 100", "relgan", seeds=(0,)),
    Arm("relgan, beta_max 1000", "relgan", ("phases.adversarial.objective.beta_max=1000",), seeds=(0,)),
    Arm("scratchgan", "scratchgan", ("discriminator_training.steps=1000",), seeds=(0,)),
    Arm("seqgan", "seqgan", BUDGET),
    Arm("seqgan, four times D's steps", "seqgan", LONGER, seeds=(0,)),
    Arm("seqgan, D shown shuffled labels", "control_shuffled_labels", BUDGET),
    Arm("seqgan, batch-mean baseline", "seqgan", (*BUDGET, "baseline@adversarial.baseline=batch_mean")),
    Arm("maligan", "maligan", BUDGET, seeds=(0,)),
    Arm("rankgan", "rankgan", BUDGET, seeds=(0,)),
    Arm("leakgan", "leakgan", (*BUDGET, "phases.mle.epochs=20"), seeds=(0,), generator="leakgan"),
)

Runs = Sequence[Mapping[str, float]]


def main(size: str = "full", *given: str) -> None:
    if size not in ("full", "quick", "tables"):
        sys.exit(f"size {size}: full, quick, or tables of what is finished")
    overrides = [one for one in given if not one.startswith("workers=")]
    workers = int(next((one.partition("=")[2] for one in given if one.startswith("workers=")), "2"))
    workers = 0 if size == "tables" else workers
    outputs = HERE / "outputs" / ("quick" if size == "quick" else "full")
    shared = (*MEASURED, *overrides, *(QUICK if size == "quick" else ()))
    seeds = SEEDS[:1] if size == "quick" else SEEDS
    baselines: dict[int, Path] = {}
    stopped: list[Path] = []
    runs: dict[tuple[str, int], Path] = {}
    for seed in seeds:  # all arms of one, before another begins
        base, early = found_or_trained(
            [("+experiment=mle", f"seed={seed}", *_task("lstm"), *shared, *schedule) for schedule in ((), EARLY)],
            outputs=outputs, workers=workers,
        )  # fmt: skip
        stopped += [early] if early else []
        if base:
            baselines[seed] = base
            arms = [arm for arm in ARMS if seed in arm.seeds]
            wanted = [_of(arm, seed, base, *shared) for arm in arms]
            made = found_or_trained(wanted, outputs=outputs, workers=workers)
            runs |= {(arm.name, seed): run for arm, run in zip(arms, made, strict=True) if run}
    if not runs:
        sys.exit("no arm is finished yet: full trains them")
    where = HERE if size != "quick" else outputs
    _report(where, baselines, stopped, runs, outputs)


def _of(arm: Arm, seed: int, base: Path, *shared: str) -> tuple[str, ...]:
    """Return the run of an arm that goes on from a baseline."""
    given = (f"pretrained={base}", *FOLLOWED) if arm.generator == "lstm" else FOLLOWED
    return (f"+experiment={arm.page}", f"seed={seed}", *given, *arm.overrides, *_task(arm.generator), *shared)


def _task(generator: str) -> tuple[str, ...]:
    return "data=oracle", "encoder=none", f"generator={generator}"


def _report(where: Path, baselines: Mapping[int, Path], stopped: Sequence[Path],
            runs: Mapping[tuple[str, int], Path], outputs: Path) -> None:  # fmt: skip
    """Write `table.md` and `figure.png` of the finished runs."""
    arms: dict[str, list[Path]] = {}
    for (name, _), run in runs.items():
        arms.setdefault(name, []).append(run)
    methods: dict[str, Runs] = {
        "mle": [systems(run)["mle"] for run in baselines.values()],
        "mle, stopped by held-out NLL": [systems(run)["mle"] for run in stopped],
        **{name: [systems(run)[trained(run)] for run in own] for name, own in arms.items()},
    }
    for temperature in TEMPERATURES if where == HERE else TEMPERATURES[:1]:
        methods[f"mle at temperature {temperature:g}"] = [
            _sampled(run, "test", temperature)["mle"] for run in baselines.values()
        ]
    for name, own in arms.items() if where == HERE else ():  # not in the quick size
        methods[f"{name}, at its best temperature"] = [_at_its_best(run, trained(run)) for run in own]
    for run in arms.get("leakgan", []):
        methods["leakgan's own mle"] = [systems(run)["mle"]]
        methods["leakgan, logits x 1.5 (as published)"] = [_sampled(run, "test", 1 / 1.5)[trained(run)]]
    curves = {name: [curve_of(run, trained(run), every=EVERY) for run in own] for name, own in arms.items()}
    tables = (cost(outputs), table(methods), table_of_curves(curves))
    (where / "table.md").write_text("\n\n".join(tables) + "\n")
    print(*tables[1:], sep="\n\n")
    first = methods["mle"]
    start = Curve(
        {0: sum(run["sample_oracle_nll_per_token"] for run in first) / len(first)},
        {0: sum(run["nll_per_token"] for run in first) / len(first)},
    )
    draw(where / "figure.png", curves, start=start)


def _sampled(run: Path, split: str, temperature: float) -> dict[str, dict[str, float]]:
    """Return the metrics of a run's systems, written and judged at a temperature."""
    found = evaluate(
        run, f"split={split}", "validation.samples_per_image=2", "validation.batch_images=500",
        f"validation.temperature={temperature:.4g}",
    )  # fmt: skip
    return {system: {**metrics, "temperature": temperature} for system, metrics in found.items()}


def _at_its_best(run: Path, system: str) -> dict[str, float]:
    """Return the metrics at the temperature whose two NLLs have the least sum on the validation split."""
    found = {temperature: _sampled(run, "val", temperature)[system] for temperature in (*TEMPERATURES, 1.0)}
    best = min(found, key=lambda temperature: sum(found[temperature][name] for name in (ORACLE, UNSEEN)))
    return _sampled(run, "test", best)[system]


def table(methods: Mapping[str, Runs]) -> str:
    """Return a Markdown table: a row a method, as it stands after its last update, on the test split.

    D's AUC is that of the method's own discriminator, between the split's sequences and its samples.
    """
    rows = [["", "seeds", "temperature", "NLL_oracle", "NLL_test", "words used", "D's AUC"]]
    shown = {ORACLE: 3, UNSEEN: 3, "sample_vocabulary": 0, "discriminator_auc": 3}  # decimals
    for name, runs in methods.items():
        if runs:
            known = {metric: [run[metric] for run in runs if metric in run] for metric in shown}
            cells = [with_interval(known[metric], shown[metric]) if known[metric] else "" for metric in shown]
            used = sorted({run.get("temperature", 1.0) for run in runs})
            rows.append([name, str(len(runs)), ", ".join(f"{one:.2g}" for one in used), *cells])
    return markdown(rows)


if __name__ == "__main__":
    main(*sys.argv[1:])
