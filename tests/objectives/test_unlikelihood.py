from __future__ import annotations

import pytest
import torch

from gan_caption.data.captions import EOS, captions_from_ids
from gan_caption.objectives.unlikelihood import (
    Unlikelihood,
    unlikelihood,
    unlikelihood_of_captions,
    unlikelihood_of_edits,
)
from tests import tiny
from tests.objectives import tabular
from tests.objectives.tabular import TabularGenerator

REAL = captions_from_ids([[4, 5, EOS], [5, EOS], [4, 4, 5]], [0, 0, 1])


def losses(generator, *, edited_weight=0.0, mismatched_weight=0.0, real=REAL, features=None):
    (policy,) = Unlikelihood(edited_weight=edited_weight, mismatched_weight=mismatched_weight).losses(
        generator, features or tiny.features(), real=real, max_length=3, rng=torch.Generator().manual_seed(0),
        reference=None, progress=0.0,
    )  # fmt: skip
    return policy


def probabilities(generator, text, image):
    return tiny.stepwise_log_probs(generator, tiny.features(), text, image).exp()


def test_the_term_by_hand():
    found = unlikelihood(torch.tensor([0.5, 0.75, 0.0]).log())
    torch.testing.assert_close(found, torch.tensor([0.5, 0.25, 1.0]).log().neg())
    sure = torch.zeros(1, requires_grad=True)  # p = 1
    unlikelihood(sure).sum().backward()
    assert sure.grad.isfinite().all()


def test_of_a_changed_caption_only_the_changed_word_counts():
    generator = tiny.generators()[0]
    changed = captions_from_ids([[4, 4, EOS], [4, EOS]], [0, 1])
    found = unlikelihood_of_edits(generator, tiny.features(), changed, torch.tensor([1, 0]))
    expected = [1 - probabilities(generator, [4, 4, EOS], 0)[1], 1 - probabilities(generator, [4, EOS], 1)[0]]
    torch.testing.assert_close(found, -torch.stack(expected).log())


def test_of_another_images_caption_the_geometric_mean_counts():
    generator = tiny.generators()[0]
    found = unlikelihood_of_captions(generator, tiny.features(), captions_from_ids([[4, 5, EOS], [5, EOS]], [0, 1]))
    three, two = probabilities(generator, [4, 5, EOS], 0), probabilities(generator, [5, EOS], 1)
    torch.testing.assert_close(found, -torch.stack([1 - three.prod() ** (1 / 3), 1 - two.prod() ** 0.5]).log())


def test_captions_are_shown_to_the_other_image():
    generator = tiny.generators()[0]
    wrong = [([4, 4, 5], 0), ([4, 5, EOS], 1), ([5, EOS], 1)]
    slow = [-(1 - p.prod() ** (1 / len(p))).log() for p in (probabilities(generator, *one) for one in wrong)]
    policy = losses(generator, mismatched_weight=2.0)
    assert policy.metrics["policy/mismatched_loss"] == pytest.approx(torch.stack(slow).mean().item(), rel=1e-4)
    words = torch.cat([probabilities(generator, *one) for one in (([4, 5, EOS], 0), ([5, EOS], 0), ([4, 4, 5], 1))])
    assert policy.metrics["policy/nll"] == pytest.approx(-words.log().mean().item(), rel=1e-4)
    total = policy.metrics["policy/nll"] + 2 * policy.metrics["policy/mismatched_loss"]
    assert policy.loss.item() == pytest.approx(total, rel=1e-5)


def test_the_changed_word_becomes_less_probable_and_nothing_else_is_touched():
    """Of one caption of one word for each image the changed one is known: the other word."""
    real, gradients = captions_from_ids([[4], [5]], [0, 1]), []
    for weight in (0.0, 1.0):
        generator = TabularGenerator(seed=0)
        losses(generator, edited_weight=weight, real=real, features=tabular.features()).loss.backward()
        gradients.append(generator.table.grad)
    own = gradients[1] - gradients[0]
    p = generator.table.detach()[0, 0].softmax(0)  # of <eos>, 4 and 5, where a caption of image 0 begins
    # -log(1 - p5) by the logits: p5 for the word's own, and -p5 p / (1 - p5) for the others; half, as there are two.
    expected = torch.stack([-p[2] * p[0] / (1 - p[2]), -p[2] * p[1] / (1 - p[2]), p[2]]) / 2
    torch.testing.assert_close(own[0, 0], expected)
    assert (own[:, 1:] == 0).all()


def test_without_weights_it_is_maximum_likelihood_and_says_no_more():
    assert set(losses(tiny.generators()[0]).metrics) == {"policy/nll", "policy/entropy"}


@pytest.mark.parametrize("name", ["edited_weight", "mismatched_weight"])
def test_settings_out_of_range(name):
    with pytest.raises(ValueError, match=name):
        Unlikelihood(**({"edited_weight": 1.0, "mismatched_weight": 1.0} | {name: -1.0}))


def test_where_all_words_are_one_nothing_is_changed():
    alike = captions_from_ids([[4, EOS], [4, 4]], [0, 1])
    found = losses(tiny.generators()[0], edited_weight=1.0, real=alike)
    assert "policy/edited_loss" not in found.metrics
    assert found.loss.item() == pytest.approx(found.metrics["policy/nll"])
