"""P values of several hypotheses that are asked at once.

`statsmodels.stats.multitest` has the same, and collects all garbage of the process each time, which takes as long as
the rest of a report: tests compare with it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np


def holm(p: Mapping[str, float], asked: Iterable[str] = ()) -> dict[str, float]:
    """Return p values, by name in the same order, corrected for how many there are (Holm 1979).

    The probability that any hypothesis that holds is rejected at p <= a is at most a, however they depend on each
    other. Of n values the k-th lowest is multiplied by n - k + 1, and then is at least what the lower ones have become.

    Args:
        p: of each hypothesis, 0 to 1; NaN, which counts, stays NaN.
        asked: hypotheses that count as well where `p` has none of them, as NaN, and come first: a study waits for them.
    """
    p = {**dict.fromkeys(asked, math.nan), **p}
    names, values = list(p), np.array(list(p.values()), dtype=float)
    order = values.argsort()  # NaN last
    corrected = np.empty_like(values)
    corrected[order] = np.maximum.accumulate(values[order] * np.arange(len(names), 0, -1)).clip(max=1.0)
    return dict(zip(names, corrected.tolist(), strict=True))
