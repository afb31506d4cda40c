"""A scale and a shift on top of a discriminator, against what a world that is known makes of them."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import softplus

from gan_caption.discriminators.calibrated import Calibrated, platt
from gan_caption.discriminators.cnn import CNNDiscriminator
from gan_caption.discriminators.coattention import CoAttentionDiscriminator
from gan_caption.discriminators.dense import DenseDiscriminator
from gan_caption.discriminators.lstm import LSTMDiscriminator
from gan_caption.discriminators.multi import MultiDiscriminator
from gan_caption.discriminators.set import SetDiscriminator
from gan_caption.discriminators.spectral import spectrally_normalised
from gan_caption.discriminators.warm_start import shared_weights, take_from_generator
from gan_caption.errors import UserError
from gan_caption.testing import check_discriminator
from tests import tiny

KINDS = [
    CNNDiscriminator, LSTMDiscriminator, DenseDiscriminator, CoAttentionDiscriminator, SetDiscriminator,
    MultiDiscriminator,
]  # fmt: skip


def made(kind, **settings):
    torch.manual_seed(0)
    return Calibrated(discriminator=tiny.discriminator(kind, **settings))


def drawn(count: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """The exact log-ratios of captions from two distributions over 27, each drawn `count` times."""
    rng = torch.Generator().manual_seed(seed)
    data, policy = torch.randn(2, 27, generator=rng, dtype=torch.float64).softmax(1)
    ratio = (data / policy).log()
    return tuple(ratio[torch.multinomial(p, count, replacement=True, generator=rng)] for p in (data, policy))


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_a_discriminator_before_and_after_its_calibration(kind):
    discriminator = made(kind, vocabulary_size=9)
    features = tiny.features(3)
    check_discriminator(discriminator, features, of_sets=kind is SetDiscriminator)
    discriminator.calibrate(torch.tensor([0.3, 1.0, -0.2]), torch.tensor([0.1, -1.0, 0.2]))
    assert discriminator.scale != 1
    check_discriminator(discriminator, features, of_sets=kind is SetDiscriminator)
    assert discriminator.uses_grid == (kind is CoAttentionDiscriminator)


def test_it_wraps_one_that_is_spectrally_normalised():
    check_discriminator(
        Calibrated(discriminator=spectrally_normalised(discriminator=tiny.discriminator(CNNDiscriminator))),
        tiny.features(3),
    )


@pytest.mark.parametrize("kind", [LSTMDiscriminator, DenseDiscriminator])
def test_answers_are_scaled_and_shifted_and_have_no_parameter_more(kind):
    discriminator, features, captions = made(kind).eval(), tiny.features(), tiny.captions_of(1)
    inner = discriminator.discriminator
    plain = inner(features, captions)
    assert torch.equal(discriminator(features, captions), plain)  # 1 and 0 until it is fitted
    discriminator.scale.fill_(0.5)
    discriminator.shift.fill_(-2.0)
    torch.testing.assert_close(discriminator(features, captions), 0.5 * plain - 2)
    torch.testing.assert_close(discriminator.fast_score(features, captions), 0.5 * plain - 2)
    assert [id(own) for own in discriminator.parameters()] == [id(own) for own in inner.parameters()]
    assert list(discriminator.output_weights()) == list(inner.output_weights())
    assert {"scale", "shift"} <= discriminator.state_dict().keys()


def test_logits_that_are_three_times_too_large_are_scaled_by_a_third():
    real, generated = drawn(100_000)
    assert platt(real, generated) == pytest.approx((1, 0), abs=0.02)
    assert platt(3 * real, 3 * generated) == pytest.approx((1 / 3, 0), abs=0.02 / 3)
    assert platt(3 * real + 1, 3 * generated + 1) == pytest.approx((1 / 3, -1 / 3), abs=0.02)


def test_no_other_scale_and_shift_have_a_lower_log_loss():
    real, generated = drawn(5000, seed=1)
    real, generated = 0.4 * real[:3000] + 2, 0.4 * generated + 2  # kinds of different sizes count alike
    scale, shift = platt(real, generated)

    def log_loss(real, generated):
        return (softplus(-real).mean() + softplus(generated).mean()) / 2

    lowest = log_loss(scale * real + shift, scale * generated + shift)
    for more, further in ((0.05, 0), (-0.05, 0), (0, 0.05), (0, -0.05), (0.05, -0.1), (-0.05, 0.1)):
        other, moved = scale + more, shift + further
        assert log_loss(other * real + moved, other * generated + moved) > lowest


def test_answers_that_are_all_the_same_are_shifted_and_scaled_later():
    discriminator, features, captions = made(CNNDiscriminator).eval(), tiny.features(), tiny.captions_of(1)
    plain = discriminator(features, captions)
    discriminator.calibrate(torch.full((4,), 0.7), torch.full((4,), 0.7))
    assert discriminator.scale == 1
    torch.testing.assert_close(discriminator(features, captions), plain - 0.7)  # as many of each kind: even odds
    discriminator.calibrate(torch.tensor([1.0, 2, 3]), torch.tensor([-1.0, -2, 2]))
    assert discriminator.scale > 0


def test_logits_that_tell_everything_get_a_finite_scale():
    scale, shift = platt(torch.full((8,), 1.0), torch.full((8,), -1.0))
    assert torch.sigmoid(torch.tensor(scale + shift)) == pytest.approx(9 / 10)  # Platt's targets, 9 / 10 and 1 / 10
    assert torch.sigmoid(torch.tensor(-scale + shift)) == pytest.approx(1 / 10)


def test_a_second_calibration_adds_to_the_first():
    discriminator = made(LSTMDiscriminator)
    discriminator.scale.fill_(2.0)
    discriminator.shift.fill_(1.0)
    real, generated = drawn(2000)
    discriminator.calibrate(2 * real + 1, 2 * generated + 1)  # what it answers, where its own logits are these
    assert (discriminator.scale.item(), discriminator.shift.item()) == pytest.approx(platt(real, generated), abs=1e-5)


def test_a_policy_that_reads_a_discriminator_reads_what_is_wrapped():
    generator, discriminator = tiny.leakgan(), made(CNNDiscriminator)
    generator.follow(discriminator)
    assert torch.equal(generator.leak.words, discriminator.discriminator.words.weight)
    with pytest.raises(UserError, match="LSTMDiscriminator has none"):
        generator.follow(made(LSTMDiscriminator))


def test_it_begins_with_the_generators_weights_as_what_is_wrapped_would():
    generator, discriminator = tiny.lstm(), made(LSTMDiscriminator, embedding=4, hidden=4)
    assert "discriminator.words.weight" in shared_weights(discriminator, generator)
    take_from_generator(discriminator, generator)
    assert torch.equal(discriminator.discriminator.words.weight, generator.words.weight)
