"""Drawing one word for every row against torch.multinomial: see README.md."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch

from experiments.speed.timing import interleaved
from gan_caption.kernels.picking import pick
from gan_caption.reporting.table import markdown

HERE = Path(__file__).parent
SIZES = ((64, 10_000), (64, 2_540), (1024, 2_540))
REPEATS = 51


def main() -> None:
    rng = torch.Generator().manual_seed(0)
    rows = [["rows x words", "ours, ms", "torch.multinomial, ms", "times faster"]]
    for count, words in SIZES:
        probabilities = torch.randn(count, words, generator=rng).mul(2).softmax(1)
        seconds = interleaved(
            {
                "ours": partial(picked, probabilities, rng),
                "theirs": partial(torch.multinomial, probabilities, 1, generator=rng),
            },
            repeats=REPEATS,
        )
        ours, other = seconds["ours"], seconds["theirs"]
        rows.append([f"{count} x {words:,}", f"{1000 * ours:.2f}", f"{1000 * other:.2f}", f"{other / ours:.1f}"])
    text = (
        f"{torch.get_num_threads()} threads; medians of {REPEATS} interleaved repeats in one run.\n\n{markdown(rows)}"
    )
    (HERE / "table.md").write_text(f"{text}\n")
    print(text)


def picked(probabilities: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    return pick(probabilities, torch.rand(len(probabilities), generator=rng))


if __name__ == "__main__":
    main()
