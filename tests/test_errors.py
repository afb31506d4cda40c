"""What arguments are refused."""

from __future__ import annotations

import math
import pickle
from signal import Signals

import pytest

from gan_caption.errors import Interrupted, above, at_least, probability, proportion, share


def test_who_was_interrupted_tells_another_process_so():
    told = pickle.loads(pickle.dumps(Interrupted("step 3 is saved", signal=Signals.SIGTERM)))
    assert (str(told), told.signal) == ("step 3 is saved", Signals.SIGTERM)


@pytest.mark.parametrize(
    ("check", "taken", "refused"),
    [
        (lambda **given: at_least(1, **given), (1, 1.5, math.inf, None), (0.5, -math.inf, math.nan)),
        (lambda **given: above(1, **given), (1.5, math.inf, None), (1, 0.5, math.nan)),
        (probability, (0, 0.5, 1), (-0.1, 1.1, math.nan)),
        (proportion, (0.1, 1), (0, -0.1, 1.1, math.nan)),
        (share, (0, 0.9), (-0.1, 1, math.nan)),
    ],
)
def test_values_at_the_bounds(check, taken, refused):
    for value in taken:
        check(rate=value)
    for value in refused:
        with pytest.raises(ValueError, match=rf"rate={value}: "):
            check(rate=value)
