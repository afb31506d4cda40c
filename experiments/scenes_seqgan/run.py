"""SeqGAN beside its own baseline on the scenes, over seeds: see README.md."""

from __future__ import annotations

import random
import statistics
import sys
from pathlib import Path

from experiments.composing import part
from experiments.study import captions, cost, metrics, systems, train
from gan_caption.data.scenes import language
from gan_caption.data.scenes.judge import judge
from gan_caption.reporting.gallery import gallery
from gan_caption.reporting.seeds import across_seeds, with_interval

HERE = Path(__file__).parent
OUTPUTS = HERE / "outputs"
SEEDS = (0, 1, 2)


def main(overrides: list[str]) -> None:
    runs = [train("+experiment=seqgan", f"seed={seed}", *overrides, outputs=OUTPUTS) for seed in SEEDS]
    table = across_seeds([systems(run) for run in runs], metrics(runs[0]))
    entropy = f"entropy of a caption given its scene: {caption_entropy()} nats"
    note = f"Mean over seeds {SEEDS} with 95% t intervals; test images, greedy; samples at temperature 1.\n{entropy}"
    (HERE / "table.md").write_text(f"{note}\n{cost(OUTPUTS)}\n\n{table}\n")
    print(f"{note}\n\n{table}")

    split = part("data/scenes").split("test")
    told = {system: captions(runs[0], system) for system in ("mle", "adversarial")}
    rows = range(8)
    shown = [{system: told[system][split.items[row].image_id] for system in told} for row in rows]
    false = [
        [s for s, c in one.items() if not judge(c, split.scenes[row]).true]
        for row, one in zip(rows, shown, strict=True)
    ]
    gallery(HERE / "figure.png", [split.image(row).resize((256, 256), 0) for row in rows], shown, false=false)


def caption_entropy(scenes: int = 2000, draws: int = 5) -> str:
    """Estimate E[-log p(caption | scene)] over drawn scenes and captions, with a 95% interval over scenes."""
    rng = random.Random(0)
    means = []
    for scene in part("data/scenes", train=scenes).split("train").scenes:
        phrase = language.captions_of(scene)
        drawn = [language.draw_caption(phrase, rng) for _ in range(draws)]
        means.append(statistics.fmean(-language.log_probability(phrase, caption) for caption in drawn))
    return with_interval(means, 2)


if __name__ == "__main__":
    main(sys.argv[1:])
