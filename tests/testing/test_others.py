"""`check_discriminator`, `check_reward` and `check_encoder`: what passes, and each way to break a promise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from gan_caption.data.captions import EOS, captions_from_ids
from gan_caption.data.features import ImageFeatures
from gan_caption.discriminators.cnn import CNNDiscriminator
from gan_caption.discriminators.cnn_image_first import ImageFirstCNNDiscriminator
from gan_caption.discriminators.coattention import CoAttentionDiscriminator
from gan_caption.discriminators.dense import DenseDiscriminator
from gan_caption.discriminators.dense_layer_norm import LayerNormDenseDiscriminator
from gan_caption.discriminators.lstm import LSTMDiscriminator
from gan_caption.discriminators.lstm_image_first import ImageFirstLSTMDiscriminator
from gan_caption.discriminators.multi import MultiDiscriminator
from gan_caption.discriminators.set import SetDiscriminator
from gan_caption.discriminators.spectral import spectrally_normalised
from gan_caption.encoders.none import NoImage
from gan_caption.encoders.scene_cnn import SceneCNN
from gan_caption.rewards.base import Parts
from gan_caption.rewards.bleu import BleuReward
from gan_caption.rewards.cider import CiderDReward
from gan_caption.rewards.controls import ConstantReward, RandomReward
from gan_caption.rewards.discriminator import DiscriminatorReward
from gan_caption.rewards.mixture import Mixture
from gan_caption.rewards.transforms import Probability
from gan_caption.testing import check_discriminator, check_encoder, check_reward
from tests import tiny
from tests.rewards.test_rewards import CANDIDATES, IMAGES, REFERENCES, said
from tests.rewards.test_rewards import features as of_rows
from tests.tiny_runs import part

KINDS = [
    LSTMDiscriminator, ImageFirstLSTMDiscriminator, CNNDiscriminator, ImageFirstCNNDiscriminator, DenseDiscriminator,
    LayerNormDenseDiscriminator, MultiDiscriminator, CoAttentionDiscriminator, SetDiscriminator,
]  # fmt: skip


def made(kind, **settings):
    torch.manual_seed(0)
    return tiny.discriminator(kind, vocabulary_size=9, **settings)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("normalised", [False, True])
def test_discriminators(kind, normalised):
    discriminator = made(kind, instance_noise=0.1)
    if normalised:
        discriminator = spectrally_normalised(discriminator=discriminator)
    check_discriminator(discriminator, tiny.features(3), of_sets=kind is SetDiscriminator)
    assert discriminator.training
    assert all(own.grad is None for own in discriminator.parameters())


def test_a_set_is_no_batch_of_pairs():
    with pytest.raises(AssertionError, match="the other rows of a batch must not change an answer"):
        check_discriminator(made(SetDiscriminator), tiny.features(3))


class TooMany(LSTMDiscriminator):
    def score(self, features, words, captions):
        return super().score(features, words, captions)[:, None]


class LooksAtTheGrid(DenseDiscriminator):
    def score(self, features, words, captions):
        return super().score(features, words, captions) + features.grid.mean((1, 2))[captions.images, None]


class LooksWhereThereIsOne(DenseDiscriminator):
    def score(self, features, words, captions):
        answers = super().score(features, words, captions)
        return answers if features.grid is None else answers + features.grid.mean((1, 2))[captions.images, None]


class NeverSure(LSTMDiscriminator):
    def score(self, features, words, captions):
        return super().score(features, words, captions) * float("nan")


class Restless(LSTMDiscriminator):
    def score(self, features, words, captions):
        return torch.nn.functional.dropout(super().score(features, words, captions), 0.5)


class OtherShortcut(LSTMDiscriminator):
    def fast_score(self, features, captions):
        return super().fast_score(features, captions) + 0.1


class ReadsPadding(LSTMDiscriminator):
    def score(self, features, words, captions):
        return super().score(features, words, captions) + words.sum((1, 2))


class FastReadsPadding(LSTMDiscriminator):
    def fast_score(self, features, captions):
        return super().fast_score(features, captions) + 0.1 * (captions.tokens * ~captions.mask).sum(1)


class NormalisesTheBatch(LSTMDiscriminator):
    def score(self, features, words, captions):
        answers = super().score(features, words, captions)
        return answers - answers.mean()

    def fast_score(self, features, captions):
        return self(features, captions)


class DeafToTheImage(LSTMDiscriminator):
    def image_vectors(self, features):
        return super().image_vectors(features).detach()


class WithoutSlope(LSTMDiscriminator):
    def score(self, features, words, captions):
        return super().score(features, words.detach(), captions)


class RootAtZero(LSTMDiscriminator):
    """Adds 0 to each answer, whose slope is infinity times 0."""

    def score(self, features, words, captions):
        return super().score(features, words, captions) + (words - words.clone()).square().sum((1, 2)).sqrt()


class AnswersProbabilities(LSTMDiscriminator):
    def score(self, features, words, captions):
        return super().score(features, words, captions).sigmoid()

    def fast_score(self, features, captions):
        return self(features, captions)


class CountsImages(LSTMDiscriminator):
    """By their place in the batch."""

    def score(self, features, words, captions):
        return super().score(features, words, captions) + captions.images

    def fast_score(self, features, captions):
        return super().fast_score(features, captions) + captions.images


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (TooMany, r"TooMany.score answered \(9, 1\): one logit a caption is \(9,\) here, one a token \(9, 6\)"),
        (AnswersProbabilities, "between 0 and 1, as probabilities are"),
        (LooksAtTheGrid, "uses_grid is False, and an answer without the grid fails"),
        (LooksWhereThereIsOne, "uses_grid is False, and the grid changes an answer"),
        (NeverSure, "NaN or infinite"),
        (Restless, "in eval mode nothing is random"),
        (OtherShortcut, "fast_score must answer what forward answers"),
        (ReadsPadding, "fast_score must answer|padding must not change"),
        (FastReadsPadding, "fast_score: padding must not change an answer"),
        (NormalisesTheBatch, "the other rows of a batch must not change an answer"),
        (CountsImages, "the order of images and captions must not change an answer"),
        (RootAtZero, "have gradients of .* that are NaN or infinite"),
        (DeafToTheImage, "pass no gradient to image.normalise.weight"),
        (WithoutSlope, "pass no gradient to words.weight"),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_a_faulty_discriminator_is_told(kind, message):
    with pytest.raises(AssertionError, match=message):
        check_discriminator(made(kind), tiny.features(3))


TEXTS = [[4, 5, 6, EOS], [5, EOS], [6, 4, 5, 5], [4, EOS], [7, 8, EOS], [8, 8, EOS]]
CAPTIONS = captions_from_ids(TEXTS, [0, 0, 1, 1, 2, 2])


@pytest.mark.parametrize("kind", KINDS)
def test_rewards(kind):
    discriminator = made(kind).eval()
    check_reward(
        DiscriminatorReward(discriminator=discriminator, transform=Probability(), chunk_rows=2),
        tiny.features(3),
        CAPTIONS,
    )


def test_other_rewards():
    check_reward(ConstantReward(value=1.0), tiny.features(3), CAPTIONS)
    for kind in (CiderDReward, BleuReward):
        check_reward(kind(references=REFERENCES), of_rows([1, 0]), said(CANDIDATES, IMAGES))
    parts = {"same": ConstantReward(value=2.0), "cider": CiderDReward(references=REFERENCES)}
    check_reward(Mixture(parts=parts, weights={"same": 0.5, "cider": 2.0}), of_rows([1, 0]), said(CANDIDATES, IMAGES))
    with pytest.raises(AssertionError, match="must be rewarded the same again"):
        check_reward(RandomReward(), tiny.features(3), CAPTIONS)


def lengths(captions):
    return captions.lengths.float()


@pytest.mark.parametrize(
    ("reward", "message"),
    [
        (lambda _, captions: lengths(captions).mean(), r"gave \(\) of torch.float32: .* one a caption, \(6,\)"),
        (lambda _, captions: captions.lengths, "of torch.int64: it gives floating-point numbers"),
        (lambda _, captions: lengths(captions)[:, None], r"gave \(6, 1\)"),
        (lambda _, captions: lengths(captions).tolist(), "gave a list"),
        (lambda _, captions: Parts(lengths(captions), {"place": captions.images}), "part place gave .* torch.int64"),
        (lambda _, captions: lengths(captions) / 0, "NaN or infinite"),
        (lambda _, captions: lengths(captions).requires_grad_(), "carries gradients"),
        (lambda _, captions: lengths(captions) + captions.images, "the order of images and captions"),
        (lambda _, captions: lengths(captions) + captions.tokens.sum(1), r"padding must not change it \(token 4"),
        (lambda _, captions: lengths(captions) * captions.tokens.shape[1], r"padding must not .* \(token 0 on it\)"),
        (lambda _, captions: Parts(lengths(captions), {"place": captions.images.float()}), "part place: the order of"),
        (lambda _, captions: captions.lengths.clamp_(max=3).float(), "changed its argument captions.lengths"),
    ],
)  # fmt: skip
def test_a_faulty_reward_is_told(reward, message):
    captions = replace(CAPTIONS, lengths=CAPTIONS.lengths.clone())
    with pytest.raises(AssertionError, match=message):
        check_reward(reward, tiny.features(3), captions)


def pictures(count=3):
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 256, (60 + 20 * i, 90, 3), dtype=np.uint8)) for i in range(count)]


@pytest.mark.parametrize(
    "make",
    [
        lambda: part("encoder/scene_cnn", width=4),
        NoImage,
        lambda: part("encoder/torchvision", model="squeezenet1_1", weights=None),
        lambda: part("encoder/efficientnet_lite0"),
        lambda: part("encoder/timm", model="test_resnet.r160_in1k", pretrained=False),
    ],
    ids=["scene_cnn", "none", "torchvision", "efficientnet_lite0", "timm"],
)
def test_encoders(make):
    torch.manual_seed(0)
    check_encoder(make(), pictures())


class BatchNormalised(SceneCNN):
    def forward(self, pixels):
        features = super().forward(pixels)
        return replace(features, pooled=features.pooled - features.pooled.mean(0))


class OtherSize(SceneCNN):
    def forward(self, pixels):
        features = super().forward(pixels)
        return replace(features, pooled=features.pooled[:, 1:])


class MoreRegions(SceneCNN):
    def forward(self, pixels):
        features = super().forward(pixels)
        return replace(features, grid=features.grid.repeat(1, 2, 1))


class KeepsSizes(SceneCNN):
    def preprocess(self, image):
        return torch.from_numpy(np.array(image)).permute(2, 0, 1)


class Floats(SceneCNN):
    def preprocess(self, image):
        return super().preprocess(image) / 255


class Frozen(SceneCNN):
    def forward(self, pixels):
        return ImageFeatures.detach(super().forward(pixels))


class Scribbles(SceneCNN):
    def forward(self, pixels):
        features = super().forward(pixels)
        pixels.zero_()
        return features


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (BatchNormalised, "pooled: the other images of a batch"),
        (OtherSize, r"pooled is \(3, \d+\): \(3, \d+\) are declared"),
        (MoreRegions, "are declared as the most"),
        (KeepsSizes, "one size"),
        (Floats, r"torch.float32: \(3, H, W\) uint8 are wanted"),
        (Frozen, "the features have no gradient"),
        (Scribbles, "forward changed its argument pixels"),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_a_faulty_encoder_is_told(kind, message):
    torch.manual_seed(0)
    encoder = kind(width=4, finetune=True)
    with pytest.raises(AssertionError, match=message):
        check_encoder(encoder, pictures())
