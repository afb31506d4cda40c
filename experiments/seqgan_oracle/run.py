"""SeqGAN's Table 1 again, with controls: NLL_oracle and NLL_test on the synthetic task. See README.md."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from experiments.study import cost, evaluate, systems, train_all, trained
from gan_caption.reporting.seeds import interval
from gan_caption.reporting.table import markdown
from gan_caption.reporting.trade_off import Axis, trade_off

HERE = Path(__file__).parent
SEEDS = {
    "seqgan": (0, 1, 2), "control_constant": (0, 1, 2), "control_random": (0, 1, 2),
    "maligan": (0,), "rankgan": (0,), "relgan": (0,), "scratchgan": (0,),
}  # fmt: skip
TEMPERATURES = (0.6, 0.7, 0.8, 0.9, 1.0, 1.1)
PUBLISHED = {"mle": 9.038, "seqgan": 8.736, "rankgan": 8.247, "relgan": 6.680}
"""NLL_oracle in Yu et al. 2017, table 1, and in Nie et al. 2019."""

TASK = (
    "data=oracle",
    "encoder=none",
    "generator=lstm",
    "validation.images=200",
    "validation.samples_per_image=2",
    "validation.batch_images=500",
)
_ROLLOUTS = ("phases.adversarial.objective.credit.rollouts=16", "discriminator.embedding=64")
ADVERSARIAL = {
    "seqgan": _ROLLOUTS,
    "control_random": _ROLLOUTS,
    "rankgan": _ROLLOUTS,
    "maligan": ("discriminator.embedding=64",),
}
QUICK = (
    "data.words=200", "data.train=600", "data.val=100", "data.test=200", "phases.mle.epochs=10",
    "discriminator_training.steps=20", "adversarial.steps=10",
)  # fmt: skip

Runs = Sequence[Mapping[str, float]]


def main(size: str = "full", *overrides: str) -> None:
    if size not in ("full", "quick"):
        sys.exit(f"size {size}: full or quick")
    where = HERE if size == "full" else HERE / "outputs" / "quick"
    outputs = HERE / "outputs" / size
    shared = (*TASK, *(QUICK if size == "quick" else ()), *overrides)
    early = ("phases.mle.selected_by=nll_per_token", "phases.mle.epochs=10")
    mle = [("+experiment=mle", f"seed={seed}", *shared, *schedule) for schedule in ((), early) for seed in (0, 1, 2)]
    started = train_all(mle, outputs=outputs, workers=2)
    baselines, stopped = started[:3], started[3:]
    wanted = {
        (page, seed): (
            f"+experiment={page}",
            f"seed={seed}",
            f"pretrained={baselines[seed]}",
            *shared,
            *ADVERSARIAL.get(page, ()),
            "adversarial.entropy_floor=0",
        )
        for page, seeds in SEEDS.items()
        for seed in seeds
    }
    runs = dict(zip(wanted, train_all(list(wanted.values()), outputs=outputs, workers=2), strict=True))
    methods: dict[str, Runs] = {
        "mle": [systems(run)["mle"] for run in baselines],
        "mle, stopped by held-out NLL": [systems(run)["mle"] for run in stopped],
        **{
            page: [systems(runs[page, seed])[trained(runs[page, seed])] for seed in seeds]
            for page, seeds in SEEDS.items()
        },
    }
    samples = ("validation.samples_per_image=2", "validation.batch_images=500")
    curve = {
        temperature: [
            evaluate(run, "split=test", *samples, f"validation.temperature={temperature}")["mle"] for run in baselines
        ]
        for temperature in TEMPERATURES
    }
    methods |= {f"mle at temperature {temperature:g}": runs for temperature, runs in curve.items() if temperature != 1}
    rows = table(methods, published=PUBLISHED if size == "full" else {})
    (where / "table.md").write_text(f"{cost(outputs)}\n\n{rows}\n")
    print(rows)
    trade_off(
        where / "figure.png",
        across=Axis("nll_per_token", "NLL_test, nats a token  (left: gives the data more probability)"),
        up=Axis("sample_oracle_nll_per_token", "NLL_oracle, nats a token  (down: samples look likelier)"),
        methods={name: runs for name, runs in methods.items() if "temperature" not in name},
        curve=curve, curve_name="mle, by temperature",
    )  # fmt: skip


def table(methods: Mapping[str, Runs], *, published: Mapping[str, float]) -> str:
    """Return a Markdown table: a row a method, beside what was published for the task at full size."""
    rows = [["", "seeds", "NLL_oracle", "published", "NLL_test", "words used"]]
    for name, runs in methods.items():
        cells = [
            _cell(runs, metric, decimals)
            for metric, decimals in (
                ("sample_oracle_nll_per_token", 3),
                ("nll_per_token", 3),
                ("sample_vocabulary", 0),
            )
        ]
        paper = f"{published[name]:.3f}" if name in published else ""
        rows.append([name, str(len(runs)), cells[0], paper, cells[1], cells[2]])
    return markdown(rows)


def _cell(runs: Runs, metric: str, decimals: int) -> str:
    mean, half = interval([run[metric] for run in runs])
    return f"{mean:.{decimals}f}" + (f" ± {half:.{decimals}f}" if len(runs) > 1 else "")


if __name__ == "__main__":
    main(*sys.argv[1:])
