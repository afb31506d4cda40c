from __future__ import annotations

import torch

from gan_caption.decoding.sampling import sample
from gan_caption.objectives.demonstrations import score_targets
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


def test_probabilities_keep_their_precision_where_logits_are_bfloat16():
    """As a CPU's autocast leaves them: log p of samples, as scored, and as losses have it are those of float32."""
    generator = tabular.TabularGenerator(seed=0).bfloat16()
    captions = tiny.captions_of(0)
    images = tabular.features()
    exact = tabular.TabularGenerator(seed=0)
    exact.load_state_dict(generator.state_dict())
    truth = exact.score(images, captions)
    torch.testing.assert_close(generator.score(images, captions), truth)
    torch.testing.assert_close(score_targets(generator, images, captions).log_probs, truth)
    drawn = sample(generator, images, samples=3, max_length=3, rng=torch.Generator().manual_seed(0))
    torch.testing.assert_close(drawn.log_probs, exact.score(images, drawn.captions).detach())
