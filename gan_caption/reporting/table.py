"""The table that a run ends with: systems side by side, on the same images with the same decoding."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

ROWS: dict[str, tuple[str, float, int]] = {
    "cider_d": ("CIDEr-D x 100", 100, 1),
    "bleu_1": ("BLEU-1 x 100", 100, 1),
    "bleu_2": ("BLEU-2 x 100", 100, 1),
    "bleu_3": ("BLEU-3 x 100", 100, 1),
    "bleu_4": ("BLEU-4 x 100", 100, 1),
    "rouge_l": ("ROUGE-L x 100", 100, 1),
    "meteor": ("METEOR x 100", 100, 1),
    "spice": ("SPICE x 100", 100, 1),
    "length": ("length, words", 1, 2),
    "vocabulary": ("words used", 1, 0),
    "unique": ("unique captions, %", 100, 1),
    "verbatim": ("verbatim in training, %", 100, 1),
    "distinct_1": ("distinct-1", 1, 3),
    "distinct_2": ("distinct-2", 1, 3),
    "self_bleu_4": ("Self-BLEU-4", 1, 3),
    "length_distance": ("length, distance to humans", 1, 3),
    "oracle_grammatical": ("grammatical, %", 100, 1),
    "oracle_true": ("true of the image, %", 100, 1),
    "oracle_hallucinations": ("hallucinations a caption", 1, 3),
    "oracle_nll": ("NLL under the grammar, nats", 1, 2),
    "oracle_nll_per_token": ("NLL_oracle, nats a token", 1, 3),
    "oracle_outside": ("outside its support, %", 100, 1),
    "sample_cider_d": ("samples: CIDEr-D x 100", 100, 1),
    "div_1": ("samples: Div-1", 1, 3),
    "div_2": ("samples: Div-2", 1, 3),
    "mbleu_4": ("samples: mBLEU-4", 1, 3),
    "self_cider": ("samples: Self-CIDEr", 1, 3),
    "distinct_samples": ("samples: distinct, of an image, %", 100, 1),
    "sample_length": ("samples: length, words", 1, 2),
    "sample_vocabulary": ("samples: words used", 1, 0),
    "sample_unique": ("samples: unique, %", 100, 1),
    "sample_verbatim": ("samples: verbatim in training, %", 100, 1),
    "sample_oracle_grammatical": ("samples: grammatical, %", 100, 1),
    "sample_oracle_true": ("samples: true of the image, %", 100, 1),
    "sample_oracle_hallucinations": ("samples: hallucinations a caption", 1, 3),
    "sample_oracle_nll": ("samples: NLL under the grammar, nats", 1, 2),
    "sample_oracle_nll_per_token": ("samples: NLL_oracle, nats a token", 1, 3),
    "sample_oracle_outside": ("samples: outside its support, %", 100, 1),
    "lm_nll": ("samples: LM score, nats", 1, 3),
    "reverse_lm_nll": ("samples: reverse LM, nats", 1, 3),
    "taken_for_human": ("taken for human, %", 100, 1),
    "recall_1": ("image found from caption, R@1, %", 100, 1),
    "recall_5": ("R@5, %", 100, 1),
    "recall_10": ("R@10, %", 100, 1),
    "median_rank": ("median rank of the image", 1, 1),
    "nll_per_token": ("NLL of references, nats a token", 1, 3),
    "nll_per_caption": ("NLL of references, nats a caption", 1, 2),
}
"""Metric -> what the table calls it, the factor it is printed with, and decimals."""


def shown(metric: str, value: float, *, sign: str = "") -> str:
    """Return a metric's value as tables print it."""
    _, factor, decimals = ROWS[metric]
    return f"{value * factor:{sign}.{decimals}f}"


def between(metric: str, interval: tuple[float, float], *, sign: str = "") -> str:
    """Return a metric's interval as tables print it."""
    return " to ".join(shown(metric, end, sign=sign) for end in interval)


def comparison(
    systems: Mapping[str, Mapping[str, float]],
    *,
    intervals: Mapping[str, tuple[float, float]] | None = None,
    humans: Mapping[str, float] | None = None,
) -> str:
    """Return a Markdown table: a row a metric, a column a system, and the difference where there are two.

    Args:
        systems: name -> metrics, the baseline first.
        intervals: by metric, of the difference between two systems.
        humans: by metric, what humans score.
    """
    names = list(systems)
    paired = len(names) == 2
    heads = ["", *names, *(["difference"] if paired else [])]
    heads += ["95% over images"] if paired and intervals is not None else []
    heads += ["humans"] if humans is not None else []
    rows = []
    unknown = math.nan
    for metric, (label, _, _) in ROWS.items():
        if not any(metric in systems[name] for name in names):
            continue
        values = [systems[name].get(metric, unknown) for name in names]
        cells = [shown(metric, value) for value in values]
        if paired:
            cells.append(shown(metric, values[1] - values[0], sign="+"))
        if paired and intervals is not None:
            cells.append(between(metric, intervals.get(metric, (unknown, unknown)), sign="+"))
        if humans is not None:
            cells.append(shown(metric, humans.get(metric, unknown)))
        cells = ["-" if "nan" in cell else cell for cell in cells]  # not measured, or nothing to measure
        rows.append([label, *cells])
    return markdown([heads, *rows])


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Lay out rows of cells, the heads first, as a Markdown table that reads well as plain text too."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [rows[0], ["-" * width for width in widths], *rows[1:]]
    return "\n".join(f"| {' | '.join(_padded(line, widths))} |" for line in lines)


def _padded(cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    """Fill the cells up to their widths: the first to the right, the numbers to the left."""
    return [cells[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True))]
