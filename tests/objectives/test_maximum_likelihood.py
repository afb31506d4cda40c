from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from gan_caption.data.captions import EOS, UNK, captions_from_ids
from gan_caption.kernels.picking import pick
from gan_caption.objectives.maximum_likelihood import MaximumLikelihood, cross_entropy, scheduled_logits
from tests import tiny

PLAIN = MaximumLikelihood(label_smoothing=0.0, scheduled_sampling=0.0)


def test_mean_negative_log_likelihood_a_token():
    generator, images = tiny.generators()[0], tiny.features()
    texts = [[4, 5, EOS], [5, EOS]]
    loss = PLAIN.loss(generator, images, captions_from_ids(texts, [0, 1]), torch.Generator())
    slow = torch.cat([tiny.stepwise_log_probs(generator, images, text, i) for i, text in enumerate(texts)])
    torch.testing.assert_close(loss, -slow.mean())


def test_label_smoothing_by_hand_over_the_words_that_may_be_written():
    packed = torch.tensor([[0.2, 1.0, -0.5]])
    captions = captions_from_ids([[4]], [0])
    log_probs = torch.tensor([0.2, 1.0, -0.5]).log_softmax(0)
    expected = -(0.7 * log_probs[1] + 0.3 * log_probs.mean())
    torch.testing.assert_close(cross_entropy(packed, captions, first_word=EOS, label_smoothing=0.3), expected)


def test_unknown_words_are_read_and_never_asked_for():
    generator, images = tiny.generators()[0], tiny.features()
    captions = captions_from_ids([[4, UNK, EOS]], [0])
    loss = replace(PLAIN, label_smoothing=0.1).loss(generator, images, captions, torch.Generator())
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(p.grad).all() for p in generator.parameters() if p.grad is not None)
    plain = PLAIN.loss(generator, images, captions, torch.Generator())
    scores = generator.score(images, captions)[0]
    torch.testing.assert_close(plain, -(scores[0] + scores[2]) / 2)


def test_scheduled_sampling_at_zero_and_at_one():
    generator, images = tiny.generators()[0], tiny.features()
    captions = captions_from_ids([[4, 5, EOS], [5, 5, EOS]], [0, 1])
    never = scheduled_logits(generator, images, captions, share=0.0, rng=torch.Generator().manual_seed(0))
    torch.testing.assert_close(never[captions.mask], generator.logits(images, captions))
    # The first prediction has read no word yet; later ones then depend on the model's words, not on the reference's.
    other = captions_from_ids([[5, 4, EOS], [4, 4, EOS]], [0, 1])
    always, again = (
        scheduled_logits(generator, images, texts, share=1.0, rng=torch.Generator().manual_seed(0))
        for texts in (captions, other)
    )
    torch.testing.assert_close(always, again)


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_scheduled_sampling_reads_the_models_own_samples_in_that_share(share):
    """What is read after the first word, 4, is seen by what is predicted after it."""
    generator, images = tiny.generators()[0], tiny.features()
    many, words = 20_000, (EOS, 4, 5)
    captions = captions_from_ids([[4, EOS]] * many, [0] * many)
    with torch.no_grad():
        drawn = scheduled_logits(generator, images, captions, share=share, rng=torch.Generator().manual_seed(0))
        after = torch.stack([
            scheduled_logits(generator, images, captions_from_ids([[one, EOS]], [0]), share=0.0, rng=torch.Generator())
            for one in words
        ])[:, 0, 1]  # fmt: skip
    read = (drawn[:, None, 1] - after).abs().sum(2).argmin(1).bincount(minlength=3) / many
    own = drawn[0, 0].softmax(0)
    expected = share * own + (1 - share) * torch.tensor([0.0, 1.0, 0.0])
    deviation = (expected * (1 - expected) / many).sqrt()
    assert ((read - expected).abs() < 4.5 * deviation + 1e-9).all()


def test_scheduled_sampling_draws_in_full_precision(monkeypatch):
    """Among thousands of words bfloat16 leaves half of them no share."""
    given = []

    def recorded(probabilities, uniforms):
        given.append(probabilities.dtype)
        return pick(probabilities, uniforms)

    monkeypatch.setattr("gan_caption.objectives.maximum_likelihood.pick", recorded)
    captions = captions_from_ids([[4, 5, EOS]], [0])
    with torch.autocast("cpu", torch.bfloat16):
        scheduled_logits(tiny.lstm(), tiny.features(), captions, share=1.0, rng=torch.Generator())
    assert given == [torch.float32, torch.float32]


@pytest.mark.parametrize("settings", [{"label_smoothing": 1.0}, {"scheduled_sampling": 1.5}])
def test_settings_out_of_range(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        replace(PLAIN, **settings)


def test_one_batch_is_learned_by_heart():
    torch.manual_seed(0)
    generator, images = tiny.generators()[2].train(), tiny.features()
    captions = captions_from_ids([[4, 5, EOS], [5, EOS]], [0, 1])
    optimizer = torch.optim.Adam(generator.parameters(), lr=0.05)
    for _ in range(150):
        loss = PLAIN.loss(generator, images, captions, torch.Generator())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.02
