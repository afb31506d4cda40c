from __future__ import annotations

from dataclasses import replace

import pytest
import torch

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
    """Each image's captions are judged as the seeing or as the blind discriminator does, so many of either."""
    seeing = inside(kind).train()
    blind, blinking = BlindDiscriminator(discriminator=seeing), BlinkingDiscriminator(discriminator=seeing, closed=0.3)
    blinking.train()
    images, captions = tiny.features(2), tiny.captions_of(1, tiny.all_captions())
    images = replace(images, regions=torch.tensor([1, 3]))
    open_eyes, closed_eyes = seeing(images, captions), blind(images, captions)
    assert not torch.allclose(open_eyes, closed_eyes)
    hidden = 0
    for _ in range(200):
        told = blinking(images, captions)
        hidden += torch.allclose(told, closed_eyes, atol=1e-5)
        assert torch.allclose(told, closed_eyes, atol=1e-5) != torch.allclose(told, open_eyes, atol=1e-5)
    assert 40 <= hidden <= 80, "60 are expected, with a standard deviation of 6.5"


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
