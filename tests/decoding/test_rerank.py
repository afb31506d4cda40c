from __future__ import annotations

import pytest
import torch

from gan_caption.data.captions import EOS, captions_from_ids
from gan_caption.decoding.beam import beam_candidates, beam_search
from gan_caption.decoding.candidates import Candidates
from gan_caption.decoding.decoders import Reranked
from gan_caption.decoding.rerank import LanguageModelLogLikelihood, rerank
from gan_caption.decoding.resampling import Resampling
from gan_caption.discriminators.base import of_captions
from gan_caption.discriminators.dense import DenseDiscriminator
from gan_caption.discriminators.lstm import LSTMDiscriminator
from gan_caption.encoders.none import no_image
from gan_caption.errors import UserError
from gan_caption.generators.ngram import NgramGenerator
from gan_caption.rewards.base import Parts
from gan_caption.rewards.controls import RandomReward
from gan_caption.rewards.discriminator import DiscriminatorReward
from gan_caption.rewards.mixture import Mixture
from gan_caption.rewards.transforms import Logit, Odds
from tests import tiny
from tests.decoding.test_candidates import told
from tests.tiny_runs import part


def candidates() -> Candidates:
    """Three captions of one image and two of another."""
    captions = captions_from_ids([[4, EOS], [5, 4, EOS], [5, EOS], [4, 4, EOS], [EOS]], [0, 0, 0, 1, 1])
    scores = torch.tensor([-1.0, -2.0, -4.0, -1.0, -3.0])
    return Candidates(captions, scores, 2 * scores)


def fixed(*scores: float):
    return lambda features, captions: torch.tensor(scores)


def never(features, captions):
    raise AssertionError("a judge of weight 0 was asked")


def texts(found: Candidates) -> list[list[int]]:
    return [text for image in (0, 1) for text, _, _ in told(found, image)]


def test_the_sum_decides():
    by_hand = rerank(
        candidates(), tiny.features(), [(fixed(0, 3, 5, 0, 0), 0.5), (fixed(0, 0, 1, -4, 1), 1.0)], own_weight=1.0
    )
    # -1 + 0 + 0, -2 + 1.5 + 0, -4 + 2.5 + 1; -1 + 0 - 4, -3 + 0 + 1
    assert by_hand.scores.tolist() == [-0.5, -0.5, -1.0, -2.0, -5.0]
    assert texts(by_hand) == [[5, 4, EOS], [5, EOS], [4, EOS], [EOS], [4, 4, EOS]]
    assert by_hand.captions.images.tolist() == [0, 0, 0, 1, 1]


@pytest.mark.parametrize(("score", "weight"), [(float("nan"), 1.0), (float("inf"), 1.0), (float("-inf"), -1.0)])
def test_a_judge_that_says_no_number_chooses_nothing(score, weight):
    with pytest.raises(UserError, match="is NaN or infinite, by which nothing can be chosen"):
        rerank(candidates(), tiny.features(), [(fixed(0, score, 0, 0, 0), weight)], own_weight=1.0)


def test_what_a_judge_finds_impossible_comes_last():
    found = rerank(candidates(), tiny.features(), [(fixed(float("-inf"), 0, 0, 0, 0), 1.0)], own_weight=1.0)
    assert texts(found) == [[5, 4, EOS], [5, EOS], [4, EOS], [4, 4, EOS], [EOS]]


def test_of_one_number_a_token_the_mean_over_the_captions_own_counts():
    each = torch.tensor([[1.0, 3, 9], [1, 2, 6], [0, 0, 9], [2, 2, 8], [7, 9, 9]])
    found = rerank(candidates(), tiny.features(), [(lambda *_: each, 1.0)], own_weight=0.0)
    assert sorted(found.scores.tolist()) == [0, 2, 3, 4, 7]
    for other in (Parts(torch.zeros(5), {}), torch.zeros(4), torch.zeros(5, 2)):
        with pytest.raises(UserError, match="a reward of one number a caption or a token, without parts"):
            rerank(candidates(), tiny.features(), [(lambda *_, other=other: other, 1.0)], own_weight=0.0)


def test_equal_sums_keep_their_order():
    found = rerank(candidates(), tiny.features(), [(fixed(0, 1, 3, 0, 2), 1.0)], own_weight=1.0)
    assert found.scores.tolist() == [-1, -1, -1, -1, -1]
    assert texts(found) == texts(candidates())
    assert found.log_probs.tolist() == candidates().log_probs.tolist()


def test_a_weight_of_nothing_changes_nothing():
    found = rerank(candidates(), tiny.features(), [(never, 0.0)], own_weight=1.0)
    assert torch.equal(found.scores, candidates().scores)
    assert texts(found) == texts(candidates())
    undecided = rerank(candidates(), tiny.features(), [], own_weight=0.0)
    assert texts(undecided) == texts(candidates())


def test_without_the_searchs_own_score_the_judge_decides_alone():
    found = rerank(candidates(), tiny.features(), [(fixed(-3, -2, -1, 5, 9), 1.0)], own_weight=0.0)
    assert texts(found) == [[5, EOS], [5, 4, EOS], [4, EOS], [EOS], [4, 4, EOS]]
    assert found.log_probs.tolist() == [-8, -4, -2, -6, -2]  # still the generator's


@pytest.mark.parametrize("kind", [LSTMDiscriminator, DenseDiscriminator])
@pytest.mark.parametrize("chunk_rows", [1, 2, 100])
def test_a_discriminators_logit_is_of_each_caption_by_itself(kind, chunk_rows):
    torch.manual_seed(0)
    judge = tiny.discriminator(kind, hidden=4, embedding=3, dropout=0.5).train()
    features, captions = tiny.features(), candidates().captions
    asked = DiscriminatorReward(discriminator=judge, transform=Logit(), chunk_rows=chunk_rows)
    logits = of_captions(asked(features, captions), captions)
    assert judge.training
    assert not logits.requires_grad
    judge.eval()
    for row, image in enumerate(captions.images.tolist()):
        length = int(captions.lengths[row])
        alone = captions_from_ids([captions.tokens[row, :length].tolist()], [0])
        told_alone = judge(features.select(torch.tensor([image])), alone).detach()
        torch.testing.assert_close(logits[row], told_alone.mean())  # of one caption without padding


def test_log_probabilities_are_those_of_each_step():
    torch.manual_seed(0)
    language, captions = tiny.lstm(pooled_size=1, dropout=0.5).train(), candidates().captions
    found = LanguageModelLogLikelihood(language, length_penalty=0.5)(tiny.features(), captions)
    assert language.training
    language.eval()
    for row, image in enumerate(captions.images.tolist()):
        text = captions.tokens[row, : captions.lengths[row]].tolist()
        exact = tiny.stepwise_log_probs(language, no_image(2, "cpu"), text, image).sum() / len(text) ** 0.5
        torch.testing.assert_close(found[row], exact.detach())


def test_a_language_model_is_shown_no_image():
    torch.manual_seed(0)
    language = tiny.lstm(pooled_size=1).eval()
    captions = captions_from_ids([[4, EOS], [5, 4, EOS], [4, EOS]], [0, 0, 1])
    found = LanguageModelLogLikelihood(language)(tiny.features(), captions)
    assert found[0] == found[2] != found[1]


@pytest.mark.parametrize(
    "proposer",
    [
        part("decoding/beam", beam_size=4, length_penalty=0.0),
        part("decoding/diverse_beam", groups=2, beam_size=2, length_penalty=0.0),
        part("proposer/sampling", samples=5),
    ],
)
def test_the_decoder_takes_what_the_judges_like_best(proposer):
    generator, features = tiny.generators(seed=3)[0], tiny.features(6)
    torch.manual_seed(1)
    judge = tiny.discriminator(LSTMDiscriminator, hidden=8).eval()
    for parameter in judge.parameters():
        parameter.data *= 3
    weights = {"own": 0.0, "discriminator": 1.0}
    decoder = Reranked(proposer=proposer, judges={"discriminator": told_by(judge)}, weights=weights)
    best = decoder(generator, features, max_length=4, rng=torch.Generator().manual_seed(0))
    found = proposer.candidates(generator, features, max_length=4, rng=torch.Generator().manual_seed(0))
    logits = judge(features, found.captions)
    for image in range(6):
        own = (found.captions.images == image).nonzero()[:, 0]
        first = own[logits[own].argmax()]
        assert best.tokens[image, : best.lengths[image]].tolist() == (
            found.captions.tokens[first, : found.captions.lengths[first]].tolist()
        )
    assert not torch.equal(best.lengths, found.best.lengths) or not torch.equal(best.tokens, found.best.tokens)


@pytest.mark.parametrize("index", tiny.EVERY)
def test_judges_of_no_weight_leave_beam_search_as_it_is(index):
    generator, features = tiny.generators()[index], tiny.features(4)
    language = NgramGenerator.learn([[4, EOS]], vocabulary_size=6, order=3)
    proposer = part("decoding/beam", beam_size=3, length_penalty=0.8)
    judges = {"n": LanguageModelLogLikelihood(language)}
    decoder = Reranked(proposer=proposer, judges=judges, weights={"own": 1.0, "n": 0.0})
    with pytest.raises(ValueError, match=r"weights=.*: one number for each of own, n"):
        Reranked(proposer=proposer, judges=judges, weights={"n": 1.0})
    found = decoder(generator, features, max_length=5, rng=torch.Generator())
    wanted = beam_search(generator, features, beam_size=3, max_length=5, length_penalty=0.8)
    assert found.lengths.tolist() == wanted.lengths.tolist()
    assert torch.equal(found.tokens[:, : wanted.tokens.shape[1]], wanted.tokens)


def told_by(discriminator):
    return DiscriminatorReward(discriminator=discriminator, transform=Logit(), chunk_rows=8)


def odds():
    discriminator = part("discriminator/lstm", vocabulary_size=6, pooled_size=5)
    return DiscriminatorReward(discriminator=discriminator, transform=Odds(), chunk_rows=8)


@pytest.mark.parametrize("judge", [RandomReward(), odds(), Mixture(parts={"a": odds()}, weights={"a": 1.0})])
def test_a_judge_says_the_same_of_a_caption_whatever_else_it_is_asked(judge):
    """Odds are divided by their mean over what is judged together, and chance is another one each time."""
    with pytest.raises(ValueError, match="transform=logit in place of odds, reward=normal in place of random"):
        Reranked(proposer=part("decoding/beam"), judges={"a": judge}, weights={"own": 1.0, "a": 1.0})
    with pytest.raises(ValueError, match="gives a caption another number"):
        Resampling(
            judge=judge, alpha=1.0, own_weight=0.0, candidates=2, temperature=1.0, top_k=0, top_p=1.0, density_sets=1
        )


def test_the_candidates_scores_and_a_generators_own_are_the_same():
    """So that a search's length penalty can be given to its judges."""
    generator, features = tiny.generators()[1], tiny.features(3)
    found = beam_candidates(generator, features, beam_size=4, max_length=4, length_penalty=0.6)
    own = generator.score(features, found.captions).sum(1) / found.captions.lengths**0.6
    torch.testing.assert_close(own, found.scores)
