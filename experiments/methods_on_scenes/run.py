"""Every method and every control on the scenes, from one shared baseline a seed: see README.md."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from experiments.study import cost, evaluate, metrics, systems, train_all, trained
from gan_caption.metrics.metric import Metrics
from gan_caption.reporting.seeds import interval
from gan_caption.reporting.table import markdown
from gan_caption.reporting.trade_off import Axis, trade_off

HERE = Path(__file__).parent
OUTPUTS = HERE / "outputs"
SEEDS = (0, 1, 2)
PAGES = (
    "scst", "nsc", "actor_critic", "ppo", "seqgan", "cgan", "chen", "dognin", "shetty", "relgan", "maligan", "rankgan",
    "scratchgan", "control_constant", "control_random", "control_shuffled_image",
)  # fmt: skip
TEMPERATURES = (0.3, 0.5, 0.7, 0.85, 1.0, 1.15)
"""Of the baseline's curve; `control_temperature` is its point at .7."""
SHOWN = (
    "cider_d", "bleu_4", "oracle_true", "length", "div_2", "mbleu_4", "sample_oracle_true", "sample_length",
    "sample_oracle_nll", "nll_per_caption",
)  # fmt: skip

Runs = Sequence[Mapping[str, float]]


BUDGET = (
    "adversarial.steps=100", "adversarial.learning_rate=1e-4", "adversarial.quality_floor=0",
    "adversarial.entropy_floor=0", "adversarial.validate_every=50",
    "discriminator_training.learning_rate=1e-3",
)  # fmt: skip


def main(overrides: list[str]) -> None:
    baselines, folders = train_pages(PAGES, overrides)
    methods = {page: [systems(run)[trained(run)] for run in runs] for page, runs in folders.items()}
    curve = {
        temperature: [evaluate(run, "split=test", f"validation.temperature={temperature}")["mle"] for run in baselines]
        for temperature in TEMPERATURES
    }
    write(methods, curve, metrics(baselines[0]))


def train_pages(pages: Sequence[str], overrides: Sequence[str]) -> tuple[list[Path], dict[str, list[Path]]]:
    """Train the baselines and the methods, or find what was trained before; return the run folders, a seed each."""
    shared = ("tracker=local", *overrides)
    baselines = train_all([("+experiment=mle", f"seed={seed}", *shared) for seed in SEEDS], outputs=OUTPUTS, workers=2)
    wanted = [
        (f"+experiment={page}", f"seed={seed}", f"pretrained={baseline}", *BUDGET, *shared)
        for page in pages
        for seed, baseline in zip(SEEDS, baselines, strict=True)
    ]
    runs = train_all(wanted, outputs=OUTPUTS, workers=2)
    return baselines, {page: runs[len(SEEDS) * i : len(SEEDS) * (i + 1)] for i, page in enumerate(pages)}


def write(methods: Mapping[str, Runs], curve: Mapping[float, Runs], known: Metrics) -> None:
    """Write the table and the figures."""
    table = method_table({"mle": curve[1.0], "control_temperature": curve[0.7], **methods}, curve, known)
    note = (
        f"Scenes, test images, seeds {SEEDS}: mean ± 95% t interval. Decoded greedily; samples at temperature 1 "
        "(.7 for control_temperature).\nAn asterisk marks a paired difference from mle whose 95% interval leaves out "
        "0; in the last column, a difference from\nthe curve of the same seed's baseline over temperatures, read at "
        "the method's Div-2."
    )
    (HERE / "table.md").write_text(f"{note}\n{cost(OUTPUTS)}\n\n{table}\n")
    print(f"{note}\n\n{table}")
    quality = Axis("sample_oracle_true", "samples that are true of their image, %  (up is better)", 100)
    for metric, label, name in (
        ("div_2", "Div-2 of samples  (right is more varied)", "figure.png"),
        ("mbleu_4", "mBLEU-4 of samples  (left is more varied)", "figure_mbleu.png"),
    ):
        trade_off(
            HERE / name,
            across=Axis(metric, label),
            up=quality,
            methods=methods,
            curve=curve,
            curve_name="mle, by temperature",
        )


def method_table(methods: Mapping[str, Runs], curve: Mapping[float, Runs], known: Metrics) -> str:
    """Return a Markdown table: a row a method, a column a metric."""
    rows = [["", *(known[name].label for name in SHOWN), "true samples above the curve, points"]]
    for method, runs in methods.items():
        cells = []
        for name in SHOWN:
            mean, half = interval([run[name] for run in runs])
            change, unsure = interval([run[name] - own[name] for run, own in zip(runs, curve[1.0], strict=True)])
            mark = "*" if abs(change) > unsure else ""
            cells.append(f"{known[name].shown(mean)} ± {known[name].shown(half)}{mark}")
        rows.append([method, *cells, above(runs, curve)])
    return markdown(rows)


def above(runs: Runs, curve: Mapping[float, Runs]) -> str:
    """Return how many more of a method's samples are true than of its baseline's at equal Div-2, mean over seeds.

    Where the baseline has no such Div-2 at any temperature of some seed, that is said instead.
    """
    differences = []
    for seed, run in enumerate(runs):
        points = sorted((own[seed]["div_2"], own[seed]["sample_oracle_true"]) for own in curve.values())
        if not points[0][0] <= run["div_2"] <= points[-1][0]:
            return "outside the curve"
        equal = np.interp(run["div_2"], [x for x, _ in points], [y for _, y in points])
        differences.append(100 * (run["sample_oracle_true"] - equal))
    mean, half = interval(differences)
    return f"{mean:+.1f} ± {half:.1f}{'*' if abs(mean) > half else ''}"


if __name__ == "__main__":
    main(sys.argv[1:])
