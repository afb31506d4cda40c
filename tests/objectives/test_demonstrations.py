"""Weighted losses on people's captions against gradients that are put together word by word."""

from __future__ import annotations

import pytest
import torch
from omegaconf import OmegaConf

from gan_caption.configuration.launching import conf_dir
from gan_caption.data.captions import EOS, UNK, Captions, captions_from_ids
from gan_caption.objectives.demonstrations import Scored
from gan_caption.objectives.gold import DeltaReturn, Gold, ProductReturn, SumReturn
from gan_caption.objectives.maximum_likelihood import MaximumLikelihood
from gan_caption.objectives.more_likelihood import MoreLikelihood
from gan_caption.objectives.precision_recall import PrecisionRecall
from gan_caption.objectives.tailr import TaiLr, trust
from tests import tiny

TEXTS = [text for text in tiny.all_captions() for _ in range(2)]
EVERY = captions_from_ids(sorted(TEXTS[::2]) + sorted(TEXTS[::2]), [0] * (len(TEXTS) // 2) + [1] * (len(TEXTS) // 2))


def gradient_of(objective, generator, *, real=EVERY, reference=None):
    (policy,) = objective.losses(
        generator, tiny.features(), real=real, max_length=3, rng=torch.Generator(), reference=reference, progress=0.0
    )
    generator.zero_grad()
    policy.loss.backward()
    return tiny.gradient(generator).clone()


def each_caption(generator, real=EVERY):
    """Log p of each token of each caption, one step at a time."""
    for tokens, length, image in zip(real.tokens, real.lengths, real.images, strict=True):
        yield tiny.stepwise_log_probs(generator, tiny.features(), tokens[:length].tolist(), int(image))


def gradient_by_words(generator, term):
    """The gradient of the mean over all tokens of what `term` gives for a caption's log p."""
    generator.zero_grad()
    torch.cat([term(log_p) for log_p in each_caption(generator)]).mean().backward()
    return tiny.gradient(generator).clone()


def test_every_caption_there_is_is_among_them():
    assert len(EVERY) == 30
    assert len({(int(image), *text.tolist()) for image, text in zip(EVERY.images, EVERY.tokens, strict=True)}) == 30


def test_more_likelihood_is_maximum_likelihood():
    generator = tiny.generators()[0]
    plain = MaximumLikelihood(label_smoothing=0.0, scheduled_sampling=0.0)
    generator.zero_grad()
    plain.loss(generator, tiny.features(), EVERY, torch.Generator()).backward()
    torch.testing.assert_close(gradient_of(MoreLikelihood(), generator), tiny.gradient(generator))


@pytest.mark.parametrize(("gamma", "least"), [(0.1, 0.3), (0.7, 0.0)])
def test_tailr_word_by_word(gamma, least):
    generator = tiny.generators()[0]

    def term(log_p):
        weights = [max(p / (gamma + (1 - gamma) * p), least) for p in log_p.exp().tolist()]
        return -torch.tensor(weights) * log_p

    found = gradient_of(TaiLr(gamma=gamma, least_weight=least), generator)
    torch.testing.assert_close(found, gradient_by_words(generator, term))


def test_tailr_goes_from_maximum_likelihood_to_total_variation():
    generator = tiny.generators()[0]
    likelihood = gradient_of(MoreLikelihood(), generator)
    torch.testing.assert_close(gradient_of(TaiLr(gamma=0.0, least_weight=0.0), generator), likelihood)
    variation = gradient_by_words(generator, lambda log_p: 1 - log_p.exp())
    torch.testing.assert_close(gradient_of(TaiLr(gamma=1.0, least_weight=0.0), generator), variation)
    assert (variation - likelihood).norm() > 0.3 * likelihood.norm()


def test_a_word_that_the_policy_excludes_counts_as_in_maximum_likelihood():
    assert trust(torch.tensor([0.0, 0.5]), gamma=0.0).tolist() == [1, 1]
    assert trust(torch.tensor([0.0, 0.5]), gamma=1.0).tolist() == pytest.approx([0, 0.5])


def test_gold_delta_word_by_word():
    generator = tiny.generators()[0]
    found = gradient_of(Gold(returns=DeltaReturn(), least_weight=0.25), generator)
    expected = gradient_by_words(generator, lambda log_p: -log_p.exp().clamp(min=0.25).detach() * log_p)
    torch.testing.assert_close(found, expected)


def test_gold_without_a_floor_is_the_policy_gradient_of_the_shown_captions():
    """p x the gradient of log p is the gradient of p: people's captions are rewarded with 1, all others with 0."""
    generator = tiny.generators()[0]
    found = gradient_of(Gold(returns=DeltaReturn(), least_weight=0.0), generator)
    torch.testing.assert_close(found, gradient_by_words(generator, lambda log_p: -log_p.exp()))


RETURNS = [
    (ProductReturn(horizon=2, discount=0.5, baseline=-3.0, least_reward=1.0), lambda p: max(p.log().item() + 3, 1)),
    (SumReturn(horizon=2, discount=0.5, least_reward=0.2), lambda p: max(p.item(), 0.2)),
]


@pytest.mark.parametrize(("returns", "reward"), RETURNS, ids=["product", "sum"])
def test_golds_returns_word_by_word(returns, reward):
    reference = tiny.generators(seed=5)[0]
    found = returns(tiny.features(), EVERY, reference)
    one = torch.tensor(1.0)
    for row, log_p in enumerate(each_caption(reference)):
        rewards = [reward(p) for p in log_p.exp()] + [reward(one)] * 2
        for step in range(len(log_p)):
            expected = rewards[step] + 0.5 * rewards[step + 1] + 0.25 * rewards[step + 2]
            assert found[row, step].item() == pytest.approx(expected, rel=1e-4)


def test_golds_weight_is_the_policys_and_its_return_the_references():
    generator, reference = tiny.generators()[0], tiny.generators(seed=5)[0]
    returns = SumReturn(horizon=1, discount=1.0, least_reward=0.0)
    found = gradient_of(Gold(returns=returns, least_weight=0.2), generator, reference=reference)
    judged = iter(returns(tiny.features(), EVERY, reference))
    expected = gradient_by_words(
        generator, lambda log_p: -(log_p.exp().clamp(min=0.2).detach() * next(judged)[: len(log_p)]) * log_p
    )
    torch.testing.assert_close(found, expected)


def test_golds_return_does_not_depend_on_the_padding():
    returns = SumReturn(horizon=5, discount=0.9, least_reward=0.1)
    reference = tiny.generators(seed=5)[0]
    short = captions_from_ids([[4, EOS]], [0])
    padded = Captions(torch.nn.functional.pad(short.tokens, (0, 3)), short.lengths, short.images)
    found = [returns(tiny.features(), captions, reference)[0, :2] for captions in (short, padded)]
    torch.testing.assert_close(*found)


def test_golds_return_needs_the_pretrained_policy():
    gold = Gold(returns=SumReturn(horizon=1, discount=1.0, least_reward=0.0), least_weight=0.2)
    with pytest.raises(ValueError, match="there is none; gold_return=delta"):
        gradient_of(gold, tiny.generators()[0])


@pytest.mark.parametrize(("recall", "gamma"), [(0.1, 0.2), (0.5, 0.02), (1.0, 0.3)])
def test_precision_recall_is_the_gradient_of_what_is_covered(recall, gamma):
    """Of the sum of lambda'^t min(lambda', q / p), with the estimate of p held fixed: q enters by the minimum alone."""
    generator = tiny.generators()[0]

    def term(log_q):
        q, rate = log_q.exp(), recall ** (1 / len(log_q))
        p = (gamma + (1 - gamma) * q).detach()
        return -(rate ** torch.arange(len(q))) * torch.minimum(torch.tensor(rate), q / p)

    found = gradient_of(PrecisionRecall(recall=recall, gamma=gamma), generator)
    torch.testing.assert_close(found, gradient_by_words(generator, term))


def test_the_precision_recall_page_teaches_what_a_pretrained_policy_lacks():
    """Of a caption of 12 tokens the words that it gives a tenth learn, and those that it gives a half do not."""
    page = OmegaConf.load(conf_dir() / "objective" / "precision_recall.yaml")
    objective = PrecisionRecall(recall=page.recall, gamma=page.gamma)
    captions = captions_from_ids([[4] * 11 + [EOS]], [0])
    log_probs = torch.tensor([0.1, 0.5] * 6).log()[None]
    weights = objective.weights(Scored(log_probs, captions.mask, log_probs[0]), tiny.features(), captions, None)
    assert (weights[0] > 0).tolist() == [True, False] * 6


def test_precision_recall_with_lambda_1_is_tailr_without_a_floor():
    generator = tiny.generators()[0]
    found = gradient_of(PrecisionRecall(recall=1.0, gamma=0.3), generator)
    torch.testing.assert_close(found, gradient_of(TaiLr(gamma=0.3, least_weight=0.0), generator))


def test_the_words_shortfall_bounds_that_of_whole_captions():
    """The inequality that precision_recall is derived from, enumerated for two known distributions of captions."""
    data, policy = (list(each_caption(one, tiny.captions_of(0))) for one in (
        tiny.generators(seed=5)[0], tiny.generators()[0]))  # fmt: skip
    steps, lam = 3, 0.2
    rate = lam ** (1 / steps)
    whole = words = 0.0
    counted = set()
    for tokens, log_p, log_q in zip(tiny.all_captions(), data, policy, strict=True):
        p, q = log_p.exp(), log_q.exp()
        whole += max(lam * p.prod().item() - q.prod().item(), 0)
        for step in range(len(tokens)):
            prefix = tuple(tokens[: step + 1])
            if prefix not in counted:
                counted.add(prefix)
                words += rate**step * p[:step].prod().item() * max(rate * p[step].item() - q[step].item(), 0)
    # Of a caption that ends early more is asked than lambda p: lambda'^length is larger than lambda.
    assert 0 < whole <= words


def test_unknown_words_are_read_and_never_asked_for():
    captions = captions_from_ids([[4, UNK, EOS]], [0])
    for objective in (MoreLikelihood(), TaiLr(gamma=0.1, least_weight=0.3), PrecisionRecall(recall=0.5, gamma=0.1),
                      Gold(returns=RETURNS[1][0], least_weight=0.2)):  # fmt: skip
        generator = tiny.generators()[0]
        found = gradient_of(objective, generator, real=captions, reference=tiny.generators(seed=5)[0])
        assert found.isfinite().all()
        assert found.abs().sum() > 0


def test_what_is_logged():
    generator = tiny.generators()[0]
    (policy,) = TaiLr(gamma=1.0, least_weight=0.0).losses(
        generator, tiny.features(), real=EVERY, max_length=3, rng=torch.Generator(), reference=None, progress=0.0
    )
    log_p = torch.cat(list(each_caption(generator))).detach()
    assert policy.metrics["policy/nll"] == pytest.approx(-log_p.mean().item(), rel=1e-4)
    assert policy.metrics["policy/weight"] == pytest.approx(log_p.exp().mean().item(), rel=1e-4)
    slow = [-(p * p.log()).sum() for p in generator.logits(tiny.features(), EVERY).softmax(1)]
    assert policy.metrics["policy/entropy"] == pytest.approx(torch.stack(slow).mean().item(), rel=1e-4)


@pytest.mark.parametrize(
    ("made", "name"),
    [
        (lambda: TaiLr(gamma=1.5, least_weight=0.0), "gamma"),
        (lambda: TaiLr(gamma=0.5, least_weight=1.0), "least_weight"),
        (lambda: PrecisionRecall(recall=0.0, gamma=0.5), "recall"),
        (lambda: PrecisionRecall(recall=0.5, gamma=0.0), "gamma"),
        (lambda: Gold(returns=DeltaReturn(), least_weight=1.0), "least_weight"),
        (lambda: SumReturn(horizon=-1, discount=1.0, least_reward=0.0), "horizon"),
        (lambda: SumReturn(horizon=1, discount=0.0, least_reward=0.0), "discount"),
    ],
)
def test_settings_out_of_range(made, name):
    with pytest.raises(ValueError, match=name):
        made()
