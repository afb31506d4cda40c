"""The same runs measured in two places: at home, on the data that they learned from, and away.

Each run keeps its own vocabulary and encoder. What of the other place's captions it cannot say, whatever it has
learned, is counted beside what it loses.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gan_caption.configuration.building import Part
from gan_caption.data.corpus import Split
from gan_caption.distributed.world import say
from gan_caption.errors import UserError
from gan_caption.evaluation.compared import human_values, measured, of_these_images, part_of, tokenized
from gan_caption.evaluation.comparison import Chosen
from gan_caption.evaluation.settings import SplitName
from gan_caption.evaluation.systems import System
from gan_caption.metrics.chair import chair, named_in
from gan_caption.metrics.metric import Metric, Metrics
from gan_caption.metrics.standard import catalogue
from gan_caption.metrics.transfer import Moved
from gan_caption.text.base import Tokenizer
from gan_caption.text.special import UNK
from gan_caption.training.setup import load_tested, open_corpus


@dataclass(frozen=True)
class Unsayable:
    """What people wrote of a place's images and a run has no token for."""

    types: int
    """Different words (or characters) of these."""
    of_types: int
    """All different words that people wrote."""
    share: float
    """Of all words that people wrote, 0 to 1."""
    frequent: Sequence[str]
    """The most frequent of these, at most ten."""


def unsayable(tokenizer: Tokenizer, references: Sequence[Sequence[str]]) -> Unsayable:
    """Return which words of people's captions a tokenizer turns into `<unk>`.

    Args:
        tokenizer: of a run.
        references: of each image, as the metrics read them.
    """
    counts = Counter(word for own in references for caption in own for word in caption.split())
    lacking = {word: count for word, count in counts.items() if UNK in tokenizer.encode(word, max_length=len(word) + 1)}
    frequent = sorted(lacking, key=lambda word: (-lacking[word], word))[:10]
    return Unsayable(len(lacking), len(counts), sum(lacking.values()) / max(sum(counts.values()), 1), frequent)


@dataclass(frozen=True)
class Place:
    """Where runs are measured."""

    data: Part
    """The data set."""
    split: Split
    """Its images."""
    metrics: Metrics
    """All that may be measured here; those of one name mean the same in both places."""
    own: Sequence[str]
    """The names of the user's metrics among them."""


@dataclass(frozen=True)
class Measured:
    """What was measured in one place."""

    place: Place
    systems: Sequence[System]
    """The baseline first."""
    humans: Mapping[str, float]
    """What humans score, by metric."""
    unsayable: Mapping[str, Sequence[Unsayable]]
    """By system, one a seed."""


def open_places(
    one: Chosen,
    data: Part,
    split: SplitName,
    *,
    own: Sequence[Metric] = (),
    java: Sequence[Metric] = (),
    skip_missing: bool,
    skip_unreadable: bool,
    cache: Path,
) -> tuple[Place, Place]:
    """Return home and away; nothing is decoded yet, and what is missing is said.

    Hallucination is measured by references in both places, whatever else each knows of its images: the two measures
    are not the same.

    Args:
        one: any of the runs, which share their data.
        data: away.
        split: which is measured; where data have no test split, val stands in.
        own: the user's metrics.
        java: metrics that Java programs compute.
        skip_missing: leave out listed images that are not there.
        skip_unreadable: leave out those that cannot be read.
        cache: where data of the run's keep what they have to.

    Raises:
        UserError: data are missing or faulty, or a split has fewer than two images.
    """
    settings = replace(one.settings, skip_missing=skip_missing).cached_in(cache, skip_unreadable=skip_unreadable)
    found = [(part, load_tested(open_corpus(settings, part), say, split)) for part in (settings.data, data)]
    for part, images in found:
        if len(images) < 2:
            raise UserError(f"data={part.name}: {images.name} has {len(images)} image: an interval needs at least 2")
    objects = any(metric.name.startswith("chair") for _, images in found for metric in images.metrics)

    def place(part: Part, images: Split) -> Place:
        known = {metric.name for metric in images.metrics}
        named = objects and named_in(item.captions for item in images.items)
        by_references = [metric for metric in chair() if named and metric.name not in known]
        metrics = catalogue(*images.metrics, *by_references, *own, quality=java)
        return Place(part, images, metrics, [metric.name for metric in own])

    home, away = found
    return place(*home), place(*away)


def measure_in(
    place: Place,
    chosen: Mapping[str, Sequence[Chosen]],
    evaluated: Callable[[Chosen], Path],
    tokenizers: Mapping[Path, Tokenizer],
    *,
    samples: int,
) -> Measured:
    """Measure systems in a place.

    Args:
        place: where.
        chosen: the runs of each system, the baseline first.
        evaluated: returns the folder of a run's evaluation in this place, made if it has to be.
        tokenizers: of the runs, by folder.
        samples: K an image.

    Raises:
        UserError: something cannot be read or scored.
    """
    first = next(iter(chosen.values()))[0]
    part = part_of(place.split, first.folder, evaluated(first), first.phase)
    place = replace(place, split=part, metrics=of_these_images(place.metrics, part))
    references = tokenized(place.split, next(iter(tokenizers.values())))
    systems = [
        System(
            name,
            [measured(run, evaluated(run), place.split, references, place.metrics, tokenizers[run.folder])
             for run in runs],
        )
        for name, runs in chosen.items()
    ]  # fmt: skip
    lacking = {name: [unsayable(tokenizers[run.folder], references) for run in runs] for name, runs in chosen.items()}
    humans = human_values(place.split, references, samples, place.metrics)
    return Measured(place, systems, humans, lacking)


def can_lose(metric: Metric) -> bool:
    """Tell whether captioners can lose of a metric: it is known image by image, and more or less of it is better."""
    return metric.per_image and metric.function is not None and metric.better != "neither"


def moved(home: Measured, away: Measured) -> Iterator[tuple[Metric, dict[str, Moved]]]:
    """Return each metric that is known image by image in both places, with every system's scores.

    One of which neither more nor less is better, or of which a place has nothing to measure, is left out.
    """
    for name, metric in home.place.metrics.items():
        if not can_lose(metric) or name not in away.place.metrics:
            continue
        if not all(name in run.scores for there in (home, away) for system in there.systems for run in system.runs):
            continue
        own = {
            here.name: Moved(here.scores(name), there.scores(name))
            for here, there in zip(home.systems, away.systems, strict=True)
        }
        if all(one.is_known() for one in own.values()):
            yield metric, own
