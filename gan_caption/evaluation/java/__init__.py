"""METEOR and SPICE by their published Java programs: an extra, beside the metrics in Python, which need no Java."""

from __future__ import annotations

from collections.abc import Sequence

from gan_caption.errors import UserError
from gan_caption.evaluation.java.meteor import check_meteor, meteor
from gan_caption.evaluation.java.spice import check_spice, spice
from gan_caption.metrics.ngrams import Score

__all__ = ["check_java_metrics", "java_metrics", "meteor", "spice"]
_CHECKS = {"meteor": check_meteor, "spice": check_spice}
_METRICS = {"meteor": meteor, "spice": spice}


def check_java_metrics(names: Sequence[str]) -> None:
    """Find out before long work begins whether these metrics can be computed here.

    Args:
        names: of `meteor` and `spice`; none is fine.

    Raises:
        UserError: a name is unknown, or something is missing; the message says what to do.
    """
    for name in names:
        if name not in _CHECKS:
            raise UserError(f"java_metrics: {name!r} is unknown; there are {sorted(_CHECKS)}")
        _CHECKS[name]()


def java_metrics(
    names: Sequence[str], candidates: Sequence[str], references: Sequence[Sequence[str]]
) -> dict[str, Score]:
    """Return the metrics by name.

    Args:
        names: of `meteor` and `spice`.
        candidates: N tokenized captions.
        references: of each image its tokenized references, at least one.

    Raises:
        UserError: something is missing, or a program failed or took too long.
    """
    check_java_metrics(names)
    return {name: _METRICS[name](candidates, references) for name in names}
