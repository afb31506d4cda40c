"""How NLL_oracle and NLL of unseen sequences move with the updates of the generator, beside the authors' own log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.study import write_png
from gan_caption.reporting.figures import new_figure
from gan_caption.reporting.seeds import with_interval
from gan_caption.reporting.table import markdown
from gan_caption.training.records import METRICS, read_records

AUTHORS = {0: 9.085, 20: 8.964, 50: 8.834, 75: 8.730, 100: 8.701, 150: 8.683}
"""NLL_oracle by update, in the log that the authors publish with their code (github.com/LantaoYu/SeqGAN)."""
EVERY = 5
"""Updates between two validations."""
SHOWN = (25, 50, 75, 100, 150)
"""The updates of the table."""
ORACLE, UNSEEN = "val/sample_oracle_nll_per_token", "val/nll_per_token"


Curve = Mapping[str, Any]
"""Of one run, nats a token by update: "oracle", NLL_oracle of samples; "unseen", NLL of held-out sequences.

The updates are texts, as JSON has them.
"""


def curve_of(run: Path, phase: str) -> dict[str, dict[str, float]]:
    """Read a run's validations.

    Args:
        run: its folder.
        phase: whose updates are counted.
    """
    rows = [row for row in read_records(run / METRICS) if row["phase"] == phase and ORACLE in row]
    return {
        kind: {str(EVERY * (place + 1)): row[name] for place, row in enumerate(rows)}
        for kind, name in (("oracle", ORACLE), ("unseen", UNSEEN))
    }


def table_of_curves(arms: Mapping[str, Sequence[Curve]]) -> str:
    """Return a Markdown table: NLL_oracle and NLL of held-out sequences after some updates, means over seeds."""
    rows = [["", "seeds", *(f"{update} updates" for update in SHOWN)]]
    for name, curves in arms.items():
        for kind in ("oracle", "unseen"):
            cells = [_cell([curve[kind].get(str(update)) for curve in curves]) for update in SHOWN]
            rows.append([f"{name}: NLL_oracle" if kind == "oracle" else "NLL held out", str(len(curves)), *cells])
    rows.append(["the authors' log: NLL_oracle", "1", *(f"{AUTHORS[u]:.3f}" if u in AUTHORS else "" for u in SHOWN)])
    return markdown(rows)


def _cell(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return with_interval(known, 3) if known else ""


def draw(path: Path, arms: Mapping[str, Sequence[Curve]], *, start: tuple[float, float]) -> None:
    """Write a PNG: NLL_oracle above, NLL of held-out sequences below, a thin line a run, the authors' log in black.

    Args:
        path: of the PNG.
        arms: the runs of each, by name.
        start: both values of what all begin with, at update 0.
    """
    figure = new_figure(9, 8)
    panels = figure.subplots(2, sharex=True)
    for place, (name, curves) in enumerate(arms.items()):
        for number, curve in enumerate(curves):
            for axes, before, kind in zip(panels, start, ("oracle", "unseen"), strict=True):
                line = {0: before, **{int(update): value for update, value in curve[kind].items()}}
                axes.plot(list(line), list(line.values()), color=f"C{place}", linewidth=1, alpha=0.8,
                          label=None if number else name)  # fmt: skip
    panels[0].plot(list(AUTHORS), list(AUTHORS.values()), "ko--", markersize=4, label="the authors' log")
    panels[0].set_ylabel("NLL_oracle, nats a token")
    panels[1].set_ylabel("NLL of held-out sequences")
    panels[1].set_xlabel("updates of the generator")
    panels[0].legend(fontsize=8)
    write_png(figure, path)
