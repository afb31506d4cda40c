"""Our captioners against ruotianluo/self-critical.pytorch, in one process: see README.md."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from experiments.speed.peer.theirs import Theirs, ids, never, open_checkout, write_frequencies
from experiments.speed.policies.products import products_of, replay
from experiments.speed.self_critical.run import NOBODY
from experiments.speed.timing import interleaved
from experiments.speed.workload import Flickr, attention_lstm, features, lstm
from gan_caption.data.captions import EOS, Captions, captions_from_ids
from gan_caption.data.features import ImageFeatures
from gan_caption.decoding.beam import beam_search
from gan_caption.decoding.greedy import greedy
from gan_caption.generators.attention_lstm import AttentionLSTMGenerator
from gan_caption.generators.lstm import LSTMGenerator
from gan_caption.objectives.baselines import LeaveOneOut
from gan_caption.objectives.credit import WholeSequence
from gan_caption.objectives.maximum_likelihood import MaximumLikelihood
from gan_caption.objectives.policy_gradient import PolicyGradient
from gan_caption.reporting.table import markdown
from gan_caption.rewards.cider import CiderDReward
from gan_caption.rewards.references import References
from gan_caption.training.phases.base import descend

HERE = Path(__file__).parent
KINDS = {"lstm": "newfc", "attention_lstm": "updown"}
"""Ours, and the peer's that is like it."""
WANTED = {
    "MLE step, 10 x 5": 4, "MLE step, 20 x 5": 4, "self-critical step, 10 x 5": 4, "greedy, 200 images": 5,
    "beam 5, 200 images": 12,
}  # fmt: skip
FEW, CAPTIONS, DECODED, BEAMS, PENALTY = 10, 5, 200, 5, 0.8
"""FEW are the images of a self-critical step, and of the smaller step of maximum likelihood."""
LENGTH = 12
"""Words of every caption that is sampled or decoded: the mean of Flickr8k's with `<eos>`."""
LONGEST, LEARNED, RATE, CLIP = 20, 150, 2e-3, 5.0


@dataclass(frozen=True)
class Sizes:
    """How much is done."""

    learned: int = LEARNED
    """Steps that both have learned before."""
    decoded: int = DECODED
    repeats: int = 9


class Ours:
    """A captioner of ours with its losses and Adam."""

    def __init__(self, generator: LSTMGenerator | AttentionLSTMGenerator, references: References) -> None:
        self.generator = generator
        self.objective = PolicyGradient(
            reward=CiderDReward(references=references), credit=WholeSequence(), baseline=LeaveOneOut(),
            samples_per_image=CAPTIONS, entropy_weight=0.0, kl_weight=0.0, advantage_clip=None,
        )  # fmt: skip
        self.optimizer = torch.optim.Adam(generator.parameters(), lr=RATE, fused=True)
        self.rng = torch.Generator().manual_seed(0)

    def likelihood(self, features: ImageFeatures, captions: Captions) -> None:
        """Do an update by maximum likelihood."""
        loss = MaximumLikelihood(label_smoothing=0.0, scheduled_sampling=0.0)
        self._descend(loss.loss(self.generator.train(), features, captions, self.rng))

    def self_critical(self, features: ImageFeatures) -> None:
        """Do a self-critical update whose baseline is the image's other samples."""
        losses = self.objective.losses(
            self.generator.eval(), features, real=NOBODY, max_length=LENGTH, rng=self.rng, reference=None, progress=0.0
        )
        self._descend(next(losses).loss)

    def greedy(self, features: ImageFeatures) -> Tensor:
        """Return the tokens (N, T)."""
        return greedy(self.generator.eval(), features, max_length=LENGTH).tokens

    def beam(self, features: ImageFeatures) -> Tensor:
        """Return the tokens (N, T) of the best beams."""
        return beam_search(
            self.generator.eval(), features, beam_size=BEAMS, max_length=LENGTH, length_penalty=PENALTY
        ).tokens

    def _descend(self, loss: Tensor) -> None:
        descend(self.optimizer, [loss], self.generator, clip=CLIP)


def main(peer: str, root: str) -> None:
    """Time both and write the table.

    Args:
        peer: `peer=` and the folder of the peer's checkout.
        root: Flickr8k's folder.
    """
    checkout = Path(peer.removeprefix("peer="))
    text = table(checkout, Flickr.of(root), Sizes())
    (HERE / "table.md").write_text(f"{text}\n")
    print(text)


def table(checkout: Path, flickr: Flickr, sizes: Sizes) -> str:
    """Return how many times as long the peer takes, for each kind of captioner."""
    references = references_of(flickr)
    with tempfile.TemporaryDirectory() as folder:
        frequencies = Path(folder, "frequencies.p")
        write_frequencies(references, frequencies)
        open_checkout(checkout, frequencies=frequencies)
    heads = ([f"`{other}` / `{own}`", f"`{own}`'s products alone"] for own, other in KINDS.items())
    rows = [["peer / ours", *chain.from_iterable(heads), "wanted"]]
    times = [measured(*learned(kind, flickr, references[:FEW], sizes), flickr, sizes) for kind in KINDS]
    for what, wanted in WANTED.items():
        ratios = ([own[what]["theirs"] / own[what][one] for one in ("ours", "products")] for own in times)
        rows.append([what, *(f"{ratio:.1f}" for ratio in chain.from_iterable(ratios)), str(wanted)])
    head = (
        f"{len(flickr.vocabulary):,} words, {LENGTH} in every caption that is sampled or decoded, both after "
        f"{sizes.learned} steps, {torch.get_num_threads()} threads; medians of {sizes.repeats} interleaved repeats. "
        "Products alone: what the ratio would be if ours did nothing but multiply the same matrices."
    )
    return f"{head}\n\n{markdown(rows)}"


def references_of(flickr: Flickr) -> list[np.ndarray]:
    """Return the peer's ids (5, T) of each image's captions; each row ends in a 0 at least."""
    encoded = [[flickr.vocabulary.encode(text, max_length=LONGEST) for text in own] for own in flickr.texts]
    tokens = [captions_from_ids(own, [0] * len(own)).tokens for own in encoded]
    return [torch.nn.functional.pad(ids(own), (0, 1)).numpy() for own in tokens]


def learned(kind: str, flickr: Flickr, references: Sequence[np.ndarray], sizes: Sizes) -> tuple[Ours, Theirs]:
    """Return both captioners, which have learned from the same batches."""
    vocabulary = len(flickr.vocabulary)
    made = attention_lstm(vocabulary) if kind == "attention_lstm" else lstm(vocabulary)
    own = Ours(made, References(flickr.texts, flickr.vocabulary, max_length=LONGEST))
    other = Theirs(KINDS[kind], words=vocabulary, samples=CAPTIONS, references=references, rate=RATE)
    batches = flickr.batches(images=20, per_image=CAPTIONS)
    for step in range(sizes.learned):
        batch = batches.at(step)
        shown = features(len(batch.rows), grid=made.uses_grid, seed=step)
        own.likelihood(shown, batch.captions)
        other.likelihood(shown, batch.captions)
    return own, other


def measured(own: Ours, other: Theirs, flickr: Flickr, sizes: Sizes) -> dict[str, dict[str, float]]:
    """Return the seconds of "ours", of "theirs", and of our "products" alone, for each thing that both do."""
    grid = own.generator.uses_grid
    few, more, many = (features(count, grid=grid, seed=1) for count in (FEW, 20, sizes.decoded))
    seconds = {}
    for shown in (few, more):
        captions = flickr.batches(images=len(shown), per_image=CAPTIONS).at(0).captions
        seconds[f"MLE step, {len(shown)} x 5"] = timed(
            partial(own.likelihood, shown, captions), partial(other.likelihood, shown, captions), sizes
        )
    never(own.generator.output, EOS - own.generator.first_word)
    other.write_for(LENGTH)
    assert own.greedy(many).shape == other.greedy(many).shape, "captions are not of the same lengths"
    seconds["greedy, 200 images"] = timed(partial(own.greedy, many), partial(other.greedy, many), sizes)
    seconds["beam 5, 200 images"] = timed(partial(own.beam, many), partial(other.beam, many, beams=BEAMS), sizes)
    seconds["self-critical step, 10 x 5"] = timed(
        partial(own.self_critical, few), partial(other.self_critical, few), sizes
    )
    return seconds


def timed(ours: Callable[[], object], theirs: Callable[[], object], sizes: Sizes) -> dict[str, float]:
    products = replay(products_of(ours))
    return interleaved({"ours": ours, "theirs": theirs, "products": products}, repeats=sizes.repeats)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(
            "say where the peer and Flickr8k lie: python -m experiments.speed.peer.run peer=~/self-critical.pytorch "
            "~/flickr8k"
        )
    main(*sys.argv[1:])
