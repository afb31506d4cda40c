"""The page of a comparison: `page.html` filled in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gan_caption.extras import require
from gan_caption.training.folders import write_text


@dataclass(frozen=True)
class Cell:
    """Of a table."""

    text: str
    note: str = ""
    """Below it, small: an interval, say."""
    direction: str = ""
    """"up" or "down" where the value surely differs from the baseline's: better or worse."""


@dataclass(frozen=True)
class Row:
    """Of a table."""

    cells: Sequence[Cell]
    humans: bool = False
    """Whether it is the human scale, set apart."""


@dataclass(frozen=True)
class Table:
    """Of the page."""

    heads: Sequence[str]
    rows: Sequence[Row]


@dataclass(frozen=True)
class Picture:
    """A figure, saved as SVG and PNG."""

    file: str
    """Its path within the report, without ending."""
    label: str


@dataclass(frozen=True)
class CardCaption:
    """A caption in the gallery."""

    who: str
    caption: str
    cider: float
    """CIDEr-D times 100."""
    true: bool | None
    """Whether it is true of the image, where that is known."""
    bars: Mapping[str, float]
    """By the name of a judge, the probability with which it takes the caption for a person's."""


@dataclass(frozen=True)
class Card:
    """An image in the gallery."""

    id: str
    image: str
    """Its file, within the report."""
    rows: Sequence[CardCaption]
    more: Sequence[str]
    """What the other seeds said."""
    references: Sequence[str]
    order: Mapping[str, float]
    """By the keys of `Page.orders`; the greatest comes first."""


@dataclass(frozen=True)
class Adversarial:
    """The adversarial evaluation."""

    description: str
    table: Table


@dataclass(frozen=True)
class Page:
    """Everything that the page shows."""

    title: str
    description: str
    summary: Table
    legend: str
    findings: Sequence[str]
    """The verdicts in words."""
    trade_offs: Sequence[Picture]
    verdicts: Table
    adversarial: Adversarial
    calibration: str | None
    """The reliability diagram's file, without ending."""
    learning: str | None
    """The learning curves' file, without ending."""
    gallery: Sequence[Card]
    orders: Mapping[str, str]
    """Ways to sort the gallery: a key and what the page calls it; the first is the one that it opens with."""
    everything: Table
    differences: Table
    borrowed: Sequence[str]
    """Systems that are what others began with, and have no settings of their own."""
    commands: Sequence[str] = field(default_factory=list)


def write_page(path: Path, page: Page) -> None:
    """Write the page; every text in it is escaped.

    Raises:
        UserError: Jinja2 is missing.
    """
    require("jinja2", extra="report", what="reports")
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("gan_caption", "reporting"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    text = environment.get_template("page.html").render(vars(page))
    write_text(path, text)
