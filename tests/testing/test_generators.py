"""`check_generator` passes what keeps the contract, and tells each way to break it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from gan_caption.data.captions import EOS
from gan_caption.decoding.fusion import shallow_fusion
from gan_caption.generators.attention_lstm import AttentionLSTMGenerator
from gan_caption.generators.lstm import LSTMGenerator
from gan_caption.generators.ngram import NgramGenerator
from gan_caption.generators.recurrent_state import RecurrentState
from gan_caption.generators.updown import UpDownGenerator
from gan_caption.testing import check_generator
from tests import tiny

SIZES = {"vocabulary_size": 9, "hidden": 6, "embedding": 4, "dropout": 0.5}
WHOLE = {**SIZES, "pooled_size": 5, "noise_size": 0, "noise_law": "normal", "generate_unknown": False}


def ngram(order: int) -> NgramGenerator:
    corpus = [[4, 5, 6, EOS], [4, 5, 5, EOS], [6, 4, 5, 7, EOS], [EOS]]
    return NgramGenerator.learn(corpus, vocabulary_size=9, order=order)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    "settings",
    [{}, {"image_as": "initial_state"}, {"generate_unknown": True, "dropout": 0.9}, {"noise_size": 3}, {"hidden": 70}],
)
def test_lstm(settings, training):
    torch.manual_seed(0)
    generator = tiny.lstm(**{**SIZES, **settings}).train(training)
    check_generator(generator, tiny.features(3))
    assert all(part.training == training for part in generator.modules())
    assert all(own.grad is None for own in generator.parameters())


@pytest.mark.parametrize("regions", [None, [4, 2, 3]])
def test_attention_lstm(regions):
    torch.manual_seed(0)
    generator = tiny.attention_lstm(**SIZES)
    features = tiny.features(3)
    check_generator(generator, replace(features, regions=None if regions is None else torch.tensor(regions)))


@pytest.mark.parametrize("regions", [None, [4, 2, 3]])
@pytest.mark.parametrize("noise", [0, 3])
def test_updown(noise, regions):
    torch.manual_seed(0)
    generator = tiny.updown(**SIZES, noise_size=noise)
    features = tiny.features(3)
    check_generator(generator, replace(features, regions=None if regions is None else torch.tensor(regions)))


@pytest.mark.parametrize("regions", [None, [4, 2, 3]])
@pytest.mark.parametrize(
    "settings",
    [{}, {"norm": "after"}, {"encoder_layers": 0, "layers": 1}, {"encoder_layers": 3, "layers": 3, "noise_size": 3}],
)
def test_transformer(settings, regions):
    torch.manual_seed(0)
    generator = tiny.transformer(vocabulary_size=9, hidden=8, dropout=0.5, **settings)
    features = tiny.features(3)
    check_generator(generator, replace(features, regions=None if regions is None else torch.tensor(regions)))


@pytest.mark.parametrize("order", [1, 2, 3])
def test_ngram(order):
    check_generator(ngram(order), tiny.features(3), soft_words=False)


@pytest.mark.parametrize("kind", ["ngram", "lstm"])
def test_fusion(kind):
    torch.manual_seed(0)
    language = ngram(2) if kind == "ngram" else tiny.lstm(**SIZES, pooled_size=1)
    frozen = language.requires_grad_(False)
    check_generator(shallow_fusion(tiny.lstm(**SIZES), frozen, weight=0.5), tiny.features(3), soft_words=False)


class Broken(LSTMGenerator):
    """The base of what breaks one promise each."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        super().__init__(**WHOLE, image_as="first_input")


class StepsForget(Broken):
    def step(self, tokens, state, rows=None):
        logits, after = super().step(tokens, state, rows)
        return logits, after.after((after.own[0], torch.zeros_like(after.own[1])))


class IgnoresRows(Broken):
    def step(self, tokens, state, rows=None):
        if rows is not None and len(rows) == len(state):
            rows = None
        return super().step(tokens, state, rows)


class ForgetsImages(Broken):
    def step(self, tokens, state, rows=None):
        logits, after = super().step(tokens, state, rows)
        return logits, replace(after, row_images=torch.zeros(len(tokens), dtype=torch.long))


class WritesPadding(Broken):
    def __init__(self) -> None:
        super().__init__()
        self.first_word = 0
        self.output = torch.nn.Linear(6, 9)


class NeitherNumber(Broken):
    def logits(self, features, captions):
        return super().logits(features, captions) * float("nan")


class OnePerCaption(Broken):
    def logits(self, features, captions):
        return captions.unpacked(super().logits(features, captions))


class LooksAtNeighbours(Broken):
    def _begin(self, features):
        hidden, cell = super()._begin(features)
        return hidden + hidden.mean(0), cell


class CountsPadding(Broken):
    """A mean over a padded batch: as wide as its longest caption."""

    def score(self, features, captions):
        return super().score(features, captions) * (captions.tokens.shape[1] / 6)


class ReadsPadding(Broken):
    def score(self, features, captions):
        scores = super().score(features, captions)
        return scores + 0.01 * (captions.tokens * ~captions.mask).sum(1, keepdim=True) * captions.mask


class WritesIntoTheState(Broken):
    def step(self, tokens, state, rows=None):
        logits, after = super().step(tokens, state, rows)
        if rows is None:
            state.own[0].copy_(after.own[0])
        return logits, after


class ChangesTokens(Broken):
    def step(self, tokens, state, rows=None):
        answer = super().step(tokens, state, rows)
        tokens.clamp_(min=EOS)
        return answer


class ChangesFeatures(Broken):
    def start(self, features, max_length):
        features.pooled.sub_(features.pooled.mean())
        return super().start(features, max_length)


class Unlearnable(Broken):
    def logits(self, features, captions):
        return super().logits(features, captions).detach()


class HalfLearnable(Broken):
    def _begin(self, features):
        return tuple(part.detach() for part in super()._begin(features))


class Restless(Broken):
    def logits(self, features, captions):
        return torch.nn.functional.dropout(super().logits(features, captions), 0.1)


class TooShort(Broken):
    """Room for the words alone, not for `<bos>`."""

    def start(self, features, max_length):
        state = super().start(features, max_length)
        return state.after((*state.own, torch.full((len(features), 1), max_length)))

    def step(self, tokens, state, rows=None):
        if (state.own[2] == 0).any():
            raise IndexError("the cache is full")
        logits, after = super().step(tokens, state, rows)
        left = state.own[2] if rows is None else state.own[2][rows]
        return logits, after.after((*after.own, left - 1))


class SilentlyTooShort(TooShort):
    def step(self, tokens, state, rows=None):
        full = (state.own[2] if rows is None else state.own[2][rows]) == 0
        rested = replace(state, own=(*state.own[:2], state.own[2].clamp(min=1)))
        logits, after = super().step(tokens, rested, rows)
        return logits.masked_fill(full, 0.0), after


class LooksAtMaxLength(Broken):
    def start(self, features, max_length):
        state = super().start(features, max_length)
        return state.after((state.own[0] / max_length, state.own[1]))


class PrefixesInStepOrder(Broken):
    def after_each_prefix(self, captions, state):
        logits, state = super().after_each_prefix(captions, state)
        order = torch.arange(len(logits)).view(len(captions), -1).T.flatten()
        return logits[order], state


class TakesNoWeights(Broken):
    def step(self, tokens, state, rows=None):
        return super().step(tokens if tokens.dim() == 1 else tokens.argmax(1), state, rows)


class WeightsOnlyWithGradients(Broken):
    def step(self, tokens, state, rows=None):
        return super().step(tokens if torch.is_grad_enabled() or tokens.dim() == 1 else tokens.argmin(1), state, rows)


class StartsTwice(Broken):
    def start(self, features, max_length):
        return super().start(features, max_length).repeat(2)


class NoState(Broken):
    def start(self, features, max_length):
        return super().start(features, max_length).own


class UnevenAttention(AttentionLSTMGenerator):
    def __init__(self) -> None:
        torch.manual_seed(0)
        super().__init__(**WHOLE, grid_size=7, heads=2)

    def attention_weights(self, features, captions):
        return 2 * super().attention_weights(features, captions)


class SaysNothingOfTheGrid(AttentionLSTMGenerator):
    uses_grid = False

    def __init__(self) -> None:
        torch.manual_seed(0)
        super().__init__(**WHOLE, grid_size=7, heads=2)


class LooksBeyondTheRegions(UpDownGenerator):
    def __init__(self) -> None:
        torch.manual_seed(0)
        super().__init__(**WHOLE, grid_size=7, attention=5)

    def start(self, features, max_length):
        return super().start(replace(features, regions=None), max_length)

    def logits(self, features, captions):
        return super().logits(replace(features, regions=None), captions)


class OwnState(Broken):
    """An LSTM with a state of another class."""

    kind: type

    def start(self, features, max_length):
        state = super().start(features, max_length)
        return self.kind(state.own)


class Tiled(RecurrentState):
    def repeat(self, times):
        return self.after(tuple(own.repeat(times, 1) for own in self.own), self.images.repeat_interleave(times))


class Halved(RecurrentState):
    def split(self, images):
        return [self]


class Counting(RecurrentState):
    def split(self, images):
        parts = super().split(images)
        return [replace(part, row_images=part.images + images * place) for place, part in enumerate(parts)]


class StackedByStep(RecurrentState):
    @classmethod
    def stack(cls, states):
        stacked = super().stack(states)
        order = torch.arange(len(stacked)).view(-1, len(states)).T.flatten()
        return replace(stacked, own=tuple(own[order] for own in stacked.own))


class SelectsFirst(RecurrentState):
    def select(self, rows):
        return super().select(torch.zeros_like(rows))


FAULTS = [
    (StepsForget, "`step` must predict what `logits` predict"),
    (IgnoresRows, r"must be step\(tokens, state.select\(rows\)\)"),
    (ForgetsImages, "the state's images are others"),
    (WritesPadding, "first_word=0: `<pad>` and `<bos>` may never"),
    (NeitherNumber, "NaN or infinite"),
    (OnePerCaption, "a row for every token that is not padding"),
    (LooksAtNeighbours, "the other captions and images of a batch must not change a caption"),
    (CountsPadding, "the other captions and images|padding must not change"),
    (ReadsPadding, "padding must not change a caption"),
    (WritesIntoTheState, "a step must leave the state that it is given as it was|must predict what"),
    (ChangesTokens, "step changed its argument tokens"),
    (ChangesFeatures, "start changed its argument features.pooled"),
    (Unlearnable, "have no gradient"),
    (HalfLearnable, "pass no gradient to image.normalise.weight"),
    (Restless, "in eval mode nothing is random"),
    (TooShort, r"cannot be read: IndexError\('the cache is full'\)"),
    (SilentlyTooShort, "<bos> and max_length tokens must have room"),
    (LooksAtMaxLength, "must predict what|more room must change nothing"),
    (PrefixesInStepOrder, r"after_each_prefix: row n \* T \+ t"),
    (TakesNoWeights, "must pass gradients"),
    (WeightsOnlyWithGradients, "weights over words, without gradients"),
    (StartsTwice, "start has 6 rows for 3 images"),
    (NoState, "must return a PolicyState, not a tuple"),
    (UnevenAttention, "attention_weights must sum to one"),
    (LooksBeyondTheRegions, "rows of the grid beyond `regions` must not change a caption"),
    (SaysNothingOfTheGrid, "uses_grid is False, and `logits` without the grid fails"),
]


@pytest.mark.parametrize(("kind", "message"), FAULTS, ids=lambda one: getattr(one, "__name__", ""))
def test_a_fault_is_told(kind, message):
    features = tiny.features(3)
    with pytest.raises(AssertionError, match=message):
        check_generator(kind(), features)


STATES = [
    (Tiled, "state.repeat must repeat each row"),
    (Halved, r"state.split\(1\) of 3 images has parts of \[3\]"),
    (Counting, "the images of each part of state.split count from 0"),
    (StackedByStep, r"state.stack: row n \* T \+ t goes on from row n of state t"),
    (SelectsFirst, "must predict what|must be step|must be of these rows"),
]


@pytest.mark.parametrize(("kind", "message"), STATES, ids=lambda one: getattr(one, "__name__", ""))
def test_a_faulty_state_is_told(kind, message):
    generator = OwnState()
    generator.kind = RecurrentState
    check_generator(generator, tiny.features(3))
    generator.kind = kind
    with pytest.raises(AssertionError, match=message):
        check_generator(generator, tiny.features(3))


def test_one_image_is_not_enough():
    with pytest.raises(AssertionError, match="at least two images"):
        check_generator(Broken(), tiny.features(1))
