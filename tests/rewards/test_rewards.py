"""Rewards: metric rewards against the reference tool, mixtures and controls by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider

from gan_caption.data.captions import EOS, captions_from_ids
from gan_caption.data.features import ImageFeatures
from gan_caption.discriminators.set import SetDiscriminator
from gan_caption.errors import UserError
from gan_caption.rewards.bleu import BleuReward
from gan_caption.rewards.cider import CiderDReward
from gan_caption.rewards.controls import ConstantReward, NormalReward, OtherImageReward, RandomReward
from gan_caption.rewards.discriminator import DiscriminatorReward
from gan_caption.rewards.mixture import Mixture
from gan_caption.rewards.rank import RankReward
from gan_caption.rewards.references import References
from gan_caption.rewards.transforms import Logit, LogProbability, Odds, Probability, Signed
from gan_caption.text.words import WordTokenizer
from tests import tiny

TEXTS = [
    ["a dog runs on the grass", "the brown dog runs", "a dog on grass"],
    ["a man rides a red bike", "man on a bike in the street"],
    ["two girls play in the water", "girls splash in the water"],
    ["a man on a horse", "the horse runs in the street with a man"],
]
VOCABULARY = WordTokenizer(min_count=1).learn([text for own in TEXTS for text in own])
REFERENCES = References(TEXTS, VOCABULARY, max_length=20)


def features(rows: list[int]) -> ImageFeatures:
    return ImageFeatures(torch.zeros(len(rows), 2), rows=torch.tensor(rows))


def said(texts: list[str], images: list[int], *, max_length: int = 20):
    return captions_from_ids([VOCABULARY.encode(text, max_length=max_length) for text in texts], images)


CANDIDATES = ["a man on a bike", "a man rides a red bike", "the dog runs in the street", "a dog on the grass"]
IMAGES = [0, 0, 1, 1]  # of features(rows=[1, 0]): the first two belong to training image 1, the others to image 0


@pytest.mark.parametrize(("reward", "scorer"), [(CiderDReward, Cider()), (BleuReward, Bleu(4))])
def test_a_reward_is_the_reference_tools_value_with_eos_as_a_word(reward, scorer, capsys):
    found = reward(references=REFERENCES)(features([1, 0]), said(CANDIDATES, IMAGES))
    closed = {row: [f"{text} <eos>" for text in own] for row, own in enumerate(TEXTS)}
    for place, (text, image) in enumerate(zip(CANDIDATES, IMAGES, strict=True)):
        row = [1, 0][image]
        # The tool takes one candidate an image, and its document frequencies from all the images that it is given.
        results = {other: [f"{text} <eos>"] if other == row else ["x"] for other in closed}
        _, scores = scorer.compute_score(closed, results)
        scores = scores[3] if isinstance(scores[0], list) else scores
        assert found[place].item() == pytest.approx(scores[row], rel=1e-5, abs=1e-8)
    capsys.readouterr()


@pytest.mark.parametrize("reward", [CiderDReward, BleuReward])
def test_a_caption_that_breaks_off_has_a_lower_reward_than_one_that_ends(reward):
    whole = said(["a man rides a red bike"], [0])
    cut = said(["a man rides a red bike"], [0], max_length=6)  # the same words, without <eos>
    scored = reward(references=REFERENCES)
    assert scored(features([1]), whole).item() > scored(features([1]), cut).item() > 0


def test_an_empty_caption_by_hand():
    """It is `<eos>` alone.

    CIDEr-D: every image has it, so that its weight is log(4 / 4) = 0; there are no longer n-grams. BLEU-4: one of one
    unigrams, and 1e-15 / 1e-9 for each longer n-gram, of which there are none, times the penalty for 1 word in place of
    the 7 of the shorter reference.
    """
    empty = said([""], [0])
    assert CiderDReward(references=REFERENCES)(features([1]), empty).item() == 0
    expected = (1e-6**3) ** (1 / 4) * math.exp(1 - 7)
    assert BleuReward(references=REFERENCES)(features([1]), empty).item() == pytest.approx(expected, rel=1e-4)


def test_features_that_belong_to_no_training_image_are_refused():
    with pytest.raises(ValueError, match="needs features of training images"):
        CiderDReward(references=REFERENCES)(replace(features([1]), rows=None), said(["a man"], [0]))


def test_mixture_by_hand():
    parts = {"a": ConstantReward(value=2.0), "b": ConstantReward(value=10.0)}
    mixture = Mixture(parts=parts, weights={"a": 0.25, "b": 0.75})
    assert mixture(features([0, 1]), said(["a man", "a dog"], [0, 1])).total.tolist() == [8.0, 8.0]
    found = mixture(features([0, 1]), said(["a man", "a dog"], [0, 1])).parts
    assert {name: part.tolist() for name, part in found.items()} == {"a": [2.0, 2.0], "b": [10.0, 10.0]}
    with pytest.raises(ValueError, match="one number for each of the parts a, b"):
        Mixture(parts=parts, weights={"a": 1.0})


class EveryToken:
    """Rewards each token with its place."""

    def __call__(self, features, captions):
        return torch.arange(captions.tokens.shape[1]).float().expand(captions.tokens.shape)


def test_a_mixture_of_rewards_of_tokens():
    captions = said(["a man", "a dog runs"], [0, 1])  # 2 captions of 4 tokens with <eos>
    mixture = Mixture(parts={"a": EveryToken(), "b": EveryToken()}, weights={"a": 2.0, "b": -0.5})
    assert mixture(features([0, 1]), captions).total.tolist() == [[0, 1.5, 3, 4.5]] * 2
    mixed = Mixture(parts={"a": EveryToken(), "b": ConstantReward(value=2.0)}, weights={"a": 0.5, "b": 0.5})
    with pytest.raises(ValueError, match="here it is a a token, b a caption"):
        mixed(features([0, 1]), captions)


def test_one_weight_of_a_mixture_may_be_what_is_left():
    parts = {"a": ConstantReward(value=2.0), "b": ConstantReward(value=10.0)}
    mixture = Mixture(parts=parts, weights={"a": 0.25, "b": None})
    assert mixture(features([0]), said(["a man"], [0])).total.tolist() == [0.25 * 2 + 0.75 * 10]
    for weights in ({"a": None, "b": None}, {"a": 1.5, "b": None}):
        with pytest.raises(ValueError, match="one may be null"):
            Mixture(parts=parts, weights=weights)


def test_a_random_reward_knows_nothing_and_follows_torchs_state():
    captions = said(CANDIDATES, IMAGES)
    torch.manual_seed(3)
    first, second = (RandomReward()(features([1, 0]), captions) for _ in range(2))
    assert not torch.equal(first, second)
    torch.manual_seed(3)
    assert torch.equal(RandomReward()(features([1, 0]), captions), first)
    many = torch.cat([RandomReward()(features([1, 0]), captions) for _ in range(500)])
    assert many.min() >= 0
    assert many.max() < 1
    assert abs(many.mean().item() - 0.5) < 4 * (1 / 12 / len(many)) ** 0.5


def test_a_normal_reward_is_a_fixed_function_whose_values_are_normal():
    reward = NormalReward(std=2.0, seed=0)
    rng = torch.Generator().manual_seed(0)
    ids = [[*torch.randint(4, 40, (length,), generator=rng).tolist(), EOS] for length in (3, 4, 5) for _ in range(4000)]
    shown = ImageFeatures(torch.zeros(1, 1), rows=torch.tensor([7]))
    told = reward(shown, captions_from_ids(ids, [0] * len(ids)))
    different = len({tuple(own) for own in ids})
    assert len(set(told.tolist())) >= different - 2  # float32 has few numbers that two could share
    assert abs(told.mean().item()) < 4 * 2 / different**0.5
    assert told.std().item() == pytest.approx(2, rel=0.05)
    ordered, quantiles = told.sort().values, torch.tensor([0.025, 0.16, 0.84, 0.975])
    expected = 2 * torch.special.ndtri(quantiles)
    torch.testing.assert_close(ordered[(quantiles * len(ordered)).long()], expected, atol=0.15, rtol=0)
    # The same caption has the same number wherever it stands, another image or seed another one.
    few = reward(shown, captions_from_ids([ids[-1], ids[0]], [0, 0]))
    assert few.tolist() == [told[-1].item(), told[0].item()]
    other = replace(shown, rows=torch.tensor([8]))
    assert not torch.equal(reward(other, captions_from_ids([ids[0]], [0])), told[:1])
    assert not torch.equal(NormalReward(std=2.0, seed=1)(shown, captions_from_ids([ids[0]], [0])), told[:1])


@pytest.mark.parametrize("images", [2, 3, 6])
@pytest.mark.parametrize("samples", [1, 2])
def test_the_other_image_is_never_the_captions_own(images, samples):
    """Also where a noise vector makes the features of one image several neighbouring rows."""
    rows = [image for image in range(images) for _ in range(samples)]
    shown = []

    def record(seen: ImageFeatures, captions) -> torch.Tensor:
        shown.extend(seen.rows[captions.images].tolist())
        return torch.zeros(len(captions))

    OtherImageReward(reward=record)(features(rows), said(["a man"] * len(rows), list(range(len(rows)))))
    assert all(own != other for own, other in zip(rows, shown, strict=True))
    for alone in ([0], [0] * samples):
        with pytest.raises(UserError, match=r"OtherImageReward shows another image .* images_per_batch above 1"):
            OtherImageReward(reward=record)(features(alone), said(["a man"] * len(alone), list(range(len(alone)))))


LOGITS = torch.tensor([-2.0, 0.0, 3.0])


def test_transforms_by_hand():
    d = 1 / (1 + torch.exp(-LOGITS))
    torch.testing.assert_close(Probability()(LOGITS), d)
    torch.testing.assert_close(LogProbability()(LOGITS), d.log())
    torch.testing.assert_close(Logit()(LOGITS), (d / (1 - d)).log())
    torch.testing.assert_close(Signed()(LOGITS), 2 * d - 1)
    odds = d / (1 - d)
    torch.testing.assert_close(Odds()(LOGITS), odds / odds.mean())
    assert torch.isfinite(Odds()(torch.tensor([500.0, -500.0, 499.0]))).all()


def test_odds_of_tokens_are_refused():
    with pytest.raises(ValueError, match="no dense one"):
        Odds()(torch.zeros(3, 2))


def test_odds_of_the_best_discriminator_turn_the_policy_gradient_into_that_of_likelihood():
    """With D = p_data / (p_data + p) every caption's mean weight is p_data / p; enumerated over all captions."""
    generator, images = tiny.generators()[0], tiny.features(1)
    captions = tiny.captions_of(0)
    log_p = generator.score(images, captions).sum(1)
    data = torch.randn(len(captions), generator=torch.Generator().manual_seed(2)).softmax(0)
    truth = torch.autograd.grad((data * log_p).sum(), list(generator.parameters()), retain_graph=True)
    # A batch that holds every caption in proportion to the policy: 100,000 draws.
    counts = torch.multinomial(log_p.exp(), 100_000, replacement=True, generator=torch.Generator().manual_seed(0))
    weights = Odds()((data.log() - log_p.detach())[counts])
    found = torch.autograd.grad((weights * log_p[counts]).mean(), list(generator.parameters()))
    flat, true = (torch.cat([part.flatten() for part in parts]) for parts in (found, truth))
    assert (flat - true).norm() < 0.05 * true.norm()


class Likes(torch.nn.Module):
    """Answers with the number of words."""

    def fast_score(self, features, captions):
        return captions.lengths.float() - 1


def test_rank_by_hand():
    """Image 1 has references of 6 and 7 words, image 0 of 6, 4 and 4; logits are these numbers."""
    reward = RankReward(discriminator=Likes(), references=REFERENCES, sharpness=0.5)
    found = reward(features([1, 0]), said(["a man on a bike", "the dog runs"], [0, 1]))
    e = [torch.tensor(0.5 * n).exp().item() for n in range(8)]
    assert found[0].item() == pytest.approx(3 * e[5] / (e[5] + e[6] + e[7]), rel=1e-5)
    assert found[1].item() == pytest.approx(4 * e[3] / (e[3] + e[6] + e[4] + e[4]), rel=1e-5)
    alike = RankReward(discriminator=Likes(), references=REFERENCES, sharpness=0.0)
    assert alike(features([1, 0]), said(["a man on a bike", "the dog runs"], [0, 1])).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("company", [[0], [0, 1]])
def test_where_no_human_caption_can_be_read_nothing_is_compared(company):
    """All words of image 0's are unknown: its captions are worth 1, whichever images they are beside."""
    words = WordTokenizer(min_count=1).learn(["a man on a bike"])
    references = References([["the dog"], ["a man", "a bike"]], words, max_length=9)
    reward = RankReward(discriminator=Likes(), references=references, sharpness=1.0)
    own = captions_from_ids([words.encode("a man", max_length=9) for _ in company], range(len(company)))
    assert reward(features(company), own)[0] == 1.0


def test_ranks_are_the_same_by_parts(monkeypatch):
    captions = said(["a man on a bike", "man", "the dog runs"], [0, 0, 1])
    reward = RankReward(discriminator=Likes(), references=REFERENCES, sharpness=0.5)
    together = reward(features([1, 0]), captions)
    monkeypatch.setattr("gan_caption.rewards.rank._AT_ONCE", 2)
    torch.testing.assert_close(reward(features([1, 0]), captions), together)


class Apart(torch.nn.Module):
    """Likes the captions of the second image more than float32's exp can tell, and one of the first's far less."""

    def fast_score(self, features, captions):
        return torch.where(captions.images == 1, 300.0, 0.0) - 300 * (captions.lengths == 2)


def test_rank_where_images_and_captions_lie_far_apart():
    reward = RankReward(discriminator=Apart(), references=REFERENCES, sharpness=1.0)
    found = reward(features([1, 0]), said(["a man on a bike", "man", "the dog runs"], [0, 0, 1]))
    assert found.tolist() == pytest.approx([1.0, 0.0, 1.0], abs=1e-6)


@pytest.mark.parametrize("chunk_rows", [1, 2, 3, 4, 5, 7, 100])
def test_a_set_is_judged_as_a_whole_however_many_captions_are_scored_at_once(chunk_rows):
    torch.manual_seed(0)
    judge, images = tiny.discriminator(SetDiscriminator).eval(), tiny.features(4)
    texts = [[4, EOS], [5, EOS], [4, 5, EOS], [5, 5, EOS], [4, 4, EOS], [5, 4, EOS], [EOS]]
    captions = captions_from_ids(texts, [0, 0, 1, 1, 1, 3, 3])
    whole = judge(images, captions).detach()
    rewards = DiscriminatorReward(discriminator=judge, transform=Logit(), chunk_rows=chunk_rows)(images, captions)
    fits = torch.tensor([size <= chunk_rows for size in (2, 2, 3, 3, 3, 2, 2)])
    torch.testing.assert_close(rewards[fits], whole[fits])
