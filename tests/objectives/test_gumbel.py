"""Gradients through relaxed words, against finite differences and by hand."""

from __future__ import annotations

import math

import pytest
import torch

from gan_caption.data.captions import EOS, captions_from_ids
from gan_caption.decoding.gumbel import (
    HARD_FEEDBACK,
    SOFT,
    STRAIGHT_THROUGH,
    hard,
    soft,
    soft_sample,
    straight_through,
)
from gan_caption.discriminators.cnn import CNNDiscriminator
from gan_caption.discriminators.lstm import LSTMDiscriminator
from gan_caption.discriminators.set import SetDiscriminator
from gan_caption.generators.base import token_log_probs
from gan_caption.generators.state import TensorState
from gan_caption.objectives.generator_losses import FeatureMatching, NonSaturating, RelativisticGenerator
from gan_caption.objectives.gumbel import GumbelSoftmax
from tests import tiny


def drawn(generator, images, *, relaxation, temperature=0.7, sharpness=1.0, samples=2, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return soft_sample(
        generator, images, samples=samples, max_length=3, rng=rng, temperature=temperature, sharpness=sharpness,
        relaxation=relaxation,
    )  # fmt: skip


def double(images):
    return type(images)(images.pooled.double(), images.grid.double())


@pytest.mark.parametrize("index", tiny.EVERY)
@pytest.mark.parametrize("kind", [LSTMDiscriminator, CNNDiscriminator, SetDiscriminator])
@pytest.mark.parametrize(("relaxation", "sharpness"), [(SOFT, 1.0), (HARD_FEEDBACK, 1.0), (HARD_FEEDBACK, 3.0)])
def test_the_soft_path_is_differentiated_exactly(index, kind, relaxation, sharpness):
    """Noise held fixed, the loss is a smooth function of every weight: central differences in double precision.

    So it is where drawn words are fed back, within a neighbourhood in which no other word is drawn.
    """
    generator, images = tiny.generators()[index].double(), double(tiny.features())
    torch.manual_seed(1)
    discriminator = tiny.discriminator(kind).double().eval()
    weights = torch.randn(4, dtype=torch.double)  # answers weighed apart, so that no sample's gradient hides another's

    def loss():
        captions = drawn(generator, images, relaxation=relaxation, sharpness=sharpness).captions
        return (weights * discriminator(images, captions)).sum()

    loss().backward()
    for parameter in generator.parameters():
        own = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        direction = torch.randn(parameter.shape, dtype=torch.double, generator=torch.Generator().manual_seed(2))
        with torch.no_grad():
            parameter += 1e-6 * direction
            above = loss()
            parameter -= 2e-6 * direction
            below = loss()
            parameter += 1e-6 * direction
        assert ((above - below) / 2e-6).item() == pytest.approx((own * direction).sum().item(), rel=1e-4, abs=1e-8)


def test_straight_through_hands_on_words_with_the_relaxed_gradient():
    relaxed = torch.tensor([[0.2, 0.5, 0.3]], requires_grad=True)
    passed = straight_through(relaxed, torch.tensor([2]))
    assert passed.tolist() == [[0.0, 0.0, 1.0]]
    (passed * torch.tensor([[3.0, -1.0, 7.0]])).sum().backward()
    assert relaxed.grad.tolist() == [[3.0, -1.0, 7.0]]
    assert soft(relaxed, torch.tensor([2])) is relaxed
    assert hard(relaxed, torch.tensor([2])).tolist() == [2]


class Recorded(torch.nn.Module):
    """A generator that keeps what its steps read."""

    def __init__(self, generator):
        super().__init__()
        self.generator, self.read = generator, []
        self.first_word, self.start = generator.first_word, generator.start

    def step(self, tokens, state):
        self.read.append(tokens)
        return self.generator.step(tokens, state)


@pytest.mark.parametrize(
    ("relaxation", "reads", "judged"),
    [
        (SOFT, "relaxed", "relaxed"),
        (STRAIGHT_THROUGH, "one-hot", "one-hot"),
        (HARD_FEEDBACK, "words", "relaxed"),
    ],
)
def test_what_the_next_step_reads_and_what_the_discriminator_is_given(relaxation, reads, judged):
    recorded = Recorded(tiny.generators()[0])
    captions = drawn(recorded, tiny.features(), relaxation=relaxation).captions
    first = captions.tokens[:, 0]
    one_hot = torch.nn.functional.one_hot(first, tiny.VOCABULARY).float()
    read, given = recorded.read[1], captions.weights[:, 0]
    if reads == "words":
        assert torch.equal(read, first)
    else:
        assert torch.equal(read.detach(), one_hot) == (reads == "one-hot")
    assert torch.equal(given.detach(), one_hot) == (judged == "one-hot")
    assert torch.equal(given.argmax(1), first)
    assert given.requires_grad


class Sharpened(torch.nn.Module):
    """A generator whose logits are multiplied by 3: the policy that Shetty's sampler draws from."""

    def __init__(self, generator):
        super().__init__()
        self.generator, self.first_word = generator, generator.first_word

    def score(self, features, captions):
        log_probs = (3 * self.generator.logits(features, captions)).log_softmax(1)
        return captions.unpacked(token_log_probs(log_probs, captions, first_word=self.first_word))


@pytest.mark.parametrize("relaxation", [STRAIGHT_THROUGH, HARD_FEEDBACK])
@pytest.mark.parametrize("sharpness", [1.0, 3.0])
@pytest.mark.parametrize("index", tiny.EVERY)
def test_drawn_words_follow_the_policy_whatever_the_temperature(index, sharpness, relaxation):
    generator, images = tiny.generators()[index], tiny.features(1)
    many = 20_000
    with torch.no_grad():
        found = drawn(generator, images, relaxation=relaxation, temperature=3.0, sharpness=sharpness, samples=many)
    captions = tiny.captions_of(0)
    policy = generator if sharpness == 1 else Sharpened(generator)
    truth = policy.score(images, captions).sum(1).exp()
    shares = tiny.written(found.captions) / many
    assert shares.sum() == pytest.approx(1)
    assert ((shares - truth).abs() < 4 * (truth * (1 - truth) / many).sqrt() + 1e-4).all()
    scored = generator.score(images, found.captions)
    torch.testing.assert_close(found.log_probs, scored, rtol=1e-4, atol=1e-5)


class Improbable(torch.nn.Module):
    """A policy of a thousand words in a matrix product, of which the first has the probability .89."""

    first_word = 0

    def __init__(self):
        super().__init__()
        self.probabilities = torch.full((1000,), 0.11 / 999).index_fill(0, torch.tensor([0]), 0.89)

    def start(self, features, max_length):
        rows = torch.arange(len(features))
        return TensorState((rows,), rows)

    def step(self, tokens, state):
        return torch.ones(len(tokens), 1) @ self.probabilities.log()[None], state


def test_drawn_words_follow_the_policy_in_half_precision():
    """Among a thousand uniforms that are rounded to bfloat16 two are 1, whose words would win whatever their logit."""
    many = 2000
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = soft_sample(
            Improbable(), tiny.features(1), samples=many, max_length=1, rng=torch.Generator().manual_seed(0),
            temperature=1.0, sharpness=1.0, relaxation=HARD_FEEDBACK,
        )  # fmt: skip
    share = (found.captions.tokens == 0).float().mean().item()
    assert abs(share - 0.89) < 4 * (0.89 * 0.11 / many) ** 0.5
    assert found.log_probs.max().item() == pytest.approx(math.log(0.89), abs=2e-3)


def test_discriminators_cannot_tell_straight_through_words_from_written_ones():
    generator, images = tiny.generators()[1], tiny.features()
    found = drawn(generator, images, relaxation=STRAIGHT_THROUGH).captions
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
        beta=1.0,
        beta_max=100.0,
        sharpness=1.0,
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


@pytest.mark.parametrize("noise", [0, 4])
def test_the_discriminator_learns_from_what_the_generator_shows_it(noise):
    """The same random numbers give the same relaxed words, at the same temperature, without a graph."""
    generator = tiny.lstm(noise_size=noise)
    shown = []

    def loss(discriminator, features, *, real, fake):
        shown.append(fake)
        return fake.weights.sum()

    objective = GumbelSoftmax(
        discriminator=tiny.discriminator(SetDiscriminator), loss=loss, relaxation="hard_feedback", beta=1.0,
        beta_max=100.0, sharpness=1.0, samples_per_image=2,
    )  # fmt: skip
    common = {"max_length": 3, "progress": 0.25}
    real = captions_from_ids([[4, EOS]] * 4, [0, 0, 1, 1])
    next(objective.losses(
        generator.eval(), tiny.features(), real=real, rng=torch.Generator().manual_seed(3), reference=None, **common
    ))  # fmt: skip
    own = objective.negatives(
        generator.train(), tiny.features(), samples=2, rng=torch.Generator().manual_seed(3), **common
    )
    assert generator.training
    torch.testing.assert_close(own.weights, shown[0].weights)
    assert torch.equal(own.tokens, shown[0].tokens)
    assert own.images.tolist() == [0, 0, 1, 1]
    assert not own.weights.requires_grad
    assert ((own.weights > 0) & (own.weights < 1)).any(), "relaxed, not drawn"


class Answers(torch.nn.Module):
    """Answers with the share of the word 4 in the caption, and shows it."""

    def forward(self, features, captions):
        return self.represent(features, self.embed(captions), captions)[:, 0]

    def embed(self, captions):
        return (captions.tokens == 4).float()[..., None] * captions.mask[..., None]

    def represent(self, features, words, captions):
        return words.sum(1) / captions.lengths[:, None]


class Pairs(Answers):
    """Shows the share of the word 4 and twice the share of the word 5."""

    def represent(self, features, words, captions):
        shares = [
            ((captions.tokens == word) & captions.mask).sum(1, keepdim=True) / captions.lengths[:, None]
            for word in (4, 5)
        ]
        return torch.cat([shares[0], 2 * shares[1]], dim=1)

    def forward(self, features, captions):
        return self.represent(features, None, captions).new_zeros(len(captions))


def test_features_are_matched_by_the_mean_over_their_numbers():
    real, fake = captions_from_ids([[4, 4], [4, EOS]], [0, 1]), captions_from_ids([[5, 5], [4, EOS]], [0, 1])
    matched = FeatureMatching(weight=2.0, loss=NonSaturating())(Pairs(), tiny.features(), real=real, fake=fake)
    # Means of (4, 5): people's .75 and 0, samples' .25 and 2 x .5.
    distance = ((0.75 - 0.25) ** 2 + (0 - 1) ** 2) / 2
    assert matched.item() == pytest.approx(torch.tensor(2.0).log().item() + 2 * distance)


class Alone(Pairs):
    """Its only number is how many captions of the same image a caption has beside it."""

    def represent(self, features, words, captions):
        return torch.bincount(captions.images)[captions.images, None].float()


def test_features_are_matched_of_sets_of_one_size():
    """The first image has one caption without `<unk>`: more samples of it would be told by their number alone."""
    real = captions_from_ids([[4, EOS], [4, EOS], [5, EOS]], [0, 1, 1])
    fake = captions_from_ids([[4, EOS], [5, EOS]] * 2, [0, 0, 1, 1])
    matched = FeatureMatching(weight=1.0, loss=NonSaturating())(Alone(), tiny.features(), real=real, fake=fake)
    assert matched.item() == pytest.approx(torch.tensor(2.0).log().item())


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
    with pytest.raises(ValueError, match="0 samples beside 1 real captions"):
        RelativisticGenerator()(Answers(), images, real=real, fake=captions_from_ids([[4]], [0]))


def test_pairs_are_of_as_many_samples_of_an_image_as_it_has_captions():
    """The second image has one caption without `<unk>`; its second sample has no partner."""
    real = captions_from_ids([[4], [4, 4], [4, EOS]], [0, 0, 1])
    fake = captions_from_ids([[5], [4], [4, 4], [5, 5]], [0, 0, 1, 1])
    found = RelativisticGenerator()(Answers(), tiny.features(), real=real, fake=fake)
    alone = captions_from_ids([[5], [4], [4, 4]], [0, 0, 1])
    assert found == RelativisticGenerator()(Answers(), tiny.features(), real=real, fake=alone)


def test_an_image_with_more_captions_than_samples_is_refused_whatever_the_others_have():
    """In all they are as many, and the third caption would meet a sample of another image."""
    real = captions_from_ids([[4], [4, 4], [4, EOS], [4]], [0, 0, 0, 1])
    fake = captions_from_ids([[5], [4], [4, 4], [5, 5]], [0, 0, 1, 1])
    with pytest.raises(ValueError, match="2 samples beside 3 real captions of an image"):
        RelativisticGenerator()(Answers(), tiny.features(), real=real, fake=fake)


class EveryWord(Answers):
    """Answers 1 at each word 4, 0 at others, and 99 on padding."""

    def forward(self, features, captions):
        return (captions.tokens == 4).float().masked_fill(~captions.mask, 99.0)


def test_of_a_dense_discriminator_the_captions_own_tokens_count():
    real, fake = captions_from_ids([[4, 4], [4]], [0, 1]), captions_from_ids([[5, 4], [EOS]], [0, 1])
    found = NonSaturating()(EveryWord(), tiny.features(), real=real, fake=fake)
    truth = torch.nn.functional.softplus(torch.tensor([0.0, -1.0, 0.0])).mean()
    assert found.item() == pytest.approx(truth.item())
    with pytest.raises(ValueError, match="no dense discriminator"):
        RelativisticGenerator()(EveryWord(), tiny.features(), real=real, fake=fake)
