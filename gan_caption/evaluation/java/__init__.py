"""METEOR and SPICE by their published Java programs: an extra, beside the metrics in Python, which need no Java."""

from __future__ import annotations

from collections.abc import Sequence

from gan_caption.configuration.wording import listed
from gan_caption.errors import UserError
from gan_caption.evaluation.java.meteor import check_meteor, meteor
from gan_caption.evaluation.java.spice import check_spice, spice
from gan_caption.metrics.metric import Metric

__all__ = ["java_metrics", "meteor", "spice"]
_CHECKS = {"meteor": check_meteor, "spice": check_spice}
_METRICS = {
    "meteor": Metric(
        name="meteor", label="METEOR x 100", factor=100, decimals=1, per_image=True, validated=False,
        function=lambda told: meteor(told.captions, told.references),
    ),
    "spice": Metric(
        name="spice", label="SPICE x 100", factor=100, decimals=1, per_image=True, validated=False,
        function=lambda told: spice(told.captions, told.references),
    ),
}  # fmt: skip


def java_metrics(names: str | Sequence[str], *, counted_by: str = "word") -> tuple[Metric, ...]:
    """Return metrics by name, once it is known that they can be computed here: before long work begins.

    Args:
        names: of `meteor` and `spice`; none is fine.
        counted_by: what captions are split into; the programs read English words alone.

    Raises:
        UserError: a name is unknown, or something is missing; the message says what to do.
    """
    names = listed(names)
    for name in names:
        if name not in _CHECKS:
            raise UserError(f"java_metrics: {name!r} is unknown; there are {sorted(_CHECKS)}")
        if counted_by != "word":
            raise UserError(f"{name} reads English words, and these captions are counted by {counted_by}: leave it out")
        _CHECKS[name]()
    return tuple(_METRICS[name] for name in _METRICS if name in names)
