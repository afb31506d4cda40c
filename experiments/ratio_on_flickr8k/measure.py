"""A system at every point of its grid: what a judge, references and language models say of its samples.

`found` and `planted` return what a study keeps of a run, which JSON can hold.

Shapes: N images, K samples an image.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from experiments.ratio import evaluator_of, evaluator_on, held_out
from experiments.ratio_on_flickr8k.people import People, at_equal_diversity, standardised
from experiments.ratio_on_flickr8k.words import unsupported
from experiments.study import cost_of
from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.decoding.decoders import Sampler, Sampling
from gan_caption.decoding.resampling import Resampling
from gan_caption.discriminators.base import Discriminator
from gan_caption.evaluation.evaluator import Evaluator
from gan_caption.evaluation.judge_network import JudgeSettings
from gan_caption.evaluation.result_files import read_results
from gan_caption.evaluation.telling import Lessons, told_apart
from gan_caption.evaluation.trained import Trained, left_discriminator, open_run
from gan_caption.metrics import CiderD, self_cider
from gan_caption.metrics.language_model import NgramModel, lm_scores
from gan_caption.training.folders import BASELINE, read_settings, write_text
from gan_caption.training.records import METRICS, read_records
from gan_caption.training.setup import load_split, open_corpus, own_decoding

SAMPLES = 5
"""K, as many as an image has people's captions."""
Place = tuple[float, float]
"""A temperature and a top-p."""
POLICY: tuple[Place, ...] = ((0.5, 1.0), (0.7, 1.0), (0.85, 1.0), (1.0, 1.0), (1.2, 1.0), (1.0, 0.9))
"""Where a policy is sampled; one that was sharpened may be best above 1."""
TRIED: tuple[Place, ...] = ((0.85, 1.0), (1.0, 1.0), (1.2, 1.0))
"""Where trials are measured."""
RESAMPLED: tuple[Place, ...] = ((0.5, 1.0), (0.7, 1.0), (0.85, 1.0), (1.0, 1.0), (1.2, 1.0))
"""Of proposals that are resampled: a nucleus never proposes much of what people write."""
AS_VARIED: tuple[Place, ...] = ((0.5, 1.0), (0.7, 1.0))
"""Where resampled captions are drawn besides their chosen point: people's are about as varied."""
PLANTED = 1.2
"""The temperature of a policy whose exact ratio to the one at temperature 1 is known."""
SPOILED = ("of another image", "with another word")
SHARES = (0.1, 0.25, 1.0)
"""Of people's captions that are spoiled."""
DECIMALS = 4
"""Of what is kept of each image: a judge compares 25 pairs of captions, so that its AUC there has steps of .02."""


@dataclass(frozen=True)
class Point:
    """Samples at a temperature and a nucleus."""

    temperature: float
    top_p: float
    self_cider: float
    """The mean over images of which as many captions of people are known."""
    cider_d: float
    """The mean of the samples, lengths distributed as people's."""
    unsupported: float
    """Words a caption, likewise."""
    corpus: dict[str, float]
    """Of all samples together, by metric."""
    auc: list[float] | None = None
    """(N,) of each image, the endpoint; None where the judge was not asked."""

    @property
    def place(self) -> Place:
        """Where the samples were drawn."""
        return self.temperature, self.top_p


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
    nll: float = math.nan
    """Of people's captions, nats a token, in the run's own table, at temperature 1; NaN where its bounds lie apart."""
    known: float = math.nan
    """AUC with which the discriminator tells the policy's samples at temperature 1 from people's captions, as many of
    each image; NaN where there is none."""

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> Found:
        """Take back what `asdict` gave."""
        return cls(**{**kept, "points": [Point(**point) for point in kept["points"]]})

    @property
    def aucs(self) -> dict[Place, float]:
        """The mean over images, of the points that the judge was asked about."""
        return {point.place: float(np.mean(point.auc)) for point in self.points if point.auc is not None}

    @property
    def best(self) -> Point:
        """The one of these whose samples are told least from people's."""
        aucs = self.aucs
        judged = (point for point in self.points if point.place in aucs)
        return min(judged, key=lambda point: abs(aucs[point.place] - 0.5))


class Site:
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


class Measure(Site):
    """A run, opened to be measured on a split."""

    def __init__(self, run: Path, split: str, judge: JudgeSettings) -> None:
        """Open it; nothing is decoded yet.

        Args:
            run: its folder.
            split: "val" or "test".
            judge: settings of the judge.
        """
        torch.set_num_threads(1)
        trained = open_run(run, device="auto")
        super().__init__(trained, evaluator_of(trained, split, samples_per_image=SAMPLES))
        self.run, self.split, self.judge = run, split, judge

    @cached_property
    def scale(self) -> People:
        """What people's captions of the same images have."""
        lengths = [[len(text.split()) for text in own] for own in self.people]
        several = [own if len(own) == SAMPLES else ["", ""] for own in self.people]
        diversity = self_cider(several, self.evaluator.frequencies).per_image
        alone = [len(own) < SAMPLES for own in self.people]
        return People(lengths, np.where(alone, np.nan, diversity))

    @cached_property
    def school(self) -> Site:
        """Images that no captioner and no discriminator has learned from, and whose judge is not asked of them.

        What these know by heart they caption otherwise than other images, and a judge would learn too little there.
        """
        return Site(self.trained, evaluator_on(self.trained, held_out(self.trained), samples_per_image=SAMPLES))

    @cached_property
    def language(self) -> tuple[NgramModel, set[str]]:
        """A model of the training captions, and its words."""
        train = load_split(open_corpus(self.trained.settings), "train", lambda line: None)
        tokenizer = self.trained.tokenizer
        texts = [text for item in train.items for text in tokenizer.tokenized(tokenizer.normalize(list(item.captions)))]
        words = {word for text in texts for word in text.split()}
        return NgramModel(texts, words=words), words

    def auc(self, sampler: Sampler, samples: Sequence[Sequence[str]]) -> list[float]:
        """Return (N,) of samples that a sampler has drawn; see `told_apart`. The judge has been to school."""
        lessons = Lessons(self.school.pooled, self.school.people, self.school.drawn(sampler))
        told = told_apart(self.pooled, self.people, samples, settings=self.judge, lessons=lessons)
        return [round(float(value), DECIMALS) for value in told.per_image]

    def _kept(self, what: str, phase: str, place: Place) -> Path:
        """Return where something of a point is kept: samples, for whoever would measure them otherwise, or itself."""
        return self.run / f"{what}_{phase}_{self.split}_{place[0]:g}_{place[1]:g}.json"

    def once(self, phase: str, place: Place, *, judged: bool, limits: bool) -> Point:
        """Return `at`, which takes minutes: what was measured so before a stop is read again."""
        kept, asked = self._kept("point", phase, place), {"judge": repr(self.judge), "judged": judged, "limits": limits}
        if kept.exists() and (told := json.loads(kept.read_text()))["asked"] == asked:
            return Point(**told["point"])
        point = self.at(phase, place, judged=judged, limits=limits)
        write_text(kept, json.dumps({"asked": asked, "point": asdict(point)}))
        return point

    def at(self, phase: str, place: Place, *, judged: bool, limits: bool) -> Point:
        """Measure the weights that are loaded, decoded as the phase does.

        Args:
            phase: whose decoder is used.
            place: where its captions are drawn.
            judged: whether the judge is asked.
            limits: whether the likelihood of people's captions under what is resampled is estimated, which costs more
                than all else.
        """
        temperature, top_p = place
        sampler = self.evaluator.sampler_at(phase, temperature=temperature, top_p=top_p)
        samples = self.drawn(sampler)
        write_text(self._kept("samples", phase, place), json.dumps(samples))
        references = [self.evaluator.references[row] for row in self.rows]
        rows = [row for row, own in enumerate(samples) for _ in own]
        cider = CiderD(references).score(rows, [text for own in samples for text in own])
        lengths = [[len(text.split()) for text in own] for own in samples]
        diversity = self_cider(samples, self.evaluator.frequencies).per_image
        human, words = self.language
        unseen = [text for own in self.people for text in own]
        corpus = lm_scores([text for own in samples for text in own], unseen, human=human, words=words)
        if limits:
            limit = self.evaluator.limit(self.trained.captioner, sampler)
            corpus |= {name: float(own.mean()) for name, own in limit.items()}
        several = ~np.isnan(self.scale.self_cider)
        return Point(
            temperature, top_p, float(diversity[several].mean()),
            standardised(lengths, cider.reshape(len(samples), SAMPLES).tolist(), self.scale),
            standardised(lengths, unsupported(samples, references), self.scale), corpus,
            self.auc(sampler, samples) if judged else None,
        )  # fmt: skip


def found(run: Path, phase: str, split: str, judge: JudgeSettings, *, places: Sequence[Place] | None = None,
          judged: Sequence[Place] | None = None, limits: bool = False) -> dict[str, Any]:  # fmt: skip
    """Measure what a phase of a run left, and return a `Found` as a dictionary.

    Args:
        run: its folder.
        phase: whose weights, with its own decoder where it has one.
        split: "val" or "test".
        judge: settings of the judge.
        places: where its captions are drawn; None: at every point of its grid.
        judged: of these places, those where the judge is asked; None: all.
        limits: whether `Measure.at` estimates likelihoods there as well.
    """
    grid = RESAMPLED if phase in own_decoding(read_settings(run)) else POLICY
    measure = Measure(run, split, judge)
    measure.trained.load(phase)
    asked = {place: judged is None or place in judged for place in places or grid}
    points = [measure.once(phase, place, judged=own, limits=own and limits) for place, own in asked.items()]
    curve = [point for point in points if point.top_p == 1]
    diversity = [point.self_cider for point in curve]
    return asdict(Found(
        points, at_equal_diversity([point.cider_d for point in curve], diversity, measure.scale),
        at_equal_diversity([point.unsupported for point in curve], diversity, measure.scale),
        measure.scale.level, cost_of(run), nll_of(run, phase), known_of(measure, phase),
    ))  # fmt: skip


def nll_of(run: Path, phase: str) -> float:
    """Return what a run's own table says of people's captions, nats a token.

    Of resampled captions it is an estimate, between bounds for ever more candidates: NaN where these lie .1 apart.
    """
    told = read_results(run, run)["systems"][phase]
    apart = told.get("limit_nll_per_token_high", 0.0) - told.get("limit_nll_per_token_low", 0.0)
    return told["nll_per_token"] if apart < 0.1 else math.nan


def known_of(measure: Measure, phase: str) -> float:
    """Return what a run's discriminator knows, see `Found.known`; NaN where no discriminator resamples in a phase."""
    trained = measure.trained
    settings = trained.settings
    judge = left_discriminator(measure.run, settings, trained.encoder, trained.tokenizer, device=trained.device)
    if judge is None or phase not in own_decoding(settings):
        return math.nan
    return auc_of(measure, judge)


def auc_of(measure: Measure, judge: Discriminator) -> float:
    """Return the AUC with which a discriminator tells samples of the captioner from people's captions, K an image."""
    captioner, evaluator = measure.trained.captioner, measure.evaluator
    return evaluator.knowledge(judge, evaluator.sample(captioner, evaluator.sampling))["discriminator_auc"]


def knows(run: Path) -> dict[str, Any]:
    """Return what a run's discriminator knows of held-out images, as it is kept and calibrated, and what it took.

    `reliability` is that of its probabilities on dev, by bins, and `deviation` that of its logits there, by the same
    bins: a little less than it is.
    """
    last = [row for row in read_records(run / METRICS) if "ratio/auc" in row][-1]
    bins = json.loads((run / f"calibration_{BASELINE}.json").read_text())
    shares, logits = np.array(
        [[one["weight"], math.log(one["probability"] / (1 - one["probability"]))] for one in bins]
    ).T
    deviation = math.sqrt(np.average((logits - np.average(logits, weights=shares)) ** 2, weights=shares))
    told = {name: last[f"ratio/{name}"] for name in ("log_loss", "auc", "ece")}
    return told | {"deviation": deviation, "reliability": bins, "minutes": cost_of(run)}


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


def planted(run: Path, split: str, judge: JudgeSettings) -> dict[str, float]:
    """Return the judge's AUC of systems whose order is known, made of a baseline.

    Samples at temperature 1.2, before and after they are resampled by their exact ratio to temperature 1; and one half
    of people's captions against the other, of which a share was spoiled. Halves, what is spoiled and the judge are
    those of the run's seed.
    """

    measure = Measure(run, split, judge)
    seed = measure.trained.settings.seed
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
    asked, school = (_divided(site, np.random.default_rng(seed)) for site in (measure, measure.school))

    def spoiled(how: str, share: float) -> float:
        rng = np.random.default_rng([seed, 1])
        bad, worse = (_spoiled(others, how, share, rng, words) for _, _, others in (asked, school))
        lessons = Lessons(*school[:2], worse)
        return told_apart(*asked[:2], bad, settings=replace(judge, seed=seed), lessons=lessons).corpus

    told["people's"] = spoiled(SPOILED[0], 0.0)
    return told | {f"people's, {share:.0%} {how}": spoiled(how, share) for how in SPOILED for share in SHARES}


def _mean(measure: Measure, sampler: Sampler) -> float:
    """Return the judge's AUC of a sampler."""
    return float(np.mean(measure.auc(sampler, measure.drawn(sampler))))


Divided = tuple[torch.Tensor, list[list[str]], list[list[str]]]
"""Features of images, and two halves of people's captions of them."""


def _divided(site: Site, rng: np.random.Generator) -> Divided:
    """Divide people's captions, of the images that have several."""
    halves = [_halved(own, rng) for own in site.people]
    kept = [row for row, (people, others) in enumerate(halves) if people and others]
    people, others = ([halves[row][side] for row in kept] for side in (0, 1))
    return site.pooled[kept], people, others


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
    own[int(rng.integers(len(own)))] = words[int(rng.integers(len(words)))]
    return " ".join(own)
