"""The steps that are timed and watched, built for a device: training by three kinds of objectives, and decoding."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from experiments.composing import composed, part
from experiments.speed.rollouts.run import new_cnn, new_lstm
from experiments.speed.workload import CHANNELS, DROPOUT, SIZE, features, made_up
from gan_caption.configuration.building import build
from gan_caption.data.captions import EOS, Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.decoding.beam import beam_search
from gan_caption.decoding.greedy import greedy
from gan_caption.decoding.sampling import sample
from gan_caption.discriminators.base import Discriminator
from gan_caption.generators.base import Generator
from gan_caption.objectives.baselines import BatchMean, LeaveOneOut
from gan_caption.objectives.credit import MonteCarlo, WholeSequence
from gan_caption.objectives.maximum_likelihood import MaximumLikelihood
from gan_caption.objectives.policy_gradient import PolicyGradient
from gan_caption.rewards.cider import CiderDReward
from gan_caption.rewards.discriminator import DiscriminatorReward
from gan_caption.rewards.references import References
from gan_caption.rewards.transforms import Probability
from gan_caption.text.base import Tokenizer
from gan_caption.text.pretrained import PretrainedTokenizer
from gan_caption.text.words import WordTokenizer
from gan_caption.training.phases.base import Precision, autocast, descend

Step = Callable[[], object]
FAMILIES = ("lstm", "attention_lstm", "updown", "transformer")
LM, LM_MODEL = "pretrained_lm", "smollm2"
"""A fifth, where its package is."""
BEAMS, PENALTY = 5, 0.8
CLIP, RATE = 5.0, 5e-4


@dataclass(frozen=True)
class Sizes:
    """How much a step has to do."""

    images: int
    captions: int
    """Of an image, told and sampled; a SeqGAN step samples one."""
    decoded: int
    """Images that are decoded at once."""
    length: int
    """Of the longest caption, in tokens."""
    words: int
    """V."""
    rollouts: int


PHOTOGRAPHS = Sizes(images=20, captions=5, decoded=200, length=20, words=2543, rollouts=4)
"""Those of Flickr8k's pages."""
SMALL = Sizes(images=3, captions=2, decoded=3, length=8, words=60, rollouts=2)


def steps(family: str, sizes: Sizes, device: torch.device, precision: Precision = "float32") -> dict[str, Step]:
    """Return the steps by their names, each with a policy of its own, which has learned nothing.

    Such a policy draws all words alike, so that hardly a caption ends: the worst case.
    """

    tokenizer = tokenizer_of(family, sizes)
    sizes = replace(sizes, words=len(tokenizer))

    def new() -> Bench:
        return Bench(family, sizes, device, precision)

    torch.manual_seed(0)
    cider = CiderDReward(references=references(sizes, tokenizer))
    judges = {"CNN": new_cnn(sizes.words).to(device), "LSTM": new_lstm(sizes.words).to(device)}
    return {
        "maximum likelihood": new().likelihood,
        "self-critical": partial(new().reinforced, self_critical(cider, sizes)),
        **{f"SeqGAN, D {name}": partial(new().reinforced, seqgan(judge, sizes)) for name, judge in judges.items()},
        "greedy": new().greedy,
        "sampling": new().sampled,
        f"beam {BEAMS}": new().beam,
    }


class Bench:
    """A policy and what it is shown, on a device."""

    def __init__(self, family: str, sizes: Sizes, device: torch.device, precision: Precision) -> None:
        self.sizes, self.device, self.precision = sizes, device, precision
        self.rng = torch.Generator().manual_seed(0)
        self.generator = policy(family, sizes).to(device)
        self.captions = told(sizes)
        self.shown, self.many = self._features(sizes.images), self._features(sizes.decoded)
        fused = device.type in ("cpu", "cuda")
        self.optimizer = torch.optim.AdamW(self.generator.parameters(), lr=RATE, fused=fused)

    def likelihood(self) -> float:
        """Do an update by maximum likelihood, clip and Adam included."""
        objective = MaximumLikelihood(label_smoothing=0.0, scheduled_sampling=0.0)
        with self._computing():
            loss = objective.loss(self.generator.train(), self.shown, self.captions.to(self.device), self.rng)
        return self._descend(loss)

    def reinforced(self, objective: PolicyGradient) -> float:
        """Do an update by a policy gradient."""
        losses = objective.losses(
            self.generator.eval(), self.shown, real=self.captions.to(self.device), max_length=self.sizes.length,
            rng=self.rng, reference=None, progress=0.0,
        )  # fmt: skip
        with self._computing():
            loss = next(losses).loss
        return self._descend(loss)

    def greedy(self) -> Tensor:
        """Decode; return the tokens."""
        with self._computing():
            return greedy(self.generator.eval(), self.many, max_length=self.sizes.length).tokens

    def sampled(self) -> Tensor:
        """Draw captions; return the tokens."""
        with self._computing():
            drawn = sample(
                self.generator.eval(), self.shown, samples=self.sizes.captions, max_length=self.sizes.length,
                rng=self.rng,
            )  # fmt: skip
        return drawn.captions.tokens

    def beam(self) -> Tensor:
        """Search; return the tokens."""
        with self._computing():
            return beam_search(
                self.generator.eval(), self.many, beam_size=BEAMS, max_length=self.sizes.length, length_penalty=PENALTY
            ).tokens

    def _descend(self, loss: Tensor) -> float:
        return descend(self.optimizer, [loss], self.generator, clip=CLIP).loss

    def _features(self, images: int) -> ImageFeatures:
        return features(images, grid=self.generator.uses_grid).map(lambda tensor: tensor.to(self.device))

    def _computing(self) -> AbstractContextManager[Any]:
        return autocast(self.device, self.precision)


def policy(family: str, sizes: Sizes) -> Generator:
    """Return an untrained policy of a family, as wide as the others."""
    torch.manual_seed(0)
    if family == LM:
        page = composed("+experiment=mle", f"generator={LM}", f"lm.model={LM_MODEL}")["generator"]
        node = {**page, "vocabulary_size": sizes.words, "pooled_size": CHANNELS, "grid_size": CHANNELS}
        return build(node, Generator, path="generator")
    own: dict[str, Any] = {"updown": {"embedding": SIZE, "attention": SIZE}, "transformer": {}}.get(
        family, {"embedding": SIZE}
    )
    grid: dict[str, Any] = {} if family == "lstm" else {"grid_size": CHANNELS}
    made: Generator = part(
        f"generator/{family}", vocabulary_size=sizes.words, pooled_size=CHANNELS, hidden=SIZE, dropout=DROPOUT,
        **own, **grid,
    )  # fmt: skip
    return made


def told(sizes: Sizes) -> Captions:
    """Return what people say of the images: words at random."""
    rng = torch.Generator().manual_seed(0)
    captions = made_up(sizes.images, sizes.captions, vocabulary=sizes.words, rng=rng)
    return Captions(captions.tokens[:, : sizes.length], captions.lengths.clamp(max=sizes.length), captions.images)


def tokenizer_of(family: str, sizes: Sizes) -> Tokenizer:
    """Return words that are called by their ids; of a language model its own subwords."""
    if family == LM:
        return PretrainedTokenizer(model=LM_MODEL)
    return WordTokenizer.of([f"w{token}" for token in range(EOS + 1, sizes.words)])


def references(sizes: Sizes, tokenizer: Tokenizer) -> References:
    """Return the same as text."""
    texts = [tokenizer.decode(row) for row in told(sizes).tokens.tolist()]
    grouped = [texts[first : first + sizes.captions] for first in range(0, len(texts), sizes.captions)]
    return References(grouped, tokenizer, max_length=sizes.length)


def self_critical(cider: CiderDReward, sizes: Sizes) -> PolicyGradient:
    return PolicyGradient(
        reward=cider, credit=WholeSequence(), baseline=LeaveOneOut(), samples_per_image=sizes.captions,
        entropy_weight=0.0, kl_weight=0.0, advantage_clip=None,
    )  # fmt: skip


def seqgan(judge: Discriminator, sizes: Sizes) -> PolicyGradient:
    return PolicyGradient(
        reward=DiscriminatorReward(discriminator=judge.eval(), transform=Probability(), chunk_rows=2048),
        credit=MonteCarlo(rollouts=sizes.rollouts, update_rate=1.0), baseline=BatchMean(), samples_per_image=1,
        entropy_weight=0.0, kl_weight=0.0, advantage_clip=None,
    )  # fmt: skip
