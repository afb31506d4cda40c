from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from gan_caption.data.captions import EOS, captions_from_ids
from gan_caption.discriminators.blind import BlindDiscriminator
from gan_caption.discriminators.cnn import CNNDiscriminator
from gan_caption.discriminators.dense import DenseDiscriminator
from gan_caption.discriminators.likelihood_ratio import OwnEyesLikelihoodRatioDiscriminator
from gan_caption.discriminators.own_eyes import OwnEyesDiscriminator
from gan_caption.discriminators.warm_start import inherit, shared_weights
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


@pytest.mark.parametrize("build", [own_eyes, lambda: captioner_that_judges()], ids=["own_eyes", "ratio"])
def test_without_pixels_it_has_no_answer(build):
    with pytest.raises(ValueError, match="these features came without them"):
        build()(tiny.features(), tiny.captions_of(1))


def captioner_that_judges(kind=tiny.lstm, sizes=("pooled_size",)):
    torch.manual_seed(0)
    encoder = SceneCNN(width=2, finetune=True)
    generator = kind(**{size: getattr(encoder, size) for size in sizes})
    return OwnEyesLikelihoodRatioDiscriminator(generator=generator, encoder=encoder)


def seen_by_the_captioner(encoder, images=3):
    with torch.no_grad():
        return replace(encoder(PIXELS[:images]), pixels=PIXELS[:images], rows=torch.arange(images))


@pytest.mark.parametrize(
    "own", [(tiny.lstm,), (tiny.attention_lstm, ("pooled_size", "grid_size"))], ids=["lstm", "attention_lstm"]
)
def test_a_captioner_with_its_own_eyes_begins_as_the_judged_one_and_learns_to_see(own):
    """At first all log-ratios are 0. Then its log p is its own eyes', and p_ref's the captioner's."""
    discriminator, captioner = captioner_that_judges(*own).eval(), captioner_that_judges(*own)
    inherit(discriminator, captioner.generator, captioner.encoder)
    features, captions = seen_by_the_captioner(captioner.encoder), tiny.captions_of(2)
    torch.testing.assert_close(discriminator(features, captions), torch.zeros(len(captions)))

    wanted = torch.tensor([float(row % 2) for row in range(len(captions))])
    optimizer = torch.optim.Adam((one for one in discriminator.parameters() if one.requires_grad), lr=1e-3)
    for _ in range(3):
        optimizer.zero_grad()
        functional.binary_cross_entropy_with_logits(discriminator(features, captions), wanted).backward()
        optimizer.step()
    shared = shared_weights(discriminator, captioner.generator)
    assert {name.partition(".")[0] for name in shared} == {"generator", "reference"}, "its eyes come with the captioner"
    eyes = discriminator.encoder.state_dict()
    assert any(not torch.equal(weight, eyes[name]) for name, weight in captioner.encoder.state_dict().items())
    with torch.no_grad():
        ours, theirs = (encoder(PIXELS) for encoder in (discriminator.encoder, captioner.encoder))
        expected = discriminator.generator.score(ours, captions) - captioner.generator.score(theirs, captions)
    torch.testing.assert_close(discriminator(features, captions), expected.sum(1), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(discriminator.fast_score(features, captions), expected.sum(1), rtol=1e-4, atol=1e-5)
    check_discriminator(discriminator, features)
