from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from gan_caption.data.captions import EOS, captions_from_ids
from gan_caption.discriminators.blind import BlindDiscriminator
from gan_caption.discriminators.cnn import CNNDiscriminator
from gan_caption.discriminators.coattention import CoAttentionDiscriminator
from gan_caption.discriminators.dense import DenseDiscriminator
from gan_caption.discriminators.lstm import LSTMDiscriminator
from gan_caption.discriminators.warm_start import take_from_generator
from gan_caption.objectives.discriminator import spoken
from gan_caption.testing import check_discriminator
from tests import tiny


def blind(kind, **changes):
    torch.manual_seed(0)
    return BlindDiscriminator(discriminator=tiny.discriminator(kind, **changes))


@pytest.mark.parametrize("kind", [CNNDiscriminator, LSTMDiscriminator, DenseDiscriminator])
def test_it_keeps_the_contract(kind):
    discriminator = blind(kind)
    image = discriminator.discriminator.critic.image if kind is CNNDiscriminator else discriminator.discriminator.image
    for weight in (image.normalise.weight, image.project.weight):
        weight.requires_grad_(False)  # of zeros nothing is learned
    check_discriminator(discriminator, tiny.features(3))


@pytest.mark.parametrize("kind", [CNNDiscriminator, CoAttentionDiscriminator])
def test_whatever_the_image_the_answer_is_the_same(kind):
    discriminator, images = blind(kind).eval(), tiny.features()
    images = replace(images, regions=torch.tensor([1, 3]))  # a detector's: how many there are tells of the image
    texts = tiny.all_captions()
    captions = [tiny.captions_of(image, texts) for image in (0, 1)]
    torch.testing.assert_close(*(discriminator(images, own) for own in captions))
    torch.testing.assert_close(*(discriminator.fast_score(images, own) for own in captions))
    seeing = [discriminator.discriminator(images, own) for own in captions]
    assert not torch.allclose(*seeing)


def test_where_only_the_image_could_tell_it_stays_at_chance():
    """Same captions, two images, opposite answers: no loss below log 2 can be had without the image."""
    discriminator, images = blind(CNNDiscriminator, dropout=0.0).train(), tiny.features()
    captions = captions_from_ids([[4, EOS], [5, EOS], [4, EOS], [5, EOS]], [0, 0, 1, 1])
    wanted = torch.tensor([1.0, 0.0, 0.0, 1.0])
    optimizer = torch.optim.Adam(discriminator.parameters(), lr=0.01)
    for _ in range(100):
        loss = functional.binary_cross_entropy_with_logits(discriminator(images, captions), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() == pytest.approx(math.log(2), abs=1e-3)
    assert spoken(discriminator(images, captions), captions).abs().max() < 0.1


def test_it_begins_with_the_generators_weights():
    generator = tiny.generators()[0]
    discriminator = blind(LSTMDiscriminator, embedding=4, hidden=4)
    take_from_generator(discriminator, generator)
    assert torch.equal(discriminator.discriminator.words.weight, generator.words.weight)
    assert torch.equal(discriminator.discriminator.lstm.weight_hh_l0, generator.lstm.weight_hh_l0)
