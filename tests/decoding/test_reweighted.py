"""Resampling and rejection in the world of all captions: what they draw, and how probable they say it is."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch

from gan_caption.data.captions import EOS, UNK, Captions, captions_from_ids
from gan_caption.data.features import ImageFeatures
from gan_caption.decoding.rejection import Rejection
from gan_caption.decoding.resampling import Resampling
from gan_caption.decoding.reweighted import Reweighted, SeveralReweighted
from gan_caption.errors import UserError
from gan_caption.rewards.base import Parts
from tests import tiny

SHARED: dict[str, Any] = {"alpha": 0.7, "own_weight": 0.0, "top_k": 0, "top_p": 1.0, "density_sets": 400}
IMAGES = 2


class Worth:
    """`tiny.reward_of` as a judge."""

    def __call__(self, _: ImageFeatures, captions: Captions) -> torch.Tensor:
        return tiny.reward_of(captions)


class WorthOfWords:
    """Its tokens' shares of it, and rubbish beyond a caption's end, where nobody shall look."""

    def __call__(self, _: ImageFeatures, captions: Captions) -> torch.Tensor:
        each = (tiny.reward_of(captions) / captions.lengths)[:, None] * captions.mask
        return each.masked_fill(~captions.mask, 100.0)


def resampling(**changes: Any) -> Resampling:
    return Resampling(**(SHARED | {"judge": Worth(), "candidates": 3, "temperature": 1.0} | changes))


def rejection(**changes: Any) -> Rejection:
    return Rejection(**(SHARED | {"judge": Worth(), "candidates": 3, "temperature": 1.0, "bound": 0.5} | changes))


def proposals(image: int, *, temperature: float = 1.0) -> torch.Tensor:
    """p of every caption, a product of softmaxes taken one step at a time."""
    told = []
    for text in tiny.all_captions():
        state = GENERATOR.start(FEATURES.select(torch.tensor([image])), len(text))
        previous, log_prob = 1, 0.0
        for token in text:
            logits, state = GENERATOR.step(torch.tensor([previous]), state)
            log_prob += torch.log_softmax(logits[0] / temperature, 0)[token - GENERATOR.first_word].item()
            previous = token
        told.append(log_prob)
    return torch.tensor(told, dtype=torch.float64).exp()


GENERATOR = tiny.generators()[0]
FEATURES = tiny.features()


def resampled(p: torch.Tensor, w: torch.Tensor, candidates: int) -> torch.Tensor:
    """q of every caption: a sum over all tuples of candidates; where none is possible each is as good."""
    q = torch.zeros_like(p)
    for drawn in itertools.product(range(len(p)), repeat=candidates):
        chance, total = p[list(drawn)].prod(), w[list(drawn)].sum()
        for one in drawn:
            q[one] += chance * (w[one] / total if total else 1 / candidates)
    return q


def rejected(p: torch.Tensor, w: torch.Tensor, tries: int, bound: float) -> torch.Tensor:
    """q of every caption, try by try."""
    accept = (w / math.exp(bound)).clamp(max=1)
    reached, q = 1.0, torch.zeros_like(p)
    for index in range(tries):
        last = index == tries - 1
        q += reached * p * (torch.ones_like(accept) if last else accept)
        reached *= float((p * (1 - accept)).sum())
    return q


class Forbids:
    """Never any caption of the first image, nor, of the second one, what begins with the word 4."""

    def __call__(self, _: ImageFeatures, captions: Captions) -> torch.Tensor:
        never = (captions.images == 0) | (captions.tokens[:, 0] == 4)
        return tiny.reward_of(captions).masked_fill(never, -math.inf)


@pytest.mark.parametrize("candidates", [1, 2, 3, 64, 100])
def test_of_candidates_that_are_all_impossible_none_is_preferred(candidates):
    """Each image has its caption, as without a judge where nothing is possible; and densities are those of the draw."""
    decoder = resampling(judge=Forbids(), candidates=candidates)
    rng = torch.Generator().manual_seed(0)
    drawn = decoder.several(GENERATOR, FEATURES, samples=2000, max_length=3, rng=rng)
    assert drawn.images.tolist() == [0] * 2000 + [1] * 2000
    if candidates > 3:
        return
    for image in range(IMAGES):
        texts = tiny.captions_of(image)
        q = resampled(proposals(image), (0.7 * Forbids()(FEATURES, texts)).double().exp(), candidates)
        told = decoder.log_probs(GENERATOR, FEATURES, texts, max_length=3, rng=torch.Generator().manual_seed(1))
        assert told.exp().tolist() == pytest.approx(q.tolist(), abs=0.02)
        own = [tuple(row[:length].tolist()) for row, length in
               zip(drawn.tokens[drawn.images == image], drawn.lengths[drawn.images == image], strict=True)]  # fmt: skip
        shares = [own.count(tuple(text)) / 2000 for text in tiny.all_captions()]
        assert shares == pytest.approx(q.tolist(), abs=0.04)
        if image == 0 and candidates > 1:
            own_log_p = decoder.proposals.log_probs(GENERATOR, FEATURES, texts, max_length=3, rng=rng)
            weighed = decoder.weigh(GENERATOR, FEATURES, texts, own_log_p, max_length=3, rng=rng)
            assert all(end.tolist() == [0.0] * len(texts) for end in decoder.limit(weighed)), "nothing is preferred"


@pytest.mark.parametrize("said", [math.nan, math.inf])
def test_a_judge_that_says_no_number_is_refused(said):
    for alpha, judged in ((0.7, said), (-1.0, -said)):
        decoder = resampling(judge=lambda _, captions, judged=judged: torch.full((len(captions),), judged), alpha=alpha)
        with pytest.raises(UserError, match=r"decoding\.judge: what it says of a caption is NaN or infinite"):
            decoder(GENERATOR, FEATURES, max_length=3, rng=torch.Generator())


def test_what_a_judge_says_of_captions_that_are_never_proposed_does_not_matter():
    """Such as people's that hold a word which the policy does not write: no number may be known of these."""

    def judge(_, captions):
        return torch.zeros(len(captions)).masked_fill((captions.tokens == UNK).any(1), math.nan)

    captions = captions_from_ids([[UNK, EOS], [4, EOS]], [0, 0])
    told = resampling(judge=judge).log_probs(GENERATOR, FEATURES, captions, max_length=3, rng=torch.Generator())
    assert told[0] == -math.inf
    assert told[1].isfinite()


def truth(decoder: Reweighted, image: int) -> torch.Tensor:
    p = proposals(image, temperature=decoder.temperature)
    worth = tiny.reward_of(tiny.captions_of(image)).double() if decoder.judge else torch.zeros_like(p)
    w = (decoder.alpha * worth).exp() * p**decoder.own_weight
    if isinstance(decoder, Rejection):
        return rejected(p, w, decoder.candidates, decoder.bound)
    return resampled(p, w, decoder.candidates)


DECODERS = [
    resampling(),
    resampling(candidates=1),
    resampling(candidates=2, temperature=1.7),
    resampling(judge=None, own_weight=1.5),
    resampling(own_weight=-1.0, alpha=1.0),
    rejection(),
    rejection(candidates=1),
    rejection(bound=2.0, temperature=0.8),
]


@pytest.mark.parametrize("decoder", DECODERS, ids=[str(number) for number in range(len(DECODERS))])
def test_what_is_drawn_and_how_probable_it_is_said_to_be_are_the_enumerated_distribution(decoder):
    rng = torch.Generator().manual_seed(3)
    drawn = 12_000
    captions = decoder.several(GENERATOR, FEATURES, samples=drawn, max_length=3, rng=rng)
    assert captions.images.tolist() == [image for image in range(IMAGES) for _ in range(drawn)]
    for image in range(IMAGES):
        q = truth(decoder, image)
        assert q.sum().item() == pytest.approx(1, abs=1e-5)
        counts = tiny.written(captions.select(captions.images == image)).double()
        assert counts.sum() == drawn
        errors = (counts / drawn - q) / (q * (1 - q) / drawn).sqrt()
        assert errors.abs().max() < 4.5
        told = decoder.log_probs(GENERATOR, FEATURES, tiny.captions_of(image), max_length=3, rng=rng)
        torch.testing.assert_close(told.double().exp(), q, rtol=0.08, atol=1e-3)


@pytest.mark.parametrize("candidates", [1, 2, 3])
def test_rejections_density_is_unbiased_with_a_single_set_of_others(candidates):
    """The mean of the estimate over all sets that can be drawn is the density itself."""
    decoder = rejection(candidates=candidates)
    p, w = proposals(0), (decoder.alpha * tiny.reward_of(tiny.captions_of(0))).double()
    told = torch.zeros_like(p)
    for others in itertools.product(range(len(p)), repeat=candidates - 1):
        given = w[list(others)].expand(len(p), 1, candidates - 1)
        told += p[list(others)].prod() * p * decoder._log_gain(w, given).exp()
    torch.testing.assert_close(told, truth(decoder, 0), rtol=1e-6, atol=1e-9)


def test_the_exact_ratio_makes_the_data_of_the_policy():
    """With log p_data - log p as judge, many candidates give p_data: what a perfect discriminator is worth."""
    data = torch.tensor([0.3, 0.05, 0.15, 0.1, 0.02, 0.2, 0.03, 0.05, 0.02, 0.02, 0.02, 0.01, 0.01, 0.01, 0.01])
    texts = tiny.all_captions()

    class Ratio:
        def __call__(self, _: ImageFeatures, captions: Captions) -> torch.Tensor:
            rows = [row[:length].tolist() for row, length in zip(captions.tokens, captions.lengths, strict=True)]
            p = torch.stack([proposals(image) for image in range(IMAGES)])
            return torch.tensor([
                math.log(data[texts.index(row)] / p[image, texts.index(row)])
                for row, image in zip(rows, captions.images.tolist(), strict=True)
            ])  # fmt: skip

    assert data.sum().item() == pytest.approx(1)
    q = resampling(judge=Ratio(), alpha=1.0, candidates=400, density_sets=100).log_probs(
        GENERATOR, FEATURES, tiny.captions_of(1), max_length=3, rng=torch.Generator().manual_seed(0)
    )
    before = (proposals(1) - data).abs().sum().item() / 2
    after = (q.exp() - data).abs().sum().item() / 2
    assert before > 0.3
    assert after < 0.02


def test_a_judge_with_parts_is_refused():
    decoder = resampling(judge=lambda features, captions: Parts(torch.zeros(len(captions)), {}))
    with pytest.raises(UserError, match="one number a caption or a token, without parts"):
        decoder(GENERATOR, FEATURES, max_length=3, rng=torch.Generator())


def test_what_is_never_proposed_is_never_drawn():
    decoder = resampling(top_p=0.5, density_sets=5)
    told = decoder.log_probs(GENERATOR, FEATURES, tiny.captions_of(0), max_length=3, rng=torch.Generator())
    assert told.isinf().any()
    assert not told.isnan().any()
    assert told.exp().sum() < 1.5


def test_of_a_judge_of_words_the_sum_over_a_captions_own_counts():
    captions, rng = tiny.captions_of(1), torch.Generator()
    found, expected = (
        resampling(judge=judge).log_probs(GENERATOR, FEATURES, captions, max_length=3, rng=rng.manual_seed(0))
        for judge in (WorthOfWords(), Worth())
    )
    torch.testing.assert_close(found, expected)


def test_several_are_ranked_by_the_policys_own_log_p_whatever_the_judge_prefers():
    improbable = resampling(judge=None, alpha=0.0, own_weight=-2.0, candidates=5)
    found = SeveralReweighted(samples=6, drawn_by=improbable).candidates(
        GENERATOR, FEATURES, max_length=3, rng=torch.Generator().manual_seed(0)
    )
    assert torch.bincount(found.captions.images).tolist() == [6, 6]
    for place, text in enumerate(found.captions.tokens.tolist()):
        own = text[: found.captions.lengths[place]]
        chance = proposals(int(found.captions.images[place]))[tiny.all_captions().index(own)]
        assert found.scores[place].item() == pytest.approx(math.log(chance), abs=1e-4)
    for image in range(IMAGES):
        scores = found.scores[found.captions.images == image].tolist()
        assert scores == sorted(scores, reverse=True)
        assert len(set(scores)) > 1
