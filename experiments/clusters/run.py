"""A sweep of six runs by each launcher, compared file by file with the one that no launcher started: see README.md."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

from experiments.sweeps.run import runs, start
from gan_caption.reporting.table import markdown

HERE = Path(__file__).parent
OUTPUTS = HERE / "outputs"
SMALL = (
    "+experiment=mle,scst,seqgan", "seed=0,1", "data.train=400", "data.test=50", "validation.images=50",
    "phases.words.steps=100", "phases.mle.epochs=4", "discriminator_training.steps=20", "adversarial.steps=20",
)  # fmt: skip
LAUNCHERS = {
    "one after the other": (),
    "joblib": ("+cluster=joblib",),
    "Ray, a head of its own": ("+cluster=ray",),
    "submitit, local executor": ("hydra/launcher=submitit_local", "hydra.launcher.cpus_per_task=1"),
}
FILES = ("results.json", "checkpoints/best_mle.safetensors")


def main(overrides: list[str]) -> None:
    shutil.rmtree(OUTPUTS, ignore_errors=True)
    rows = [["launcher", "what is typed", "runs", "files bitwise equal", "seconds", "of one after the other"]]
    seconds: dict[str, float] = {}
    for name, asked in LAUNCHERS.items():
        outputs = OUTPUTS / name.replace(" ", "_").replace(",", "")
        began = time.perf_counter()
        if start(outputs, *SMALL, *asked, *overrides).wait():
            raise SystemExit(f"the sweep failed: {outputs / 'log.txt'}")
        seconds[name] = time.perf_counter() - began
        first = OUTPUTS / "one_after_the_other"
        pairs = [(first / folder.name / file, folder / file) for folder in runs(outputs) for file in FILES]
        equal = sum(one.read_bytes() == other.read_bytes() for one, other in pairs)
        ratio = seconds[name] / seconds["one after the other"]
        typed = f"`{asked[0]}`" if asked else "-"
        rows.append(
            [name, typed, str(len(runs(outputs))), f"{equal} of {len(pairs)}", f"{seconds[name]:.0f}", f"{ratio:.2f}"]
        )
    table = markdown(rows)
    (HERE / "table.md").write_text(f"{table}\n")
    print(table)


if __name__ == "__main__":
    main(sys.argv[1:])
