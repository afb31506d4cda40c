"""What people's captions cost a resampled policy, beside the sum over all captions that there are."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
import torch

from gan_caption.data.captions import BOS, captions_from_ids
from gan_caption.data.corpus import CaptionedImage, Split
from gan_caption.decoding.decoders import Greedy, Sampling
from gan_caption.decoding.rejection import Rejection
from gan_caption.decoding.resampling import Resampling
from gan_caption.evaluation.curve import sample_curve
from gan_caption.evaluation.evaluator import Evaluator
from gan_caption.evaluation.likelihood import reference_nll
from gan_caption.generators import parts
from gan_caption.metrics.standard import LEARNED_BY_HEART
from gan_caption.reporting.table import curve_table
from gan_caption.text.words import WordTokenizer
from gan_caption.training.networks import EncoderDecoder
from gan_caption.training.seeding import shared_generator
from tests import tiny

WRITTEN = [("red ball", "ball"), ("red", "ball red", "red red")]
ALPHA = 0.7
ENDS = ("low", "high")


@dataclass
class Source:
    """The two images' features."""

    split: Split

    def features(self, rows, *, grid, device):
        return tiny.features().select(torch.tensor(list(rows)))


def resampling(**changes) -> Resampling:
    given = {"candidates": 41, "density_sets": 50, "top_k": 0, "top_p": 1.0, **changes}
    return Resampling(judge=tiny.CaptionReward(), alpha=ALPHA, own_weight=0.0, temperature=1.0, **given)


def evaluator(decoder) -> Evaluator:
    split = Split("val", [CaptionedImage(str(row), own) for row, own in enumerate(WRITTEN)])
    tokenizer = WordTokenizer(min_count=1).learn([text for own in WRITTEN for text in own])
    return Evaluator(
        Source(split), tokenizer, decoder=Greedy(), decoders={"resampling": decoder}, training_captions=set(),
        max_length=3, samples_per_image=4, device=torch.device("cpu"),
    )  # fmt: skip


CAPTIONER = EncoderDecoder(tiny.generators()[0], None)


def truth(made: Evaluator) -> list[list[float]]:
    """-log p(x) w(x) / Z of every reference, Z a sum over all captions."""
    told = []
    for image, own in enumerate(WRITTEN):
        texts = tiny.all_captions()
        log_p = [tiny.stepwise_log_probs(CAPTIONER.generator, tiny.features(), text, image).sum().item()
                 for text in texts]  # fmt: skip
        log_w = (ALPHA * tiny.reward_of(tiny.captions_of(image))).tolist()
        log_z = math.log(sum(math.exp(p + w) for p, w in zip(log_p, log_w, strict=True)))
        rows = [texts.index(made.tokenizer.encode(text, max_length=3)) for text in own]
        told.append([log_z - log_p[row] - log_w[row] for row in rows])
    return told


def test_an_evaluation_tells_the_enumerated_nll_from_below_and_above():
    made = evaluator(resampling())
    found = made.evaluate(CAPTIONER, phase="resampling").metrics
    costs = [cost for own in truth(made) for cost in own]
    tokens = sum(min(len(text.split()) + 1, 3) for own in WRITTEN for text in own)
    assert any(len(made.tokenizer.encode(text, max_length=3)) < 3 for own in WRITTEN for text in own)
    for unit, count in (("caption", len(costs)), ("token", tokens)):
        low, high = (found[f"limit_nll_per_{unit}_{end}"] for end in ENDS)
        assert low < high
        assert (low + high) / 2 == pytest.approx(sum(costs) / count, rel=0.01)
    plain = made.evaluate(CAPTIONER).metrics
    assert not any(name.startswith("limit") for name in plain)
    assert abs(plain["nll_per_caption"] - sum(costs) / len(costs)) > 0.05, "the weights must matter here"


def test_of_people_is_told_what_so_many_captions_say_and_what_systems_are_told():
    """Fewer captions an image than samples have fewer words."""
    made = evaluator(resampling())
    fewest = min(map(len, WRITTEN))
    for samples, there in ((fewest, True), (fewest + 1, False)):
        made.samples_per_image = samples
        assert ("sample_vocabulary" in made.humans()) == there
    assert "verbatim" in made.humans()
    made.metrics = {name: own for name, own in made.metrics.items() if name not in LEARNED_BY_HEART}
    assert made.humans().keys().isdisjoint(LEARNED_BY_HEART)


def test_a_curve_tells_it_of_each_image_where_nothing_is_cut_off():
    made = evaluator(resampling())
    whole, cut = sample_curve(CAPTIONER, made, [(1.0, 1.0), (1.0, 0.9)], phase="resampling")
    for image, own in enumerate(truth(made)):
        low, high = (whole.values[f"limit_nll_per_caption_{end}"][image] for end in ENDS)
        assert (low + high) / 2 == pytest.approx(sum(own) / len(own), rel=0.02)
    assert not any(name.startswith("limit") for name in cut.values)
    last = curve_table([whole, cut], made.all_metrics).splitlines()[-1]
    assert last.count("| -") == 0
    assert last.endswith("- |")
    made = evaluator(resampling(candidates=1))
    assert not any(name.startswith("limit") for name in made.evaluate(CAPTIONER, phase="resampling").metrics)


def test_what_is_cut_off_or_rejected_has_no_such_limit():
    rejection = Rejection(
        judge=tiny.CaptionReward(), alpha=ALPHA, own_weight=0.0, temperature=1.0, candidates=4, density_sets=3, top_k=0,
        top_p=1.0, bound=1.0,
    )  # fmt: skip
    for decoder, cut in ((rejection, False), (resampling(top_p=0.9), True), (resampling(top_k=2), True)):
        found = evaluator(decoder).evaluate(CAPTIONER, phase="resampling").metrics
        assert math.isnan(found["nll_per_caption"]) == cut, "what people write may never be proposed"
        assert not any(name.startswith("limit") for name in found)


def test_of_a_policy_with_noise_the_density_of_resampled_captions_is_not_known():
    """Candidates have a noise each, and a person's caption has none: at noise 0 it would be weighed among others."""
    noisy = EncoderDecoder(tiny.lstm(noise_size=2).eval(), None)
    found = evaluator(resampling()).evaluate(noisy, phase="resampling").metrics
    assert math.isnan(found["nll_per_caption"])
    assert not any(name.startswith("limit") for name in found)


@pytest.mark.parametrize("decoder", [resampling(), Sampling(temperature=0.8, top_k=0, top_p=1.0)])
def test_as_many_captions_at_once_as_fit_into_memory(monkeypatch, decoder):
    features = tiny.features()
    captions = captions_from_ids([[4, 3], [5, 4, 3], [3], [5, 5, 4], [4, 3]], [0, 0, 1, 1, 1])
    told = reference_nll(CAPTIONER.generator, features, captions, decoder, max_length=3, rng=shared_generator(1))
    monkeypatch.setattr(parts, "MOST", 2 * 4 * tiny.VOCABULARY * 3 * 2)  # two captions of three tokens
    apart = reference_nll(CAPTIONER.generator, features, captions, decoder, max_length=3, rng=shared_generator(1))
    assert apart.nats == pytest.approx(told.nats, rel=1e-5)
    assert apart.tokens == told.tokens
    assert apart.limit == [pytest.approx(own, rel=1e-5) for own in told.limit]


def test_a_process_without_an_image_adds_nothing():
    features, captions = tiny.features().select(torch.tensor([], dtype=torch.long)), captions_from_ids([], [])
    told = reference_nll(CAPTIONER.generator, features, captions, resampling(), max_length=3, rng=shared_generator(1))
    assert (told.nats, told.tokens, told.limit, told.ends) == (0, 0, [], (0, 0))


def test_the_nll_of_a_policy_is_summed_word_by_word_at_the_temperature_of_its_samples():
    made = evaluator(resampling())
    made.sampling = Sampling(temperature=0.7, top_k=0, top_p=1.0)
    generator, nats, tokens = CAPTIONER.generator, 0.0, 0
    for image, own in enumerate(WRITTEN):
        for text in own:
            state, previous = generator.start(tiny.features().select(torch.tensor([image])), 3), BOS
            for token in made.tokenizer.encode(text, max_length=3):
                logits, state = generator.step(torch.tensor([previous]), state)
                nats -= (logits[0] / 0.7).log_softmax(0)[token - generator.first_word].item()
                tokens, previous = tokens + 1, token
    found = made.evaluate(CAPTIONER).metrics
    assert found["nll_per_token"] == pytest.approx(nats / tokens, rel=1e-5)
    assert found["nll_per_caption"] == pytest.approx(nats / sum(map(len, WRITTEN)), rel=1e-5)
