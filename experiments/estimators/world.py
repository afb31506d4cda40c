"""A world small enough to be enumerated: `<eos>` and two words, captions of at most three tokens, two images."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor

from gan_caption.data.captions import EOS, Captions, captions_from_ids
from gan_caption.data.features import ImageFeatures
from gan_caption.generators.attention_lstm import AttentionLSTMGenerator
from gan_caption.generators.base import Generator
from gan_caption.generators.lstm import LSTMGenerator
from gan_caption.generators.transformer import TransformerGenerator
from gan_caption.generators.updown import UpDownGenerator

VOCABULARY = 6  # four special tokens and the words 4 and 5
LENGTH = 3
_SMALL: dict[str, Any] = {
    "vocabulary_size": VOCABULARY, "pooled_size": 5, "hidden": 4, "embedding": 4, "dropout": 0.0, "noise_size": 0,
    "noise_law": "normal", "generate_unknown": False,
}  # fmt: skip


def features(images: int = 2, *, seed: int = 0) -> ImageFeatures:
    rng = torch.Generator().manual_seed(seed)
    return ImageFeatures(torch.randn(images, 5, generator=rng), torch.randn(images, 4, 7, generator=rng))


def lstm(kind: type[LSTMGenerator] = LSTMGenerator, **changes: Any) -> LSTMGenerator:
    """A small one, or one of a kind that derives from it; `changes` are its own arguments."""
    return kind(**(_SMALL | {"image_as": "first_input"} | changes))


def attention_lstm(**changes: Any) -> AttentionLSTMGenerator:
    """A small one; `changes` are its own arguments."""
    return AttentionLSTMGenerator(**(_SMALL | {"grid_size": 7, "heads": 2} | changes))


def updown(**changes: Any) -> UpDownGenerator:
    """A small one; `changes` are its own arguments."""
    return UpDownGenerator(**(_SMALL | {"grid_size": 7, "attention": 5} | changes))


def transformer(**changes: Any) -> TransformerGenerator:
    """A small one; `changes` are its own arguments."""
    small = {name: value for name, value in _SMALL.items() if name != "embedding"}
    own: dict[str, Any] = {"grid_size": 7, "encoder_layers": 1, "layers": 2, "heads": 2, "norm": "before"}
    return TransformerGenerator(**(small | own | changes))


def generators(*, dropout: float = 0.0, seed: int = 0) -> list[Generator]:
    """Every kind, with weights large enough that probabilities differ."""
    torch.manual_seed(seed)
    made: list[Generator] = [
        lstm(dropout=dropout),
        lstm(dropout=dropout, image_as="initial_state"),
        attention_lstm(dropout=dropout),
        updown(dropout=dropout),
        transformer(dropout=dropout),
        transformer(dropout=dropout, norm="after", encoder_layers=0),
    ]
    for generator in made:
        if not isinstance(generator, TransformerGenerator):  # which normalises: its own weights are large enough
            for parameter in generator.parameters():
                parameter.data *= 2
        generator.eval()
    return made


def all_captions(length: int = LENGTH) -> list[list[int]]:
    """Every caption of at most `length` tokens: it ends with `<eos>`, or is cut there."""
    words = range(EOS + 1, VOCABULARY)
    ended = [[*body, EOS] for size in range(length) for body in itertools.product(words, repeat=size)]
    return ended + [list(body) for body in itertools.product(words, repeat=length)]


def captions_of(image: int, texts: list[list[int]] | None = None) -> Captions:
    texts = all_captions() if texts is None else texts
    return captions_from_ids(texts, [image] * len(texts))


def stepwise_log_probs(generator: Generator, images: ImageFeatures, text: list[int], image: int) -> Tensor:
    """log p of each token, one step of one row at a time: the slow truth."""
    state = generator.start(images.select(torch.tensor([image])), len(text))
    previous, log_probs = 1, []
    for token in text:
        logits, state = generator.step(torch.tensor([previous]), state)
        log_probs.append(torch.log_softmax(logits[0], 0)[token - generator.first_word])
        previous = token
    return torch.stack(log_probs)


def reward_of(captions: Captions) -> Tensor:
    """A fixed, arbitrary reward of each (image, caption); every second image is the same again."""
    weights = torch.tensor([0.0, 0.0, 0.0, 0.3, 1.1, -0.7])
    places = torch.tensor([1.0, -1.7, 2.3])[: captions.tokens.shape[1]]
    worth = (weights[captions.tokens] * places * captions.mask).sum(1)
    return worth + 0.5 * captions.lengths + captions.images % 2 * (captions.tokens[:, 0] == 4)


def token_rewards_of(captions: Captions) -> Tensor:
    """A reward of each token (N, T), with rubbish on the padding."""
    places = torch.tensor([1.0, -1.7, 2.3])[: captions.tokens.shape[1]]
    weights = torch.tensor([9.0, 0.0, 0.0, 0.3, 1.1, -0.7])
    return weights[captions.tokens] * places + captions.images[:, None] % 2 * (captions.tokens == 4)


class CaptionReward:
    """`reward_of` as a reward."""

    def __call__(self, features: ImageFeatures, captions: Captions) -> Tensor:
        return reward_of(captions)


class TokenReward:
    """`token_rewards_of` as a reward."""

    def __call__(self, features: ImageFeatures, captions: Captions) -> Tensor:
        return token_rewards_of(captions)


def exact_gradient(generator: Generator, reward: CaptionReward | TokenReward) -> Tensor:
    """The gradient of the expected reward, mean over images: a sum over every caption there is."""
    expected = torch.zeros(())
    for image in range(2):
        captions = captions_of(image)
        rewards = reward(features(), captions)
        worth = (rewards * captions.mask).sum(1) if rewards.dim() == 2 else rewards
        expected = expected + (generator.score(features(), captions).sum(1).exp() * worth).sum() / 2
    generator.zero_grad()
    expected.backward()
    return gradient(generator)


def gradient(generator: Generator) -> Tensor:
    return torch.cat([p.grad.flatten() for p in generator.parameters() if p.grad is not None])
