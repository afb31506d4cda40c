"""Beam search over many images at once against one image at a time: see README.md."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from experiments.speed.policies import Flickr, attention_lstm, features, learned, lstm
from experiments.speed.timing import interleaved
from gan_caption.data.captions import EOS
from gan_caption.data.features import ImageFeatures
from gan_caption.decoding.beam import beam_search
from gan_caption.generators.base import Generator
from gan_caption.reporting.table import markdown

HERE = Path(__file__).parent
IMAGES, AT_ONCE, ALONE, BEAMS, LENGTH = 1000, 100, 50, 5, 20
"""Of the images one at a time, so many are timed, and counted as often as there are others."""
REPEATS = 3


def main(root: str) -> None:
    flickr = Flickr.of(root)
    vocabulary = len(flickr.vocabulary)
    rows = [["generator", "captions/s", "at least", "one at a time", "times", "at least", "words a caption"]]
    for name, generator, asked in (
        ("lstm", learned(lstm(vocabulary), flickr), "400"),
        ("attention_lstm", learned(attention_lstm(vocabulary), flickr, steps=150), ""),
    ):
        images = features(IMAGES, grid=generator.uses_grid, seed=1)
        few = images.select(torch.arange(ALONE))
        together, alone = decode(generator, images, AT_ONCE), decode(generator, few, 1)
        assert together[:ALONE] == alone, "the batch changed a caption"
        seconds = interleaved(
            {
                "together": lambda g=generator, i=images: decode(g, i, AT_ONCE),
                "alone": lambda g=generator, i=few: decode(g, i, 1),
            },
            repeats=REPEATS,
        )
        rate, slow = IMAGES / seconds["together"], ALONE / seconds["alone"]
        length = sum(map(len, together)) / IMAGES
        rows.append([name, f"{rate:.0f}", asked, f"{slow:.0f}", f"{rate / slow:.1f}", "10", f"{length:.1f}"])
    head = (
        f"Beam {BEAMS}, {IMAGES:,} images, {AT_ONCE} at once, policies that have learned Flickr8k's captions, "
        f"{torch.get_num_threads()} threads; medians of {REPEATS} interleaved repeats in one run."
    )
    text = f"{head}\n\n{markdown(rows)}"
    (HERE / "table.md").write_text(f"{text}\n")
    print(text)


def decode(generator: Generator, images: ImageFeatures, at_once: int) -> list[list[int]]:
    """Return every image's best caption."""
    found: list[list[int]] = []
    for rows in torch.arange(len(images)).split(at_once):
        captions = beam_search(generator, images.select(rows), beam_size=BEAMS, max_length=LENGTH, length_penalty=0.8)
        found += [[token for token in row if token > EOS] for row in captions.tokens.tolist()]
    return found


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("say where Flickr8k lies: python -m experiments.speed.beam.run ~/flickr8k")
    main(sys.argv[1])
