"""A metric: what it is called, how it is printed, whether more of it is better, and how it is computed.

Whatever is a `Metric` is validated, can select weights, stands in every table and report, is plotted and is sought by a
search. `metrics.standard` lists those of every run; a corpus gives those that only it can know, a page gives your own.

Shapes: N images, K samples an image.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Container, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, get_args

from gan_caption.errors import UserError, is_number
from gan_caption.metrics.document_frequencies import DocumentFrequencies
from gan_caption.metrics.ngrams import Score, check_captions, check_captions_of_images

T = TypeVar("T")
Of = Literal["captions", "samples", "model"]
Better = Literal["higher", "lower", "neither"]
Axis = Literal["quality", "diversity"]


def rounded(value: float, decimals: int, *, sign: str = "") -> str:
    """Return a number as tables print it; `sign` is "+" or "" as in format strings. What rounds to 0 has no minus."""
    text = f"{value:{sign}.{decimals}f}"
    return f"{0:{sign}.{decimals}f}" if float(text) == 0 else text


@dataclass(frozen=True)
class Predictions:
    """What a captioner wrote of N images, beside what people wrote of them; all of it tokenized."""

    captions: Sequence[str]
    """(N,) one decoded caption an image."""
    samples: Sequence[Sequence[str]]
    """(N,) K sampled captions an image."""
    references: Sequence[Sequence[str]]
    """(N,) people's captions, at least one an image."""
    frequencies: DocumentFrequencies
    """Of n-grams in the references, for CIDEr-D and Self-CIDEr."""
    training: Container[str] = frozenset()
    """The captions of training: what counts as learned by heart."""
    image_ids: Sequence[str] = ()
    """(N,) as the corpus names its images."""
    _made: dict[Hashable, Any] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_captions(self.captions)
        check_captions_of_images(self.samples, "samples")
        check_captions_of_images(self.references, "references")

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what `make` makes; of several metrics that name the same key only the first makes it."""
        if key not in self._made:
            self._made[key] = make()
        made: T = self._made[key]
        return made


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A number that says something of a captioner, and all that is to know of it."""

    name: str
    """Unique; what logs, files and settings call it."""
    label: str
    """What tables and figures call it, with its unit."""
    factor: float = 1.0
    """Tables print the value times this."""
    decimals: int = 3
    """That tables print."""
    better: Better = "higher"
    """Which values are better; by a metric of neither kind nothing can be selected or sought."""
    of: Of = "captions"
    """What it looks at: the decoded captions, the samples, or anything else of the model. Tables go in this order."""
    function: Callable[[Predictions], Score | float] | None = None
    """Computes it, on the scale that `factor` multiplies; None where that takes more than captions."""
    per_image: bool = False
    """Whether `function` returns a `Score`, which knows each image's value and so has an interval; else a number."""
    validated: bool = True
    """Whether every validation has it, so that weights can be selected by it; else it takes long, and is for final
    tables, or only some ways of decoding have it."""
    compares: bool = False
    """Whether it compares a caption with what people said of its image: people are scored by it too, each beside the
    others."""
    axis: Axis | None = None
    """The axis of curves over sampling temperatures on which a metric of samples is shown; only where it is known image
    by image and more of it is better."""

    def __post_init__(self) -> None:
        for key, choices in (("of", get_args(Of)), ("better", get_args(Better)), ("axis", (None, *get_args(Axis)))):
            if getattr(self, key) not in choices:
                raise ValueError(f"{key}={str(getattr(self, key))[:80]!r}: one of {', '.join(map(repr, choices))}")
        if not isinstance(self.name, str) or not re.fullmatch(r"\w+", self.name, re.ASCII):
            raise ValueError(f"name={str(self.name)[:80]!r}: letters, digits and _")
        if not isinstance(self.label, str) or not is_number(self.factor):
            raise ValueError(f"{self.name}: label is a text, factor a finite number")
        if not isinstance(self.decimals, int) or isinstance(self.decimals, bool) or not 0 <= self.decimals <= 20:
            raise ValueError(f"{self.name}: decimals: a whole number from 0 to 20")
        if self.axis and not (self.per_image and self.better == "higher"):
            raise ValueError(f"axis={self.axis!r}: only with per_image=True and better='higher'")

    def shown(self, value: float, *, sign: str = "") -> str:
        """Return a value as tables print it, "-" for NaN; `sign` is "+" or "" as in format strings."""
        return "-" if math.isnan(value) else rounded(value * self.factor, self.decimals, sign=sign)

    def between(self, interval: tuple[float, float], *, sign: str = "") -> str:
        """Return an interval as tables print it."""
        return "-" if any(map(math.isnan, interval)) else " to ".join(self.shown(end, sign=sign) for end in interval)

    def beats(self, value: float, other: float) -> bool:
        """Tell whether one value is better than another; any is better than none, which NaN is."""
        if self.better == "neither":
            return False
        if math.isnan(other):
            return not math.isnan(value)
        return value > other if self.better == "higher" else value < other

    def keeps(self, value: float, *, share: float, reference: float) -> bool:
        """Tell whether a value is at least a share of a reference; where lower is better, at most reference / share.

        Of a reference below 0 more is allowed, and not less; with share 0, or beside a reference of NaN, any value is.
        """
        if not share or math.isnan(reference):
            return True
        if (self.better == "lower") == (reference >= 0):
            share = 1 / share
        return value <= share * reference if self.better == "lower" else value >= share * reference


Metrics = Mapping[str, Metric]
"""By name, in the order of tables."""


def in_order(*groups: Iterable[Metric]) -> dict[str, Metric]:
    """Return metrics by name in the order of tables: those of captions, of samples, then others.

    Raises:
        UserError: two have the same name.
    """
    every = sorted((one for group in groups for one in group), key=lambda one: get_args(Of).index(one.of))
    found: dict[str, Metric] = {}
    for one in every:
        if one.name in found:
            raise UserError(f"metrics: two are called {one.name}: give yours another name")
        found[one.name] = one
    return found


def choose(metrics: Metrics, name: str) -> Metric:
    """Return the metric that weights are selected by, or that a search seeks, by its name.

    Raises:
        ValueError: there is none, or neither more nor less of it is better. The message begins with the name.
    """
    known = [other for other, metric in metrics.items() if metric.validated and metric.better != "neither"]
    if name not in known:
        raise ValueError(f"{name}: one of {', '.join(known)}, which every validation measures")
    return metrics[name]


def on_curves(metrics: Metrics, *axes: Axis) -> list[Metric]:
    """Return the metrics of samples that curves show on these axes; those that only final tables have come first."""
    shown = [one for one in metrics.values() if one.of == "samples" and one.axis in axes]
    return sorted(shown, key=lambda one: one.validated)


def measure(metrics: Iterable[Metric], predictions: Predictions) -> dict[str, Score | float]:
    """Return what each metric says of predictions, by name; one without a function is left out.

    Raises:
        UserError: something cannot be scored, or a function does not return what its metric says.
    """
    told: dict[str, Score | float] = {}
    for metric in metrics:
        if metric.function is None:
            continue
        value = metric.function(predictions)
        if not (isinstance(value, Score) if metric.per_image else _is_number(value)):
            wanted = "a Score" if metric.per_image else "a number"
            raise UserError(f"metric {metric.name}: its function returned {type(value).__name__}, and not {wanted}")
        if isinstance(value, Score) and value.per_image.shape != (len(predictions.references),):
            raise UserError(
                f"metric {metric.name}: its function returned values {value.per_image.shape}, and there are "
                f"{len(predictions.references)} images"
            )
        told[metric.name] = value if isinstance(value, Score) else float(value)
    return told


def _is_number(value: object) -> bool:
    """Tell whether a value is one number, also as tensors and arrays without dimensions are."""
    try:
        float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
    return True


def corpus_value(value: Score | float) -> float:
    """Return the value of all images together; a number of Python, since checkpoints hold no other kind."""
    return float(value.corpus if isinstance(value, Score) else value)
