from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from gan_caption.data.captions import EOS, Captions, SoftCaptions, captions_from_ids
from gan_caption.data.features import ImageFeatures
from gan_caption.discriminators.base import Discriminator
from gan_caption.discriminators.cnn import CNNDiscriminator
from gan_caption.discriminators.cnn_image_first import ImageFirstCNNDiscriminator
from gan_caption.discriminators.coattention import CoAttentionDiscriminator
from gan_caption.discriminators.dense import DenseDiscriminator
from gan_caption.discriminators.dense_layer_norm import LayerNormDenseDiscriminator
from gan_caption.discriminators.lstm import LSTMDiscriminator
from gan_caption.discriminators.lstm_image_first import ImageFirstLSTMDiscriminator
from gan_caption.discriminators.multi import MultiDiscriminator
from gan_caption.discriminators.set import SetDiscriminator, _closeness
from gan_caption.discriminators.spectral import spectrally_normalised
from gan_caption.discriminators.warm_start import take_from_generator
from gan_caption.errors import UserError
from gan_caption.objectives.discriminator import (
    BinaryCrossEntropy,
    Hinge,
    Ranking,
    Relativistic,
    ShuffledLabels,
    Wasserstein,
    judged_together,
    mismatch,
    spoken,
)
from tests import tiny
from tests.slow import mostly_slow

EVEN = {"generated": 0.5, "mismatched": 0.5, "edited": 0.0}
KINDS = [
    LSTMDiscriminator, ImageFirstLSTMDiscriminator, CNNDiscriminator, ImageFirstCNNDiscriminator,
    CoAttentionDiscriminator, DenseDiscriminator, LayerNormDenseDiscriminator, MultiDiscriminator,
]  # fmt: skip
DENSE = [DenseDiscriminator, LayerNormDenseDiscriminator]


def make(kind, **settings):
    torch.manual_seed(0)
    return tiny.discriminator(kind, **settings)


@pytest.mark.parametrize("kind", KINDS)
class TestEveryDiscriminator:
    def test_padding_and_batch_never_change_an_answer(self, kind):
        discriminator, images = make(kind).eval(), tiny.features(3)
        texts = tiny.all_captions()
        together = discriminator(images, tiny.captions_of(1))
        for row, text in enumerate(texts):
            tokens = torch.tensor([[*text, 0, 0, 0, 0]])
            padded = Captions(tokens, torch.tensor([len(text)]), torch.tensor([1]))
            length = () if together.dim() == 1 else slice(len(text))
            torch.testing.assert_close(discriminator(images, padded)[0][length], together[row][length])
            one = Captions(torch.tensor([text]), torch.tensor([len(text)]), torch.tensor([0]))
            alone = discriminator(images.select(torch.tensor([1])), one)[0]
            torch.testing.assert_close(alone[length], together[row][length])

    def test_it_assesses_as_it_judges(self, kind):
        """Also captions that share a beginning, that are equal, that belong to several images, and that are cut."""
        discriminator, images = spectrally_normalised(discriminator=make(kind)).eval(), tiny.features(3)
        texts = [*tiny.all_captions(), *tiny.all_captions()[::-1], [4, 5, 4, 5, 4, 5, 4, 5, EOS], [5, 4, 4, 4, 4, 4]]
        captions = captions_from_ids(texts, sorted(row % 3 for row in range(len(texts))))
        with torch.no_grad():
            judged, assessed = discriminator(images, captions), discriminator.fast_score(images, captions)
        torch.testing.assert_close(spoken(assessed, captions), spoken(judged, captions))

    def test_what_stands_on_padding_is_not_read(self, kind):
        discriminator, images = make(kind).eval(), tiny.features(1)
        clean = Captions(torch.tensor([[4, EOS, 0, 0]]), torch.tensor([2]), torch.tensor([0]))
        dirty = Captions(torch.tensor([[4, EOS, 5, 4]]), torch.tensor([2]), torch.tensor([0]))
        answers = [spoken(discriminator(images, captions), captions) for captions in (clean, dirty)]
        torch.testing.assert_close(*answers)

    def test_it_gives_one_answer_a_caption_or_a_token(self, kind):
        captions = captions_from_ids([[4, 5, EOS]] * 8, list(range(8)))
        answers = make(kind).eval()(tiny.features(8, seed=3), captions)
        assert answers.shape == ((8, 3) if kind in DENSE else (8,))

    @pytest.mark.slow
    def test_it_learns_to_look_at_the_image(self, kind):
        """Same captions, two images, opposite answers: only the image can tell.

        Cross-entropy has no other minimum than certainty, and certainty is far out on both sides of 0 where answers are
        logits: no probability lies below 0, and no tanh beyond 1.
        """
        discriminator = make(kind, dropout=0.0).train()
        images = tiny.features(2)
        captions = captions_from_ids([[4, EOS], [5, EOS], [4, EOS], [5, EOS]], [0, 0, 1, 1])
        wanted = torch.tensor([1.0, 0.0, 0.0, 1.0])
        if kind in DENSE:
            wanted = wanted[:, None].expand(4, 2)
        optimizer = torch.optim.Adam(discriminator.parameters(), lr=0.01)
        for _ in range(200):
            loss = torch.nn.functional.binary_cross_entropy_with_logits(discriminator(images, captions), wanted)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            answers = discriminator(images, captions)
            if answers[wanted == 1].min() > 2 and answers[wanted == 0].max() < -2:
                return
        raise AssertionError(f"it has not learned to look: {answers}")

    def test_noise_on_the_words_while_it_learns_and_never_while_it_rewards(self, kind):
        discriminator, images = make(kind, dropout=0.0, instance_noise=0.5), tiny.features(1)
        captions = tiny.captions_of(0)
        noisy = [discriminator.train()(images, captions) for _ in range(2)]
        assert not torch.allclose(*noisy)
        quiet = [discriminator.eval()(images, captions) for _ in range(2)]
        assert torch.equal(*quiet)
        torch.manual_seed(0)
        spread = (discriminator.train().embed(captions) - discriminator.words(captions.tokens)).std()
        assert abs(spread.item() - 0.5) < 0.05


def test_coattention_does_not_read_regions_that_are_not_there():
    discriminator, images = make(CoAttentionDiscriminator).eval(), tiny.features()
    captions = captions_from_ids([[4, EOS], [5, 5, EOS]], [0, 1])
    some = replace(images, regions=torch.tensor([4, 2]))
    changed = images.grid.clone()
    changed[1, 2:] = 77.0
    answers = discriminator(some, captions)
    torch.testing.assert_close(discriminator(replace(some, grid=changed), captions), answers)
    assert not torch.allclose(discriminator(images, captions)[1], answers[1])


class Largest(TorchDispatchMode):
    """Counts the elements of the largest tensor that is made."""

    numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        self.numel = max(self.numel, made.numel() if isinstance(made, torch.Tensor) else 0)
        return made


class TestSet:
    def test_padding_order_and_other_images_never_change_an_answer(self):
        discriminator, images = make(SetDiscriminator).eval(), tiny.features(3)
        texts = [[4, 5, EOS], [5, EOS], [4, 4, 5], [5, 5, EOS], [EOS]]
        together = discriminator(images, captions_from_ids(texts, [0, 0, 1, 1, 1]))
        assert torch.equal(together[:2], together[:1].expand(2))
        alone = discriminator(images.select(torch.tensor([1])), captions_from_ids(texts[:1:-1], [0, 0, 0]))
        torch.testing.assert_close(alone, together[2:])
        dirty = Captions(torch.tensor([[4, 5, EOS, 5], [5, EOS, 4, 4]]), torch.tensor([3, 2]), torch.tensor([0, 0]))
        torch.testing.assert_close(discriminator(images, dirty), together[:2])

    def test_distances_are_those_within_an_image_and_no_others_are_computed(self):
        torch.manual_seed(0)
        images = torch.tensor([0, 0, 0, 2, 2, 3, *range(5, 40)])
        projected = torch.randn(len(images), 3, 2)
        with Largest() as largest:
            found = _closeness(projected, images)
        assert largest.numel < len(images) ** 2 * projected.shape[1]  # a number for each pair of captions and kernel
        for row, image in enumerate(images.tolist()):
            others = [other for other in (images == image).nonzero()[:, 0].tolist() if other != row]
            near = [torch.exp(-(projected[row] - projected[other]).abs().sum(1)) for other in others]
            torch.testing.assert_close(found[row], torch.stack(near).mean(0) if near else torch.zeros(3))

    def test_it_learns_that_five_times_the_same_is_no_persons_work(self):
        discriminator = make(SetDiscriminator, dropout=0.0, hidden=16).train()
        varied, same = ([[4, EOS], [5, EOS], [4, 5, EOS]], [[4, EOS]] * 3), ([[5, EOS]] * 3, [[4, EOS]] * 3)
        images = tiny.features()
        optimizer = torch.optim.Adam(discriminator.parameters(), lr=0.01)
        sets = [captions_from_ids([*a, *b], [0] * 3 + [1] * 3) for a, b in (varied, same)]
        wanted = [torch.tensor([1.0] * 3 + [0.0] * 3), torch.zeros(6)]
        for _ in range(150):
            losses = [
                torch.nn.functional.binary_cross_entropy_with_logits(discriminator(images, captions), target)
                for captions, target in zip(sets, wanted, strict=True)
            ]
            optimizer.zero_grad()
            sum(losses).backward()
            optimizer.step()
        for captions, target in zip(sets, wanted, strict=True):
            assert ((discriminator(images, captions) > 0) == target.bool()).all()


@pytest.mark.parametrize("kind", [*KINDS, SetDiscriminator])
def test_several_kinds_are_judged_together_as_each_by_itself(kind):
    discriminator, images = make(kind).eval(), tiny.features(2)
    kinds = [
        captions_from_ids(texts, [0, 0, 1])
        for texts in ([[4, EOS], [5, EOS], [5, 4]], [[4, 5, 5, EOS], [4, EOS], [5, EOS]], [[4], [5], [4]])
    ]
    weights = torch.nn.functional.one_hot(kinds[0].tokens, tiny.VOCABULARY).float()
    soft = SoftCaptions(kinds[0].tokens, kinds[0].lengths, kinds[0].images, weights)
    together = judged_together(discriminator, images, [*kinds, soft])
    for captions, logits in zip([*kinds, kinds[0]], together, strict=True):
        torch.testing.assert_close(spoken(logits, captions), spoken(discriminator(images, captions), captions))


@pytest.mark.parametrize("kind", DENSE)
def test_dense_answers_depend_on_the_past_alone(kind):
    discriminator, images = make(kind).eval(), tiny.features(1)
    first, second = (discriminator(images, captions_from_ids([text], [0])) for text in ([4, 5, EOS], [4, 5, 5]))
    torch.testing.assert_close(first[:, :2], second[:, :2])
    assert not torch.allclose(first[:, 2], second[:, 2])


class Fixed(torch.nn.Module):
    """Answers 2 for captions that begin with the word of their image (4 for image 0, 5 for image 1), else -1."""

    def forward(self, features: ImageFeatures, captions: Captions) -> torch.Tensor:
        first = (features.pooled == tiny.features().pooled[0]).all(1)
        return torch.where(captions.tokens[:, 0] == torch.where(first, 4, 5)[captions.images], 2.0, -1.0)


def test_binary_cross_entropy_by_hand():
    real = captions_from_ids([[4, EOS], [5, EOS]], [0, 1])
    generated = captions_from_ids([[4, 5], [4, 4]], [0, 1])  # the first fools D
    judged = BinaryCrossEntropy(
        real=1.0, generated=0.5, mismatched=0.25, edited=0.0, label_smoothing=0.0, output_l2=0.0
    )(Fixed(), tiny.features(), real=real, generated=generated, rng=torch.Generator())

    def softplus(x):
        return math.log1p(math.exp(x))

    expected = 0.75 * softplus(-2) + 0.5 * (softplus(2) + softplus(-1)) / 2 + 0.25 * softplus(-1)
    assert judged.loss.item() == pytest.approx(expected, rel=1e-6)
    assert judged.accuracy == {"real": 1.0, "generated": 0.5, "mismatched": 1.0}


def test_three_kinds_of_pairs_weigh_alike():
    """-log D(real) - log(1 - D(generated)) - log(1 - D(mismatched)), as Dai et al. 2017 have it in their code."""
    real = captions_from_ids([[4, EOS], [5, EOS]], [0, 1])
    generated = captions_from_ids([[4, 5], [4, 4]], [0, 1])
    loss = BinaryCrossEntropy(real=0.5, generated=1.0, mismatched=1.0, edited=0.0, label_smoothing=0.0, output_l2=0.0)
    judged = loss(Fixed(), tiny.features(), real=real, generated=generated, rng=torch.Generator())
    expected = math.log1p(math.exp(-2)) + (math.log1p(math.exp(2)) + math.log1p(math.exp(-1))) / 2
    assert judged.loss.item() == pytest.approx(expected + math.log1p(math.exp(-1)), rel=1e-6)
    with pytest.raises(ValueError, match="real=0: above 0"):
        BinaryCrossEntropy(real=0, generated=1.0, mismatched=1.0, edited=0.0, label_smoothing=0.0, output_l2=0.0)


def test_an_l2_term_is_that_of_a_two_way_softmax_at_its_best():
    """SeqGAN's code penalises both columns of a two-way softmax by .2; the logit is their difference."""
    real = captions_from_ids([[4, EOS], [5, EOS]], [0, 1])
    discriminator = make(CNNDiscriminator, dropout=0.0)
    plain = BinaryCrossEntropy(real=1.0, generated=1.0, mismatched=0.0, edited=0.0, label_smoothing=0.0, output_l2=0.0)
    terms = [
        loss(discriminator, tiny.features(), real=real, generated=real, rng=torch.Generator()).loss.item()
        for loss in (plain, replace(plain, output_l2=0.1))
    ]
    difference = torch.cat([weight.flatten() for weight in discriminator.output_weights()]).double()
    columns = torch.stack([difference / 2, -difference / 2]).requires_grad_()
    assert terms[1] - terms[0] == pytest.approx(0.2 * columns.square().sum().item() / 2, rel=1e-3)
    moved = torch.autograd.grad(columns.square().sum(), columns)[0].sum(0)
    assert moved.abs().max() < 1e-9  # no other two columns with this difference have a smaller penalty
    with pytest.raises(UserError, match="LSTMDiscriminator has no output_weights"):
        replace(plain, output_l2=0.1).check(make(LSTMDiscriminator))
    replace(plain, output_l2=0.1).check(discriminator)
    plain.check(make(LSTMDiscriminator))


def test_shuffled_labels_teach_nothing():
    """In the mean over the labels' draws both kinds are pushed alike: to the logit 0, where they are equally many."""
    logits = torch.tensor([2.0, 1.0, -0.5, 0.3, -1.0, 0.7], requires_grad=True)
    loss = ShuffledLabels(real=1.0, generated=1.0, mismatched=0.0, edited=0.0, label_smoothing=0.0, output_l2=0.0)
    torch.manual_seed(0)
    draws = [torch.autograd.grad(loss.compare(logits[:3], logits[3:]), logits)[0] for _ in range(4000)]
    # Each logit is called real or generated with probability 1/2: (sigmoid - 1 + sigmoid) / 2, a third each of a kind.
    expected = (torch.sigmoid(logits) - 0.5).detach() / 3
    assert (torch.stack(draws).mean(0) - expected).abs().max() < 4 * (1 / 6) / 4000**0.5


def test_each_width_may_have_a_number_of_filters_of_its_own():
    discriminator = make(CNNDiscriminator, widths=[1, 3], filters=[2, 5])
    shapes = [convolution.weight.shape for convolution in discriminator.critic.convolutions]
    assert [tuple(shape[::2]) for shape in shapes] == [(2, 1), (5, 3)]
    assert discriminator.critic.fluency.in_features == 7
    for filters in ([2], [2, 0], 0):
        with pytest.raises(ValueError, match="filters="):
            make(CNNDiscriminator, widths=[1, 3], filters=filters)


SAMPLES_ALONE = {"generated": 1.0, "mismatched": 0.0, "edited": 0.0}


@pytest.mark.parametrize(
    "loss",
    [
        BinaryCrossEntropy(**SAMPLES_ALONE, real=1.0, label_smoothing=0.0, output_l2=0.0),
        Hinge(**SAMPLES_ALONE),
        Relativistic(**SAMPLES_ALONE),
        Ranking(**SAMPLES_ALONE),
        Wasserstein(**SAMPLES_ALONE, gradient_penalty=0.0),
    ],
)
def test_without_mismatched_pairs_every_loss_compares_real_pairs_with_samples_alone(loss):
    real = captions_from_ids([[4, EOS], [5, EOS]], [0, 1])
    generated = captions_from_ids([[4, 5], [4, 4]], [0, 1])
    judged = loss(Fixed(), tiny.features(), real=real, generated=generated, rng=torch.Generator())
    alone = loss.compare(torch.tensor([2.0, 2.0]), torch.tensor([2.0, -1.0]))
    torch.testing.assert_close(judged.loss, alone)
    assert judged.accuracy.keys() == {"real", "generated"}


REAL, FAKE = torch.tensor([2.0, -0.5]), torch.tensor([1.0, -3.0])


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (BinaryCrossEntropy(**EVEN, real=1.0, label_smoothing=0.1, output_l2=0.0), None),
        (Hinge(**EVEN), (0 + 1.5) / 2 + (2 + 0) / 2),
        (Relativistic(**EVEN), (math.log1p(math.exp(-1)) + math.log1p(math.exp(-2.5))) / 2),
        (Wasserstein(**EVEN, gradient_penalty=10.0), -1.0 - 0.75),
        (
            Ranking(**EVEN),
            (
                sum(math.log1p((math.e + math.exp(-3)) / math.exp(x)) for x in (2.0, -0.5))  # -log rank of real pairs
                - sum(math.log1p((math.exp(2) + math.exp(-0.5)) / math.exp(x)) for x in (1.0, -3.0))  # + log of others'
            )
            / 2,
        ),
    ],
)
def test_losses_by_hand(loss, expected):
    if expected is None:  # one-sided smoothing: .9 log D + .1 log(1 - D) on real pairs only
        log_d = [-math.log1p(math.exp(-x)) for x in (2.0, -0.5)]
        log_not = [-math.log1p(math.exp(x)) for x in (2.0, -0.5)]
        real = -sum(0.9 * d + 0.1 * n for d, n in zip(log_d, log_not, strict=True)) / 2
        expected = real + (math.log1p(math.exp(1)) + math.log1p(math.exp(-3))) / 2
    assert loss.compare(REAL, FAKE).item() == pytest.approx(expected, rel=1e-6)


def test_a_relativistic_loss_cares_for_differences_alone():
    torch.testing.assert_close(
        Relativistic(**EVEN).compare(REAL + 7, FAKE + 7),
        Relativistic(**EVEN).compare(REAL, FAKE),
    )
    assert Relativistic(**EVEN).accuracy(REAL, FAKE) == (1.0, 1.0)
    with pytest.raises(ValueError, match="2 real logits beside 3 others"):
        Relativistic(**EVEN).compare(REAL, torch.zeros(3))


def test_the_ranker_lowers_what_was_generated_among_what_people_said():
    """Both terms by the shares themselves: people's 1/2 and 1/4 beside two samples, samples' 3/11 beside people."""
    real, fake = torch.tensor([2.0, 2 / 3]).log(), torch.tensor([1.0, 1.0]).log()
    shares_of_real, shares_of_fake = [2 / (2 + 2), (2 / 3) / (2 / 3 + 2)], [1 / (1 + 8 / 3)] * 2
    expected = sum(map(math.log, shares_of_fake)) / 2 - sum(map(math.log, shares_of_real)) / 2
    assert Ranking(**EVEN).compare(real, fake).item() == pytest.approx(expected, rel=1e-6)
    fake = fake.clone().requires_grad_()
    Ranking(**EVEN).compare(real, fake).backward()
    # Half of what is left of each real pair's share, for one sample in two; and 1 less its own share, for one in two.
    beside = sum(1 - share for share in shares_of_real) / 2 / 2
    assert fake.grad.tolist() == pytest.approx([beside + (1 - shares_of_fake[0]) / 2] * 2)


class Linear(Discriminator):
    """The sum over the words' vectors of a fixed product: its slope is known."""

    def __init__(self, slope: float) -> None:
        super().__init__(vocabulary_size=6, embedding=4)
        self.slope = slope

    def score(self, features, words, captions):
        return (words * captions.mask[..., None]).sum((1, 2)) * self.slope


def test_the_gradient_penalty_by_hand():
    """A slope s on every one of the n x 4 numbers of a caption of n words has the norm s x sqrt(4 n)."""
    real = captions_from_ids([[4, 5, EOS], [4, EOS]], [0, 1])
    generated = captions_from_ids([[5, EOS], [5, EOS]], [0, 1])
    found = Wasserstein(**EVEN, gradient_penalty=10.0).penalty(
        Linear(0.5), tiny.features(), real=real, generated=generated
    )
    norms = [0.5 * 12**0.5, 0.5 * 8**0.5]
    assert found.item() == pytest.approx(10 * sum((norm - 1) ** 2 for norm in norms) / 2, rel=1e-5)


class Quadratic(Linear):
    """Half of the sum of squares: its slope is the words' vectors themselves."""

    def score(self, features, words, captions):
        return (words.square() * captions.mask[..., None]).sum((1, 2)) / 2


def test_the_gradient_penalty_is_at_mixtures_of_real_and_generated_captions():
    real, generated = (captions_from_ids(texts, [0, 1]) for texts in ([[4, 5], [4, EOS]], [[5, 4], [5, 5]]))
    critic = Quadratic(1.0).eval()
    torch.manual_seed(7)
    found = Wasserstein(**EVEN, gradient_penalty=10.0).penalty(critic, tiny.features(), real=real, generated=generated)
    torch.manual_seed(7)
    share = torch.rand(2, 1, 1)
    mixed = (1 - share) * critic.words(real.tokens) + share * critic.words(generated.tokens)
    truth = 10 * (mixed.flatten(1).norm(dim=1) - 1).square().mean()
    assert found.item() == pytest.approx(truth.item(), rel=1e-5)


@pytest.mark.parametrize("kind", mostly_slow(KINDS, fast=[CNNDiscriminator]))
def test_the_gradient_penalty_teaches_every_discriminator(kind):
    discriminator = make(kind, dropout=0.0).train()
    real, generated = (captions_from_ids(texts, [0, 1]) for texts in ([[4, 5, EOS], [4, EOS]], [[5, EOS], [5, EOS]]))
    optimizer = torch.optim.Adam(discriminator.parameters(), lr=0.01)
    losses = []
    for _ in range(150):
        torch.manual_seed(0)
        loss = Wasserstein(**EVEN, gradient_penalty=10.0).penalty(
            discriminator, tiny.features(), real=real, generated=generated
        )
        losses.append(loss.item())
        if losses[-1] < 0.1 * losses[0]:
            return
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    raise AssertionError(f"it learns nothing: {losses}")


def test_a_dense_critic_is_judged_word_by_word():
    discriminator = make(DenseDiscriminator, dropout=0.0).train()
    real, generated = (captions_from_ids(texts, [0, 1]) for texts in ([[4, 5, EOS], [4, EOS]], [[5, EOS], [5, EOS]]))
    judged = BinaryCrossEntropy(
        real=1.0, generated=1.0, mismatched=0.0, edited=0.0, label_smoothing=0.0, output_l2=0.0
    )(discriminator, tiny.features(), real=real, generated=generated, rng=torch.Generator())
    words = torch.nn.functional.softplus
    answers = [discriminator(tiny.features(), captions)[captions.mask] for captions in (real, generated)]
    torch.testing.assert_close(judged.loss, words(-answers[0]).mean() + words(answers[1]).mean())
    assert len(answers[0]) == 5
    assert set(judged.accuracy) == {"real", "generated"}


class Knowing(torch.nn.Module):
    """Answers 2 for a caption that a person wrote, else -1; or, where it is dense, so of each word that it knows."""

    def __init__(self, real: Captions, *, dense: bool) -> None:
        super().__init__()
        self.real, self.dense = real, dense

    def forward(self, features: ImageFeatures, captions: Captions) -> torch.Tensor:
        known = captions.tokens == self.real.tokens.repeat(len(captions) // len(self.real), 1)
        return torch.where(known if self.dense else known.all(1), 2.0, -1.0)


@pytest.mark.parametrize("dense", [False, True])
def test_captions_with_one_word_replaced_by_hand(dense):
    """A caption is no longer the person's, and of its words only one: a dense critic is asked about that one alone."""
    real = captions_from_ids([[4, 5, EOS], [5, 5, EOS], [4, 4, EOS]], [0, 1, 1])
    loss = BinaryCrossEntropy(real=1.0, generated=0.0, mismatched=0.0, edited=0.25, label_smoothing=0.0, output_l2=0.0)
    torch.manual_seed(0)
    judged = loss(Knowing(real, dense=dense), tiny.features(), real=real, generated=None, rng=torch.Generator())
    expected = 0.25 * (math.log1p(math.exp(-2)) + math.log1p(math.exp(-1)))
    assert judged.loss.item() == pytest.approx(expected, rel=1e-6)
    assert judged.accuracy == {"real": 1.0, "edited": 1.0}


def test_which_words_are_replaced_follows_from_the_runs_random_numbers():
    """Which all processes draw alike."""
    real = captions_from_ids([[4, 5, 4, EOS], [5, 5, EOS]] * 4, list(range(8)))
    discriminator = make(CNNDiscriminator, dropout=0.0)
    loss = Hinge(generated=0.0, mismatched=0.0, edited=1.0)

    def judged(rng: torch.Generator) -> float:
        return loss(discriminator, tiny.features(8), real=real, generated=None, rng=rng).loss.item()

    rng, other = (torch.Generator().manual_seed(3) for _ in range(2))
    first, second = judged(rng), judged(rng)
    assert judged(other) == first != second


def test_where_there_is_nothing_to_compare_with_nothing_is_learned():
    """One image has no other's captions, and one word none that could replace it."""
    real = captions_from_ids([[4, 4, EOS]], [0])
    loss = BinaryCrossEntropy(real=1.0, generated=0.0, mismatched=0.5, edited=0.5, label_smoothing=0.0, output_l2=0.0)
    judged = loss(make(CNNDiscriminator), tiny.features(1), real=real, generated=None, rng=torch.Generator())
    assert (judged.loss.item(), judged.accuracy) == (0.0, {})


def test_a_gradient_penalty_without_samples_is_refused():
    with pytest.raises(ValueError, match=r"gradient_penalty=10\.0, generated=0\.0: .* give generated above 0"):
        Wasserstein(generated=0.0, mismatched=1.0, edited=0.0, gradient_penalty=10.0)


def test_mismatched_pairs_never_keep_their_image():
    captions = captions_from_ids([[4], [5], [4, 4], [5, 5]], [0, 0, 1, 2])
    moved = mismatch(captions, images=3)
    assert moved.images.tolist() == sorted(moved.images.tolist())
    own = {
        tuple(row[:n].tolist()): int(i)
        for row, n, i in zip(captions.tokens, captions.lengths, captions.images, strict=True)
    }
    for row, length, image in zip(moved.tokens, moved.lengths, moved.images, strict=True):
        assert int(image) == (own[tuple(row[:length].tolist())] + 1) % 3


def test_weights_that_make_no_sense():
    with pytest.raises(ValueError, match="not all 0"):
        BinaryCrossEntropy(real=1.0, generated=0, mismatched=0, edited=0.0, label_smoothing=0.0, output_l2=0.0)


@pytest.mark.parametrize("kind", [CNNDiscriminator, MultiDiscriminator])
def test_of_convolutions_not_even_nan_past_a_captions_end_matters(kind):
    discriminator, images = make(kind).eval(), tiny.features()
    captions = captions_from_ids([[4, 5, EOS], [5]], [0, 1])
    words = discriminator.embed(captions).detach()
    found = discriminator.score(images, words.masked_fill(~captions.mask[..., None], torch.nan), captions)
    torch.testing.assert_close(found, discriminator(images, captions))


def test_spectral_normalisation_bounds_every_layer():
    discriminator = spectrally_normalised(discriminator=make(CNNDiscriminator)).train()
    for _ in range(50):  # power iterations
        discriminator(tiny.features(2), tiny.captions_of(1))
    layers = [m for m in discriminator.modules() if isinstance(m, torch.nn.Linear | torch.nn.Conv1d)]
    assert len(layers) >= 4
    for layer in layers:
        largest = torch.linalg.matrix_norm(layer.weight.flatten(1), ord=2)
        assert largest.item() == pytest.approx(1, abs=0.02)


def test_a_discriminator_begins_with_the_generators_weights():
    generator = tiny.generators()[0]
    discriminator = tiny.discriminator(LSTMDiscriminator, embedding=4, hidden=4)
    take_from_generator(discriminator, generator)
    assert torch.equal(discriminator.words.weight, generator.words.weight)
    assert torch.equal(discriminator.lstm.weight_hh_l0, generator.lstm.weight_hh_l0)
    with pytest.raises(ValueError, match="LSTMDiscriminator and LSTMGenerator have no weight in common"):
        take_from_generator(tiny.discriminator(LSTMDiscriminator, embedding=3, hidden=3), generator)
