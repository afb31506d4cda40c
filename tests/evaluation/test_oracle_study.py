"""How far an arm of the study on SeqGAN's oracle lies above the baseline's curve over temperatures."""

from __future__ import annotations

import pytest

from experiments.seqgan_oracle.measure import ORACLE, UNSEEN
from experiments.seqgan_oracle.run import MLE, above_curve, table

BASELINE = {"minutes": 1.0, "rows": {
    "": {ORACLE: 9.0, UNSEEN: 9.0}, " at temperature 0.8": {ORACLE: 8.0, UNSEEN: 10.0, "temperature": 0.8},
}}  # fmt: skip


@pytest.mark.parametrize(
    ("oracle", "unseen", "wanted"),
    [(8.5, 9.7, [0.2]), (8.25, 9.5, [-0.25]), (8.0, 10.0, [0.0]), (7.9, 10.0, []), (9.1, 8.0, [])],
)
def test_it_is_read_at_the_temperature_with_the_same_nll(oracle, unseen, wanted):
    """Between (8, 10) and (9, 9) the baseline has 18 less NLL_oracle."""
    assert above_curve({ORACLE: oracle, UNSEEN: unseen}, BASELINE) == pytest.approx(wanted)


def test_each_seed_is_compared_with_its_own_baseline():
    higher = {"minutes": 1.0, "rows": {row: {**own, UNSEEN: own[UNSEEN] + 1} for row, own in BASELINE["rows"].items()}}
    arm = {"minutes": 1.0, "rows": {"": {ORACLE: 8.5, UNSEEN: 9.7}}}
    told = table({MLE: {0: BASELINE, 1: higher}, "arm": {1: arm}})
    assert "-0.800" in next(line for line in told.splitlines() if "| arm" in line)
