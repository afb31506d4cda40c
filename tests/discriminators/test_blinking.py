from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from gan_caption.data.captions import captions_from_ids
from gan_caption.discriminators.blind import BlindDiscriminator
from gan_caption.discriminators.blinking import BlinkingDiscriminator
from gan_caption.discriminators.cnn import CNNDiscriminator
from gan_caption.discriminators.coattention import CoAttentionDiscriminator
from gan_caption.discriminators.dense import DenseDiscriminator
from gan_caption.discriminators.lstm import LSTMDiscriminator
from gan_caption.testing import check_discriminator
from tests import tiny

KINDS = [CNNDiscriminator, LSTMDiscriminator, CoAttentionDiscriminator, DenseDiscriminator]


def inside(kind):
    torch.manual_seed(0)
    return tiny.discriminator(kind, dropout=0.0)


@pytest.mark.parametrize("kind", KINDS)
def test_it_keeps_the_contract(kind):
    check_discriminator(BlinkingDiscriminator(discriminator=inside(kind), closed=0.5), tiny.features(3))


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_is_either_shown_or_hidden_whole(kind):
    """Captions are judged as the seeing or as the blind one does, by images independently, so many of either."""
    seeing = inside(kind).train()
    blind, blinking = BlindDiscriminator(discriminator=seeing), BlinkingDiscriminator(discriminator=seeing, closed=0.3)
    blinking.train()
    images, texts = replace(tiny.features(2), regions=torch.tensor([1, 3])), tiny.all_captions()
    captions = captions_from_ids([*texts, *texts], [0] * len(texts) + [1] * len(texts))
    shown, hidden = (one(images, captions).chunk(2) for one in (seeing, blind))
    assert not any(torch.allclose(*pair) for pair in zip(shown, hidden, strict=True))
    told = [blinking(images, captions).chunk(2) for _ in range(300)]
    dark = [[torch.allclose(own[image], hidden[image], atol=1e-5) for image in (0, 1)] for own in told]
    for own, closed in zip(told, dark, strict=True):
        for image in (0, 1):
            torch.testing.assert_close(own[image], (hidden if closed[image] else shown)[image], atol=1e-5, rtol=0)
    assert 60 <= sum(one for one, _ in dark) <= 120, "90 are expected, with a standard deviation of 8"
    assert 10 <= sum(one and other for one, other in dark) <= 50, "27 of both"


def test_pixels_are_hidden_as_well():
    blinking = BlinkingDiscriminator(discriminator=inside(CNNDiscriminator), closed=0.5).train()
    images = replace(tiny.features(64), pixels=torch.ones(64, 3, 2, 2, dtype=torch.uint8))
    seen = blinking.seen(images)
    dark = seen.pixels.flatten(1).sum(1) == 0
    assert 0 < dark.sum() < 64
    assert torch.equal(dark, seen.pooled.abs().sum(1) == 0)
    assert torch.equal(seen.pixels[~dark], images.pixels[~dark])


@pytest.mark.parametrize("kind", KINDS)
def test_it_judges_with_open_eyes(kind):
    seeing = inside(kind).eval()
    blinking = BlinkingDiscriminator(discriminator=seeing, closed=0.9).eval()
    images, captions = tiny.features(2), tiny.captions_of(1, tiny.all_captions())
    torch.testing.assert_close(blinking(images, captions), seeing(images, captions))
    torch.testing.assert_close(blinking.fast_score(images, captions), seeing.fast_score(images, captions))


def test_a_probability_of_1_is_refused():
    with pytest.raises(ValueError, match=r"closed=1: at least 0, below 1"):
        BlinkingDiscriminator(discriminator=inside(CNNDiscriminator), closed=1)
