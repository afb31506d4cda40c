"""Gradients through relaxed words, against finite differences and by hand."""

from __future__ import annotations

import pytest
import torch

from gan_caption.data.captions import EOS, captions_from_ids
from gan_caption.decoding.gumbel import soft, soft_sample, straight_through
from gan_caption.discriminators.cnn import CNNDiscriminator
from gan_caption.discriminators.lstm import LSTMDiscriminator
from gan_caption.discriminators.set import SetDiscriminator
from gan_caption.objectives.generator_losses import FeatureMatching, NonSaturating, RelativisticGenerator
from gan_caption.objectives.gumbel import GumbelSoftmax
from tests import tiny


def drawn(generator, images, *, relaxation, temperature=0.7, samples=2, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return soft_sample(
        generator, images, samples=samples, max_length=3, rng=rng, temperature=temperature, relaxation=relaxation
    )


def double(images):
    return type(images)(images.pooled.double(), images.grid.double())


@pytest.mark.parametrize("index", range(3))
@pytest.mark.parametrize("kind", [LSTMDiscriminator, CNNDiscriminator, SetDiscriminator])
def test_the_soft_path_is_differentiated_exactly(index, kind):
    """Noise held fixed, the loss is a smooth function of every weight: central differences in double precision."""
    generator, images = tiny.generators()[index].double(), double(tiny.features())
    torch.manual_seed(1)
    discriminator = tiny.discriminator(kind).double().eval()
    weights = torch.randn(4, dtype=torch.double)  # answers weighed apart, so that no sample's gradient hides another's

    def loss():
        captions = drawn(generator, images, relaxation=soft).captions
        return (weights * discriminator(images, captions)).sum()

    loss().backward()
    for parameter in generator.parameters():
        if parameter.grad is None:
            continue
        direction = torch.randn(parameter.shape, dtype=torch.double, generator=torch.Generator().manual_seed(2))
        with torch.no_grad():
            parameter += 1e-6 * direction
            above = loss()
            parameter -= 2e-6 * direction
            below = loss()
            parameter += 1e-6 * direction
        assert ((above - below) / 2e-6).item() == pytest.approx(
            (parameter.grad * direction).sum().item(), rel=1e-4, abs=1e-8
        )


def test_straight_through_hands_on_words_with_the_relaxed_gradient():
    relaxed = torch.tensor([[0.2, 0.5, 0.3]], requires_grad=True)
    passed = straight_through(relaxed, torch.tensor([2]))
    assert passed.tolist() == [[0.0, 0.0, 1.0]]
    (passed * torch.tensor([[3.0, -1.0, 7.0]])).sum().backward()
    assert relaxed.grad.tolist() == [[3.0, -1.0, 7.0]]
    assert soft(relaxed, torch.tensor([2])) is relaxed


@pytest.mark.parametrize("index", range(3))
def test_drawn_words_follow_the_policy_whatever_the_temperature(index):
    generator, images = tiny.generators()[index], tiny.features(1)
    many = 20_000
    with torch.no_grad():
        found = drawn(generator, images, relaxation=straight_through, temperature=3.0, samples=many)
    texts = [tuple(row[:n].tolist()) for row, n in zip(found.captions.tokens, found.captions.lengths, strict=True)]
    captions = tiny.captions_of(0)
    truth = generator.score(images, captions).sum(1).exp()
    for text, probability in zip(tiny.all_captions(), truth.tolist(), strict=True):
        share = texts.count(tuple(text)) / many
        assert abs(share - probability) < 4 * (probability * (1 - probability) / many) ** 0.5 + 1e-4
    scored = generator.score(images, found.captions)
    torch.testing.assert_close(found.log_probs, scored, rtol=1e-4, atol=1e-5)


def test_discriminators_cannot_tell_straight_through_words_from_written_ones():
    generator, images = tiny.generators()[1], tiny.features()
    found = drawn(generator, images, relaxation=straight_through).captions
    discriminator = tiny.discriminator(CNNDiscriminator).eval()
    written = type(tiny.captions_of(0))(found.tokens, found.lengths, found.images)
    torch.testing.assert_close(discriminator(images, found), discriminator(images, written))
    assert (found.weights.sum(2)[~found.mask] == 0).all()


@pytest.mark.parametrize("noise", [0, 4])
def test_the_temperature_is_geometric_in_the_share_of_the_phase(noise):
    generator = tiny.lstm(noise_size=noise)
    discriminator = tiny.discriminator(SetDiscriminator)
    objective = GumbelSoftmax(
        discriminator=discriminator,
        loss=FeatureMatching(weight=1.0, loss=NonSaturating()),
        relaxation="straight_through",
        temperature=1.0,
        final_temperature=0.01,
        samples_per_image=2,
    )
    real = captions_from_ids([[4, EOS], [5, EOS], [4, 5, EOS], [EOS]], [0, 0, 1, 1])
    for progress, temperature in ((0.0, 1.0), (0.5, 0.1), (1.0, 0.01)):
        (policy,) = objective.losses(
            generator, tiny.features(), real=real, max_length=3, rng=torch.Generator().manual_seed(0),
            reference=generator, progress=progress,
        )  # fmt: skip
        assert policy.metrics["policy/temperature"] == pytest.approx(temperature)
        assert policy.metrics["policy/kl"] == pytest.approx(0, abs=1e-5)
        policy.loss.backward()
    assert generator.output.weight.grad.abs().sum() > 0
    assert discriminator.training


class Answers(torch.nn.Module):
    """Answers with the share of the word 4 in the caption, and shows it."""

    def forward(self, features, captions):
        return self.represent(features, self.embed(captions), captions)[:, 0]

    def embed(self, captions):
        return (captions.tokens == 4).float()[..., None] * captions.mask[..., None]

    def represent(self, features, words, captions):
        return words.sum(1) / captions.lengths[:, None]


def test_generator_losses_by_hand():
    images = tiny.features()
    real, fake = captions_from_ids([[4, 4], [4, EOS]], [0, 1]), captions_from_ids([[5, 5], [4, EOS]], [0, 1])

    def softplus(x):
        return torch.nn.functional.softplus(torch.tensor(x)).item()

    plain = NonSaturating()(Answers(), images, real=real, fake=fake)
    assert plain.item() == pytest.approx((softplus(0.0) + softplus(-0.5)) / 2)
    pairs = RelativisticGenerator()(Answers(), images, real=real, fake=fake)
    assert pairs.item() == pytest.approx((softplus(1.0) + softplus(0.0)) / 2)
    matched = FeatureMatching(weight=2.0, loss=NonSaturating())(Answers(), images, real=real, fake=fake)
    assert matched.item() == pytest.approx(plain.item() + 2 * (0.75 - 0.25) ** 2)
    with pytest.raises(ValueError, match="CNNDiscriminator has none"):
        FeatureMatching(weight=1.0, loss=NonSaturating())(
            tiny.discriminator(CNNDiscriminator), images, real=real, fake=fake
        )
    with pytest.raises(ValueError, match="1 samples beside 2 real captions"):
        RelativisticGenerator()(Answers(), images, real=real, fake=captions_from_ids([[4]], [0]))
