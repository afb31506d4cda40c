"""Captions that keep all that they know of themselves."""

from __future__ import annotations

import torch

from gan_caption.data.captions import EOS, SoftCaptions, captions_from_ids
from gan_caption.data.features import narrowed
from tests import tiny


def relaxed() -> SoftCaptions:
    own = captions_from_ids([[4, EOS], [5, 4, EOS], [EOS]], [0, 2, 2])
    torch.manual_seed(0)
    weights = torch.rand(*own.tokens.shape, tiny.VOCABULARY).softmax(2) * own.mask[..., None]
    return SoftCaptions(own.tokens, own.lengths, own.images, weights.requires_grad_())


def test_parts_of_relaxed_captions_keep_their_weights_and_gradients():
    whole = relaxed()
    chosen = whole.select(torch.tensor([2, 0]))
    assert torch.equal(chosen.weights, whole.weights[[2, 0]])
    apart = whole.chunks([1, 2])
    assert [len(part) for part in apart] == [1, 2]
    assert torch.equal(torch.cat([part.weights for part in apart]), whole.weights)
    whole.to(torch.device("cpu")).weights.sum().backward()
    assert whole.weights.grad is not None


def test_captions_of_some_images_have_these_alone():
    features = tiny.features(4)
    seen, own = narrowed(features, relaxed())
    assert torch.equal(seen.pooled, features.pooled[[0, 2]])
    assert own.images.tolist() == [0, 1, 1]
    assert isinstance(own, SoftCaptions)
