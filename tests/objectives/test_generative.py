"""A generative classifier: a model of each kind of captions, by hand."""

from __future__ import annotations

import pytest
import torch

from gan_caption.discriminators.blind import BlindDiscriminator
from gan_caption.discriminators.calibrated import Calibrated
from gan_caption.discriminators.cnn import CNNDiscriminator
from gan_caption.discriminators.generative import GenerativeDiscriminator
from gan_caption.discriminators.likelihood_ratio import LikelihoodRatioDiscriminator
from gan_caption.errors import UserError
from gan_caption.objectives.generative import OwnLikelihoods
from gan_caption.testing import check_discriminator
from tests import tiny

LOSS = OwnLikelihoods(generated=1.0, mismatched=0.0, edited=0.0)


def pair(place=0):
    """Two models that differ."""
    found = GenerativeDiscriminator(generator=tiny.generators()[place])
    torch.manual_seed(1)
    for parameter in found.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    return found


def nats(policy, images, texts):
    """log p of captions of image 1, word by word."""
    return torch.stack([tiny.stepwise_log_probs(policy, images, text, image=1).sum() for text in texts])


@pytest.mark.parametrize("place", [0, 1, 2])
def test_it_keeps_the_contract_and_both_models_learn(place):
    found = pair(place)
    check_discriminator(found, tiny.features(3))
    assert all(parameter.requires_grad for parameter in found.parameters())


def test_its_densities_are_those_of_its_models_and_their_difference_its_logit():
    found, images, captions = pair(2).eval(), tiny.features(), tiny.captions_of(1)
    people, samples = found.densities(images, captions)
    torch.testing.assert_close(people, nats(found.generator, images, tiny.all_captions()))
    torch.testing.assert_close(samples, nats(found.reference, images, tiny.all_captions()))
    torch.testing.assert_close(found(images, captions), people - samples)


def test_around_it_a_discriminator_shows_its_models_what_it_shows():
    inner, images = pair().eval(), tiny.features()
    blind = Calibrated(discriminator=BlindDiscriminator(discriminator=inner)).eval()
    dark = images.map(torch.zeros_like)
    told = blind.densities(images, tiny.captions_of(1))
    for density, policy in zip(told, (inner.generator, inner.reference), strict=True):
        torch.testing.assert_close(density, nats(policy, dark, tiny.all_captions()))
    assert not torch.allclose(told[0], inner.densities(images, tiny.captions_of(1))[0])


def test_each_model_learns_from_its_own_captions_alone():
    """The loss is nats a token of each kind; gradients are those of either model's likelihood by itself."""
    found, images, texts = pair(), tiny.features(), tiny.all_captions()
    real, generated = (tiny.captions_of(1).select(torch.arange(15) % 2 == side) for side in (0, 1))
    judged = LOSS(found.train(), images, real=real, generated=generated, rng=torch.Generator())
    judged.loss.backward()
    wanted, accuracy = torch.zeros(()), {}
    for side, (kind, policy) in enumerate({"real": found.generator, "generated": found.reference}.items()):
        own = [text for place, text in enumerate(texts) if place % 2 == side]
        loss = -nats(policy, images, own).sum() / sum(map(len, own))
        wanted = wanted + loss.detach()
        learning = [parameter for parameter in policy.parameters() if parameter.grad is not None]
        for parameter, gradient in zip(learning, torch.autograd.grad(loss, learning), strict=True):
            torch.testing.assert_close(parameter.grad, gradient)
        logits = nats(found.generator, images, own) - nats(found.reference, images, own)
        accuracy[kind] = ((logits > 0) if kind == "real" else (logits <= 0)).float().mean().item()
    torch.testing.assert_close(judged.loss, wanted)
    assert judged.accuracy == pytest.approx(accuracy)


@pytest.mark.parametrize("other", [CNNDiscriminator, LikelihoodRatioDiscriminator])
def test_what_has_no_two_models_is_refused(other):
    if other is CNNDiscriminator:
        found = tiny.discriminator(CNNDiscriminator)
        with pytest.raises(TypeError, match="CNNDiscriminator has no models of captions"):
            found.densities(tiny.features(), tiny.captions_of(1))
    else:
        found = LikelihoodRatioDiscriminator(generator=tiny.generators()[0])
    with pytest.raises(UserError, match=f"{other.__name__} is no pair of models: .* teaches discriminator=generative"):
        LOSS.check(Calibrated(discriminator=found))
    LOSS.check(Calibrated(discriminator=BlindDiscriminator(discriminator=pair())))


@pytest.mark.parametrize("given", [{"generated": 0.0, "edited": 1.0}, {"mismatched": 0.5}, {"edited": 0.5}])
def test_there_is_no_model_of_other_captions(given):
    with pytest.raises(ValueError, match="captions and one of samples, and none of others"):
        OwnLikelihoods(**{"generated": 1.0, "mismatched": 0.0, "edited": 0.0} | given)
