"""CIDEr-D as a reward against pycocoevalcap's scorer on the same captions: see README.md."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from pycocoevalcap.cider.cider_scorer import CiderScorer

from experiments.composing import part
from experiments.speed.timing import interleaved
from gan_caption.metrics import CiderD, ptb_tokenize
from gan_caption.reporting.table import markdown

HERE = Path(__file__).parent
HELD = (500, 8000)
"""Images whose references are held."""
BATCHES = ((10, 5), (20, 5), (64, 16))
"""Images and samples of each, of a self-critical step, a larger one, and one with 16 rollouts."""
CALLS, REPEATS = 20, 5
"""Calls in a row, each with other captions, and how often."""


def main() -> None:
    items = part("data/scenes", train=max(HELD)).split("train").items
    references = [ptb_tokenize(list(item.captions)) for item in items]
    rows = [["images x samples", "references held", "ours, ms", "pycocoevalcap, ms", "times faster", "us a caption"]]
    for held in HELD:
        metric = CiderD(references[:held])
        theirs = Held(references[:held])
        for images, samples in BATCHES:
            asked = [row for row in range(images) for _ in range(samples)]
            told = [
                [references[row + 100 + k + call][k % 5] for row in range(images) for k in range(samples)]
                for call in range(CALLS)
            ]
            assert np.allclose(metric.score(asked, told[0]), theirs.score(asked, told[0]), atol=1e-6)
            calls: dict[str, Callable[[], object]] = {
                name: partial(scored, scorer, asked, told) for name, scorer in (("ours", metric), ("theirs", theirs))
            }
            seconds = {name: own / CALLS for name, own in interleaved(calls, repeats=REPEATS).items()}
            ours, other = seconds["ours"], seconds["theirs"]
            rows.append([
                f"{images} x {samples}", f"{5 * held:,}", f"{1000 * ours:.2f}", f"{1000 * other:.1f}",
                f"{other / ours:.0f}", f"{1e6 * ours / len(asked):.0f}",
            ])  # fmt: skip
    head = f"Means of {CALLS} calls in a row, medians of {REPEATS} interleaved repeats of them in one run."
    text = f"{head}\n\n{markdown(rows)}"
    (HERE / "table.md").write_text(f"{text}\n")
    print(text)


class Held:
    """pycocoevalcap's scorer with the document frequencies counted once, as self-critical training uses it."""

    def __init__(self, references: list[list[str]]) -> None:
        self.references = references
        counted = CiderScorer()
        for own in references:
            counted += (None, own)
        counted.compute_doc_freq()
        self.frequencies, self.images = counted.document_frequency, len(references)

    def score(self, rows: list[int], candidates: list[str]) -> np.ndarray:
        scorer = Fixed(self.images)
        for row, candidate in zip(rows, candidates, strict=True):
            scorer += (candidate, self.references[row])
        scorer.document_frequency = self.frequencies
        return np.array(scorer.compute_cider())


def scored(scorer: Any, rows: list[int], told: list[list[str]]) -> list[np.ndarray]:
    return [scorer.score(rows, own) for own in told]


class Fixed(CiderScorer):
    """A scorer that is told how many images were counted; the original takes the number of its batch."""

    def __init__(self, images: int) -> None:
        super().__init__()
        self._log_images = np.log(float(images))

    @property
    def ref_len(self) -> float:
        return self._log_images

    @ref_len.setter
    def ref_len(self, _: object) -> None:
        """Leave it as it is."""


if __name__ == "__main__":
    main()
