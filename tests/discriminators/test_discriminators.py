from __future__ import annotations

import math

import pytest
import torch

from gan_caption.data.captions import EOS, Captions, captions_from_ids
from gan_caption.data.features import ImageFeatures
from gan_caption.discriminators.cnn import CNNDiscriminator
from gan_caption.discriminators.lstm import LSTMDiscriminator
from gan_caption.objectives.discriminator import BinaryCrossEntropy, mismatch
from tests import tiny

KINDS = [LSTMDiscriminator, CNNDiscriminator]


def make(kind, **settings):
    torch.manual_seed(0)
    return kind(vocabulary_size=6, pooled_size=5, embedding=8, **settings)


@pytest.mark.parametrize("kind", KINDS)
class TestEveryDiscriminator:
    def test_padding_and_batch_never_change_an_answer(self, kind):
        discriminator, images = make(kind).eval(), tiny.features(3)
        texts = tiny.all_captions()
        together = discriminator(images, tiny.captions_of(1))
        for row, text in enumerate(texts):
            tokens = torch.tensor([[*text, 0, 0, 0, 0]])
            padded = Captions(tokens, torch.tensor([len(text)]), torch.tensor([1]))
            torch.testing.assert_close(discriminator(images, padded)[0], together[row])
            one = Captions(torch.tensor([text]), torch.tensor([len(text)]), torch.tensor([0]))
            alone = discriminator(images.select(torch.tensor([1])), one)[0]
            torch.testing.assert_close(alone, together[row])

    def test_what_stands_on_padding_is_not_read(self, kind):
        discriminator, images = make(kind).eval(), tiny.features(1)
        clean = Captions(torch.tensor([[4, EOS, 0, 0]]), torch.tensor([2]), torch.tensor([0]))
        dirty = Captions(torch.tensor([[4, EOS, 5, 4]]), torch.tensor([2]), torch.tensor([0]))
        torch.testing.assert_close(discriminator(images, clean), discriminator(images, dirty))

    def test_it_answers_logits_that_can_be_of_both_signs(self, kind):
        answers = make(kind).eval()(tiny.features(8, seed=3), Captions(
            torch.tensor([[4, 5, EOS]]).repeat(8, 1), torch.full((8,), 3), torch.arange(8)))  # fmt: skip
        assert answers.shape == (8,)
        assert answers.min() < 0 or answers.max() > 1

    def test_it_learns_to_look_at_the_image(self, kind):
        """Same captions, two images, opposite answers: only the image can tell."""
        discriminator = make(kind, dropout=0.0).train()
        images = tiny.features(2)
        captions = captions_from_ids([[4, EOS], [5, EOS], [4, EOS], [5, EOS]], [0, 0, 1, 1])
        wanted = torch.tensor([1.0, 0.0, 0.0, 1.0])
        optimizer = torch.optim.Adam(discriminator.parameters(), lr=0.01)
        for _ in range(200):
            loss = torch.nn.functional.binary_cross_entropy_with_logits(discriminator(images, captions), wanted)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        assert ((discriminator(images, captions) > 0) == wanted.bool()).all()


class Fixed(torch.nn.Module):
    """Answers 2 for captions that begin with the word of their image (4 for image 0, 5 for image 1), else -1."""

    def forward(self, features: ImageFeatures, captions: Captions) -> torch.Tensor:
        return torch.where(captions.tokens[:, 0] == 4 + captions.images, 2.0, -1.0)


def test_binary_cross_entropy_by_hand():
    real = captions_from_ids([[4, EOS], [5, EOS]], [0, 1])
    generated = captions_from_ids([[4, 5], [4, 4]], [0, 1])  # the first fools D
    judged = BinaryCrossEntropy(generated=0.5, mismatched=0.25)(
        Fixed(), tiny.features(), real=real, generated=generated
    )

    def softplus(x):
        return math.log1p(math.exp(x))

    expected = softplus(-2) + 0.5 * (softplus(2) + softplus(-1)) / 2 + 0.25 * softplus(-1)
    assert judged.loss.item() == pytest.approx(expected, rel=1e-6)
    assert judged.accuracy == {"real": 1.0, "generated": 0.5, "mismatched": 1.0}


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
    with pytest.raises(ValueError, match="not both 0"):
        BinaryCrossEntropy(generated=0, mismatched=0)
