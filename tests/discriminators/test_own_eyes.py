from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from gan_caption.data.captions import EOS, captions_from_ids
from gan_caption.discriminators.blind import BlindDiscriminator
from gan_caption.discriminators.cnn import CNNDiscriminator
from gan_caption.discriminators.dense import DenseDiscriminator
from gan_caption.discriminators.own_eyes import OwnEyesDiscriminator
from gan_caption.discriminators.warm_start import inherit
from gan_caption.encoders.scene_cnn import SceneCNN
from gan_caption.objectives.discriminator import judged_together
from gan_caption.testing import check_discriminator
from tests import tiny

PIXELS = torch.randint(256, (3, 3, 48, 48), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def own_eyes(kind=CNNDiscriminator, **changes):
    torch.manual_seed(0)
    encoder = SceneCNN(width=2, finetune=True)
    inside = tiny.discriminator(kind, pooled_size=encoder.pooled_size, **changes)
    return OwnEyesDiscriminator(discriminator=inside, encoder=encoder)


def shown(images=2):
    """Images that look alike to the captioner."""
    return replace(tiny.features(1).select(torch.zeros(images, dtype=torch.long)), pixels=PIXELS[:images])


@pytest.mark.parametrize("kind", [CNNDiscriminator, DenseDiscriminator])
def test_it_keeps_the_contract(kind):
    check_discriminator(own_eyes(kind), shown(3))


def test_it_sees_what_the_captioner_does_not():
    """Same captions, opposite answers, and features that are equal: only the pixels can tell."""
    captions = captions_from_ids([[4, EOS], [5, EOS], [4, EOS], [5, EOS]], [0, 0, 1, 1])
    wanted = torch.tensor([1.0, 0.0, 0.0, 1.0])
    discriminator = own_eyes(dropout=0.0).train()
    before = [weight.clone() for weight in discriminator.encoder.parameters()]
    optimizer = torch.optim.Adam(discriminator.parameters(), lr=0.01)
    for _ in range(150):
        loss = functional.binary_cross_entropy_with_logits(discriminator(shown(), captions), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    answers = discriminator(shown(), captions)
    assert answers[wanted == 1].min() > 2
    assert answers[wanted == 0].max() < -2
    assert not any(torch.equal(*pair) for pair in zip(before, discriminator.encoder.parameters(), strict=True))
    hidden = BlindDiscriminator(discriminator=discriminator)(shown(), captions)
    torch.testing.assert_close(hidden[:2], hidden[2:])


def test_an_image_that_is_judged_by_several_kinds_is_encoded_once():
    discriminator = own_eyes().eval()
    features = replace(shown(3), rows=torch.tensor([7, 2, 5]))
    captions = tiny.captions_of(2)
    alone, encoded = discriminator(features, captions), []
    discriminator.encoder.register_forward_hook(lambda _network, given, _told: encoded.append(len(given[0])))
    for judged in judged_together(discriminator, features, [captions, captions]):
        torch.testing.assert_close(judged, alone)
    assert encoded == [3]


def test_it_begins_with_the_captioners_eyes():
    discriminator, generator = own_eyes().eval(), tiny.generators()[0]
    encoder = SceneCNN(width=2, finetune=True)
    inherit(discriminator, generator, encoder)
    features = replace(encoder(PIXELS), pixels=PIXELS)
    torch.testing.assert_close(
        discriminator(features, tiny.captions_of(2)), discriminator.discriminator(features, tiny.captions_of(2))
    )
    with pytest.raises(ValueError, match=r"discriminator\.encoder is another network"):
        inherit(discriminator, generator, SceneCNN(width=3, finetune=True))
    with pytest.raises(ValueError, match="there is none"):
        inherit(discriminator, generator, None)


def test_without_pixels_it_has_no_answer():
    with pytest.raises(ValueError, match="these features came without them"):
        own_eyes()(tiny.features(), tiny.captions_of(1))
