from __future__ import annotations

import torch

from tests import tiny
from tests.objectives import tabular


def test_the_table_is_a_distribution_over_all_captions_and_its_two_ways_agree():
    generator = tabular.TabularGenerator(seed=0)
    found = tabular.probabilities(generator)
    torch.testing.assert_close(found.sum(1), torch.ones(2))
    slow = [
        [
            tiny.stepwise_log_probs(generator, tabular.features(), text, image).sum().item()
            for text in tiny.all_captions()
        ]
        for image in range(2)
    ]
    torch.testing.assert_close(found.log(), torch.tensor(slow))
    torch.testing.assert_close(tabular.probabilities(tabular.policy_of(found.detach())), found)
