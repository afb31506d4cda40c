"""A system at every point of its grid: what a judge, references and language models say of its samples.

`found` and `planted` return what a study keeps of a run, which JSON can hold.

Shapes: N images, K samples an image.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from experiments.ratio import evaluator_of, evaluator_on
from experiments.ratio_on_flickr8k.people import People, at_equal_diversity, standardised
from experiments.ratio_on_flickr8k.words import unsupported
from experiments.study import cost_of
from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.decoding.decoders import Sampler, Sampling
from gan_caption.decoding.resampling import Resampling
from gan_caption.evaluation.evaluator import Evaluator
from gan_caption.evaluation.judge_network import JudgeSettings
from gan_caption.evaluation.telling import Lessons, told_apart
from gan_caption.evaluation.trained import Trained, open_run
from gan_caption.metrics import CiderD, self_cider
from gan_caption.metrics.language_model import NgramModel, lm_scores
from gan_caption.training.folders import read_settings, write_text
from gan_caption.training.records import METRICS, read_records
from gan_caption.training.setup import load_split, open_corpus, own_decoding

SAMPLES = 5
"""K, as many as an image has people's captions."""
POLICY = ((0.5, 1.0), (0.7, 1.0), (0.85, 1.0), (1.0, 1.0), (1.2, 1.0), (1.0, 0.9))
"""(temperature, top-p) at which a policy is sampled; one that was sharpened may be best above 1."""
TRIED = (0.85, 1.0, 1.2)
"""Temperatures at which trials are measured."""
RESAMPLED = ((0.5, 1.0), (0.75, 1.0), (1.0, 1.0), (1.2, 1.0))
"""Of proposals that are resampled: a nucleus never proposes much of what people write."""
PLANTED = 1.2
"""The temperature of a policy whose exact ratio to the one at temperature 1 is known."""
SPOILED = ("of another image", "with another word")
SHARES = (0.1, 0.25, 0.5, 1.0)
"""Of people's captions that are spoiled."""
LESSONS = 2000
"""Training images that the judge of the endpoint learns from."""
DECIMALS = 4
"""Of what is kept of each image: a judge compares 25 pairs of captions, so that its AUC there has steps of .02."""


@dataclass(frozen=True)
class Point:
    """Samples at a temperature and a nucleus."""

    temperature: float
    top_p: float
    auc: list[float]
    """(N,) of a judge that learned from these images alone, of each image: it chooses."""
    self_cider: float
    """The mean over images of which as many captions of people are known."""
    cider_d: float
    """The mean of the samples, lengths distributed as people's."""
    unsupported: float
    """Words a caption, likewise."""
    corpus: dict[str, float]
    """Of all samples together, by metric."""
    taught: list[float] | None = None
    """(N,) of the judge that learned from training images too: the endpoint. None where the point is not chosen."""


@dataclass(frozen=True)
class Found:
    """What is known of a system."""

    points: list[Point]
    cider_d: float
    """The mean of its samples at people's Self-CIDEr and lengths; NaN where no point is as little or as much varied."""
    unsupported: float
    """Words a caption, at the same."""
    people: float
    """People's Self-CIDEr."""
    minutes: float
    """That the run took; NaN where that is not known."""

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> Found:
        """Take back what `asdict` gave."""
        return cls(**{**kept, "points": [Point(**point) for point in kept["points"]]})


class Place:
    """Images on which a captioner is measured, or of which its judge learns."""

    def __init__(self, trained: Trained, evaluator: Evaluator) -> None:
        """Take the images of which somebody wrote what the captioner can say; the others are left out."""
        self.trained, self.evaluator = trained, evaluator
        told = evaluator.people(SAMPLES)
        self.rows = [row for row, own in enumerate(told) if own]
        self.people = [self._as_long(told[row]) for row in self.rows]

    def _as_long(self, captions: Sequence[str]) -> list[str]:
        """Return captions tokenized, cut where the captioner's are cut: their length gives nobody away."""
        tokenizer = self.trained.tokenizer
        cut = [tokenizer.decode(tokenizer.encode(text, max_length=self.evaluator.max_length)) for text in captions]
        return tokenizer.tokenized(cut)

    @cached_property
    def pooled(self) -> torch.Tensor:
        """(N, P), of the images."""
        source, device = self.evaluator.source, self.trained.device
        return source.features(range(len(source.split)), grid=False, device=device).pooled[self.rows]

    def drawn(self, sampler: Sampler) -> list[Sequence[str]]:
        """Return K samples of each image, tokenized."""
        told = self.evaluator.sample(self.trained.captioner, sampler)
        return [self.trained.tokenizer.tokenized(told[row]) for row in self.rows]


class Measure(Place):
    """A run, opened to be measured on a split."""

    def __init__(self, run: Path, split: str, judge: JudgeSettings, *, lessons: int) -> None:
        """Open it; nothing is decoded yet.

        Args:
            run: its folder.
            split: "val" or "test".
            judge: settings of the judge.
            lessons: so many training images its judge learns from besides, at most.
        """
        torch.set_num_threads(1)
        trained = open_run(run, device="auto")
        super().__init__(trained, evaluator_of(trained, split, samples_per_image=SAMPLES))
        self.run, self.split, self.judge, self._lessons = run, split, judge, lessons

    @cached_property
    def scale(self) -> People:
        """What people's captions of the same images have."""
        lengths = [[len(text.split()) for text in own] for own in self.people]
        several = [own if len(own) == SAMPLES else ["", ""] for own in self.people]
        diversity = self_cider(several, self.evaluator.frequencies).per_image
        alone = [len(own) < SAMPLES for own in self.people]
        return People(lengths, np.where(alone, np.nan, diversity))

    @cached_property
    def school(self) -> Place:
        """Training images, drawn at random, always the same."""
        train = load_split(open_corpus(self.trained.settings), "train", lambda line: None)
        rows = np.random.default_rng(0).permutation(len(train))[: self._lessons]
        chosen = train.select(sorted(rows.tolist()))
        return Place(self.trained, evaluator_on(self.trained, chosen, samples_per_image=SAMPLES))

    @cached_property
    def language(self) -> tuple[NgramModel, set[str]]:
        """A model of the training captions, and its words."""
        train = load_split(open_corpus(self.trained.settings), "train", lambda line: None)
        tokenizer = self.trained.tokenizer
        texts = [text for item in train.items for text in tokenizer.tokenized(tokenizer.normalize(list(item.captions)))]
        words = {word for text in texts for word in text.split()}
        return NgramModel(texts, words=words), words

    def auc(self, samples: Sequence[Sequence[str]], taught: Sequence[Sequence[str]] | None = None) -> list[float]:
        """Return (N,), see `told_apart`; the judge learns from samples of the school too, where they are given."""
        lessons = None if taught is None else Lessons(self.school.pooled, self.school.people, taught)
        told = told_apart(self.pooled, self.people, samples, settings=self.judge, lessons=lessons)
        return [round(float(value), DECIMALS) for value in told.per_image]

    def taught_at(self, phase: str, point: Point) -> Point:
        """Return a point with what a judge says that has been to school."""
        sampler = self.evaluator.sampler_at(phase, temperature=point.temperature, top_p=point.top_p)
        samples = json.loads(self._kept(phase, point.temperature, point.top_p).read_text())
        return replace(point, taught=self.auc(samples, self.school.drawn(sampler)))

    def _kept(self, phase: str, temperature: float, top_p: float) -> Path:
        """Return where samples are kept, for whoever would measure them otherwise."""
        return self.run / f"samples_{phase}_{self.split}_{temperature:g}_{top_p:g}.json"

    def at(self, phase: str, temperature: float, top_p: float) -> Point:
        """Measure the weights that are loaded, decoded as the phase does."""
        sampler = self.evaluator.sampler_at(phase, temperature=temperature, top_p=top_p)
        samples = self.drawn(sampler)
        write_text(self._kept(phase, temperature, top_p), json.dumps(samples))
        references = [self.evaluator.references[row] for row in self.rows]
        rows = [row for row, own in enumerate(samples) for _ in own]
        cider = CiderD(references).score(rows, [text for own in samples for text in own])
        lengths = [[len(text.split()) for text in own] for own in samples]
        diversity = self_cider(samples, self.evaluator.frequencies).per_image
        human, words = self.language
        unseen = [text for own in self.people for text in own]
        limit = self.evaluator.limit(self.trained.captioner, sampler)
        corpus = {
            **lm_scores([text for own in samples for text in own], unseen, human=human, words=words),
            **{name: float(own.mean()) for name, own in limit.items()},
        }
        several = ~np.isnan(self.scale.self_cider)
        return Point(
            temperature, top_p, self.auc(samples), float(diversity[several].mean()),
            standardised(lengths, cider.reshape(len(samples), SAMPLES).tolist(), self.scale),
            standardised(lengths, unsupported(samples, references), self.scale), corpus,
        )  # fmt: skip


def found(run: Path, phase: str, split: str, judge: JudgeSettings, *, lessons: int = 0,
          temperatures: Sequence[float] | None = None) -> dict[str, Any]:  # fmt: skip
    """Measure what a phase of a run left, at every point of its grid, and return a `Found` as a dictionary.

    Args:
        run: its folder.
        phase: whose weights, with its own decoder where it has one.
        split: "val" or "test".
        judge: settings of the judge.
        lessons: so many training images the judge of the endpoint learns from, at most; 0: there is none.
        temperatures: at these alone, without a nucleus; None: the grid.
    """
    grid = RESAMPLED if phase in own_decoding(read_settings(run)) else POLICY
    places = grid if temperatures is None else tuple((temperature, 1.0) for temperature in temperatures)
    measure = Measure(run, split, judge, lessons=lessons)
    measure.trained.load(phase)
    points = [measure.at(phase, *place) for place in places]
    if lessons:
        chosen = chosen_by_halves(points) if split == "val" else points  # dev chooses those of test
        points = [measure.taught_at(phase, point) if point in chosen else point for point in points]
    curve = [point for point in points if point.top_p == 1]
    diversity = [point.self_cider for point in curve]
    return asdict(Found(
        points, at_equal_diversity([point.cider_d for point in curve], diversity, measure.scale),
        at_equal_diversity([point.unsupported for point in curve], diversity, measure.scale),
        measure.scale.level, cost_of(run),
    ))  # fmt: skip


def knows(run: Path) -> dict[str, float]:
    """Return what a run's discriminator knows of held-out images, as it is kept and calibrated, and what it took."""
    last = [row for row in read_records(run / METRICS) if "ratio/auc" in row][-1]
    return {name: last[f"ratio/{name}"] for name in ("log_loss", "auc", "ece")} | {"minutes": cost_of(run)}


class AtTemperature1:
    """log p(caption | image) of a captioner at temperature 1, as a judge of its samples at another one."""

    def __init__(self, trained: Trained) -> None:
        self.trained = trained

    def __call__(self, features: ImageFeatures, captions: Captions) -> torch.Tensor:
        """Return (N,), nats."""
        plain = Sampling(temperature=1.0, top_k=0, top_p=1.0)
        return plain.log_probs(
            self.trained.captioner.generator, features, captions, max_length=0, rng=torch.Generator()
        )


def chosen_by_halves(points: Sequence[Point]) -> list[Point]:
    """Return of each half of the images the point whose AUC is nearest to .5 on the other one."""
    auc = np.array([point.auc for point in points])  # (P, N)
    return [points[int(np.abs(auc[:, half].mean(1) - 0.5).argmin())] for half in reversed(halves(auc.shape[1]))]


def halves(images: int) -> list[np.ndarray]:
    """Divide images at random into two, always alike."""
    return np.array_split(np.random.default_rng(0).permutation(images), 2)


def planted(run: Path, split: str, judge: JudgeSettings, *, lessons: int) -> dict[str, float]:
    """Return the judge's AUC of systems whose order is known, made of a baseline.

    Samples at temperature 1.2, before and after they are resampled by their exact ratio to temperature 1; and one half
    of people's captions against the other, of which a share was spoiled.
    """

    measure = Measure(run, split, judge, lessons=lessons)
    measure.trained.load("mle")
    plain = Sampling(temperature=1.0, top_k=0, top_p=1.0)
    warm = Sampling(temperature=PLANTED, top_k=0, top_p=1.0)
    exact = Resampling(
        judge=AtTemperature1(measure.trained), alpha=1.0, own_weight=-1.0, candidates=20, temperature=PLANTED,
        top_k=0, top_p=1.0, density_sets=1,
    )  # fmt: skip
    told = {
        f"temperature {PLANTED}": _mean(measure, warm),
        f"temperature {PLANTED}, resampled by the exact ratio": _mean(measure, exact),
        "temperature 1": _mean(measure, plain),
    }
    words = sorted({word for own in measure.people for text in own for word in text.split()})
    asked, school = (_divided(place, np.random.default_rng(0)) for place in (measure, measure.school))

    def spoiled(how: str, share: float) -> float:
        rng = np.random.default_rng(1)
        bad, worse = (_spoiled(others, how, share, rng, words) for _, _, others in (asked, school))
        lessons = Lessons(*school[:2], worse)
        return told_apart(*asked[:2], bad, settings=judge, lessons=lessons).corpus

    told["people's"] = spoiled(SPOILED[0], 0.0)
    return told | {f"people's, {share:.0%} {how}": spoiled(how, share) for how in SPOILED for share in SHARES}


def _mean(measure: Measure, sampler: Sampler) -> float:
    """Return the AUC of a judge that has been to school, of a sampler."""
    return float(np.mean(measure.auc(measure.drawn(sampler), measure.school.drawn(sampler))))


Divided = tuple[torch.Tensor, list[list[str]], list[list[str]]]
"""Features of images, and two halves of people's captions of them."""


def _divided(place: Place, rng: np.random.Generator) -> Divided:
    """Divide people's captions, of the images that have several."""
    halves = [_halved(own, rng) for own in place.people]
    kept = [row for row, (people, others) in enumerate(halves) if people and others]
    people, others = ([halves[row][side] for row in kept] for side in (0, 1))
    return place.pooled[kept], people, others


def _spoiled(
    captions: Sequence[Sequence[str]], how: str, share: float, rng: np.random.Generator, words: Sequence[str]
) -> list[list[str]]:
    """Spoil a share of captions: by those of the image before, or by another word in each."""
    if how == SPOILED[0]:
        bad = [captions[row - 1] for row in range(len(captions))]
    else:
        bad = [[_another_word(text, words, rng) for text in own] for own in captions]
    return [_mixed(own, worse, share, rng) for own, worse in zip(captions, bad, strict=True)]


def _halved(captions: Sequence[str], rng: np.random.Generator) -> tuple[list[str], list[str]]:
    """Divide an image's captions at random: a corpus may have them in an order of its own."""
    order = rng.permutation(len(captions))
    half = (len(captions) + 1) // 2
    return [captions[row] for row in order[:half]], [captions[row] for row in order[half:]]


def _mixed(good: Sequence[str], bad: Sequence[str], share: float, rng: np.random.Generator) -> list[str]:
    """Replace captions, each with a probability, by one of the bad ones."""
    return [bad[place % len(bad)] if rng.random() < share else text for place, text in enumerate(good)]


def _another_word(text: str, words: Sequence[str], rng: np.random.Generator) -> str:
    """Replace a word of a caption by any other."""
    own = text.split()
    own[rng.integers(len(own))] = words[rng.integers(len(words))]
    return " ".join(own)
