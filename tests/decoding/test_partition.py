"""The bounds of the partition function, in a world of 27 captions where it is a sum."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from gan_caption.decoding.partition import log_mean_bounds

CAPTIONS = list(itertools.product(range(3), repeat=3))
P = torch.randn(len(CAPTIONS), generator=torch.Generator().manual_seed(0), dtype=torch.float64).softmax(0)
JUDGED = torch.randn(len(CAPTIONS), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
LOG_Z = math.log(sum(p * math.exp(judge) for p, judge in zip(P.tolist(), JUDGED.tolist(), strict=True)))
SETS = 40_000


def bounds(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Of `SETS` sets of so many captions each."""
    rng = torch.Generator().manual_seed(count)
    drawn = torch.multinomial(P, SETS * count, replacement=True, generator=rng)
    return log_mean_bounds(JUDGED[drawn].view(SETS, count))


@pytest.mark.parametrize("count", [4, 16, 64])
def test_the_truth_lies_between_the_means(count):
    low, high = bounds(count)
    assert low.mean() + 4 * low.std() / SETS**0.5 < LOG_Z < high.mean() - 4 * high.std() / SETS**0.5


def test_they_come_together_as_one_over_n():
    gaps = [(high - low).mean().item() for low, high in map(bounds, (16, 64, 256))]
    assert gaps[0] / gaps[1] == pytest.approx(4, rel=0.2)
    assert gaps[1] / gaps[2] == pytest.approx(4, rel=0.2)
    mean_square = sum(p * math.exp(2 * judge) for p, judge in zip(P.tolist(), JUDGED.tolist(), strict=True))
    spread = mean_square / math.exp(2 * LOG_Z) - 1  # var(w) / E[w]^2: the delta method's bias is spread / 2n each way
    assert gaps[2] == pytest.approx(spread / 256, rel=0.1)


def test_two_weights_by_hand():
    low, high = log_mean_bounds(torch.tensor([[0.0, math.log(3)]]))
    assert low.item() == pytest.approx(math.log(2))
    assert high.item() == pytest.approx(3 * math.log(2) - 2 * (math.log(1) + math.log(3)) / 2)


def test_a_weight_that_outweighs_all_others_is_left_out_exactly():
    logs = torch.tensor([[500.0, 0.0, -800.0]], dtype=torch.float64)
    fewer = [math.log(math.exp(0.0) / 2), 500 - math.log(2), 500 - math.log(2)]
    assert log_mean_bounds(logs)[1].item() == pytest.approx(5 * (500 - math.log(3)) - 4 * sum(fewer) / 3)


def test_a_single_weight_is_refused():
    with pytest.raises(ValueError, match="1 weights"):
        log_mean_bounds(torch.zeros(3, 1))
