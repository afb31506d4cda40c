"""The running average of a network's weights."""

from __future__ import annotations

import torch
from torch import nn

from gan_caption.training.averaging import moving_average


def test_counts_of_batch_norm_are_taken_and_its_moments_averaged():
    layer = nn.BatchNorm1d(2)
    average = moving_average(layer, 0.5)
    means = []
    for _ in range(3):
        layer(torch.randn(8, 2) + 5)
        means.append(layer.running_mean.clone())
        average.update_parameters(layer)
    assert average.module.num_batches_tracked == layer.num_batches_tracked == 3
    # The first is taken as it is; then a share of (1 + n) / (10 + n), n updates later, stays.
    wanted = means[0].lerp(means[1], 1 - 2 / 11).lerp(means[2], 1 - 3 / 12)
    torch.testing.assert_close(average.module.running_mean, wanted)
