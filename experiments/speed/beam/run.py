"""Beam search over many images at once against one image at a time: see README.md."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from experiments.speed.textbook_search import search
from experiments.speed.timing import interleaved
from experiments.speed.workload import SIZE, Flickr, attention_lstm, features, learned, lstm
from gan_caption.data.captions import EOS
from gan_caption.data.features import ImageFeatures
from gan_caption.decoding.beam import beam_search
from gan_caption.generators.base import Generator
from gan_caption.generators.lstm import LSTMGenerator
from gan_caption.reporting.table import markdown

HERE = Path(__file__).parent
IMAGES, ALONE, BEAMS, LENGTH, PENALTY = 1000, 50, 5, 20, 0.8
"""ALONE of the images are decoded one at a time."""
REPEATS = 7


def main(root: str) -> None:
    flickr = Flickr.of(root)
    vocabulary = len(flickr.vocabulary)
    plain = learned(lstm(vocabulary), flickr)
    attention = learned(attention_lstm(vocabulary), flickr, steps=150)
    rows = [
        ["generator", "captions/s", "at least", "ours, one at a time", "textbook, one at a time", "times", "at least"]
    ]
    for name, generator, textbook in (("lstm", plain, Textbook(plain)), ("attention_lstm", attention, None)):
        images = features(IMAGES, grid=generator.uses_grid, seed=1)
        few = images.select(torch.arange(ALONE))
        together, alone = decode(generator, images, IMAGES), decode(generator, few, 1)
        assert together[:ALONE] == alone, "the batch changed a caption"
        calls = {
            "together": lambda g=generator, i=images: decode(g, i, IMAGES),
            "alone": lambda g=generator, i=few: decode(g, i, 1),
        }
        if textbook is not None:
            assert textbook.decode(few) == alone, "the textbook found other captions"
            calls["textbook"] = lambda t=textbook, i=few: t.decode(i)
        seconds = interleaved(calls, repeats=REPEATS)
        rates = {call: (IMAGES if call == "together" else ALONE) / own for call, own in seconds.items()}
        row = [name, f"{rates['together']:.0f}", "400" if textbook else "", f"{rates['alone']:.0f}"]
        if textbook is not None:
            row += [f"{rates['textbook']:.0f}", f"{rates['together'] / rates['textbook']:.1f}", "10"]
        rows.append([*row, *[""] * (len(rows[0]) - len(row))])
    told = (
        f"Beam {BEAMS}, {IMAGES:,} images, all in one call, policies that have learned Flickr8k's captions, "
        f"{torch.get_num_threads()} threads; medians of {REPEATS} interleaved repeats in one run."
    )
    text = f"{told}\n\n{markdown(rows)}"
    (HERE / "table.md").write_text(f"{text}\n")
    print(text)


def decode(generator: Generator, images: ImageFeatures, at_once: int, *, length: int = LENGTH) -> list[list[int]]:
    """Return every image's best caption, so many images at once."""
    found: list[list[int]] = []
    for rows in torch.arange(len(images)).split(at_once):
        captions = beam_search(
            generator, images.select(rows), beam_size=BEAMS, max_length=length, length_penalty=PENALTY
        )
        found += [[token for token in row if token > EOS] for row in captions.tokens.tolist()]
    return found


class Textbook:
    """Beam search as tutorials have it: an LSTMCell, one image at a time, its beams in one batch."""

    def __init__(self, generator: LSTMGenerator) -> None:
        self.generator = generator
        self.cell, self.output = nn.LSTMCell(SIZE, SIZE), nn.Linear(SIZE, generator.output.out_features)
        self.cell.load_state_dict({k.removesuffix("_l0"): v for k, v in generator.lstm.state_dict().items()})
        self.output.load_state_dict(generator.output.state_dict())

    @torch.no_grad()
    def decode(self, images: ImageFeatures) -> list[list[int]]:
        return [self.search(images.select(torch.tensor([row]))) for row in range(len(images))]

    def search(self, image: ImageFeatures) -> list[int]:
        state = self.cell(self.generator.image(image))

        def scores(beams: list[list[int]], parents: Tensor) -> Tensor:
            nonlocal state
            words = self.generator.words(torch.tensor([beam[-1] for beam in beams]))
            state = self.cell(words, (state[0][parents], state[1][parents]))
            return self.output(state[0]).log_softmax(1)

        return search(scores, beams=BEAMS, length=LENGTH, penalty=PENALTY)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("say where Flickr8k lies: python -m experiments.speed.beam.run ~/flickr8k")
    main(sys.argv[1])
