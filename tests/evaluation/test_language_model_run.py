"""A pretrained language model rewards, measures and chooses the captions of a run whose policy is another one."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gan_caption import Captioner
from gan_caption.configuration.building import read
from gan_caption.decoding.beam import beam_candidates
from gan_caption.errors import UserError
from gan_caption.evaluation.settings import ComparisonSettings, evaluation_from
from gan_caption.evaluation.text_metrics import language_model_metrics
from gan_caption.evaluation.trained import open_run
from gan_caption.experiment import run_experiment
from gan_caption.generators.imageless_lm import ImagelessLM
from gan_caption.metrics import DocumentFrequencies
from gan_caption.metrics.metric import Predictions
from gan_caption.reporting.report import compare_runs
from gan_caption.reporting.results import evaluate_run
from gan_caption.rewards.text_judge import TextJudge, as_sentence
from gan_caption.text.pretrained_models import find_model, load_causal_lm, load_tokenizer
from gan_caption.training.setup import open_corpus, open_features
from tests import tiny_lm
from tests.tiny_runs import TINY

SCST = [
    *TINY, "+experiment=scst", "phases.policy_gradient.steps=2", "phases.policy_gradient.validate_every=1",
    "phases.policy_gradient.images_per_batch=4",
]  # fmt: skip
REWARD = "reward@phases.policy_gradient.objective.reward="


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    return str(tiny_lm.write_model(tmp_path_factory.mktemp("gpt2"), "gpt2", positions=128))


def nats_a_word(model: str, captions: list[str]) -> float:
    """By the library's own loss of each sentence alone."""
    source = find_model(model)
    network, tokenizer = load_causal_lm(source), load_tokenizer(source)
    nats = words = 0.0
    for caption in captions:
        text = f"{tokenizer.bos_token}{as_sentence(caption)}{tokenizer.eos_token}"
        tokens = torch.tensor([tokenizer(text)["input_ids"]])
        with torch.no_grad():
            nats += network(input_ids=tokens, labels=tokens).loss.item() * (tokens.shape[1] - 1)
        words += len(caption.split()) + 1
    return nats / words


def test_nats_a_word_by_hand(model):
    references = [["a dog runs", "the dog"], ["a man rides a bike", "one man"]]
    samples = [["a dog runs fast", ""], ["a man", "a man on a bike"]]
    told = Predictions(["a dog", "a man rides"], samples, references, DocumentFrequencies.of(references))
    captions, drawn = language_model_metrics(TextJudge(model, device=torch.device("cpu")))
    found = captions.function(told)
    assert found.corpus == pytest.approx(nats_a_word(model, ["a dog", "a man rides"]), rel=1e-5)
    assert found.per_image.tolist() == pytest.approx([nats_a_word(model, [text]) for text in told.captions], rel=1e-5)
    assert drawn.function(told).corpus == pytest.approx(nats_a_word(model, [*samples[0], *samples[1]]), rel=1e-5)
    assert language_model_metrics(None) == ()


@pytest.mark.slow
def test_a_run_is_rewarded_and_measured_by_a_language_model(configured, model, tmp_path):
    reward, named = f"{REWARD}cider_d_and_language_model", f"language_model={model}"
    finished = run_experiment(configured(reward, named, base=SCST), data="scenes")
    folder = finished.folder
    records = list(map(json.loads, (folder / "metrics.jsonl").read_text().splitlines()))
    parts = [one["reward/language_model"] for one in records if "reward/language_model" in one]
    assert parts
    assert max(parts) < 0
    assert any("val/pretrained_lm_nll" in one and "val/sample_pretrained_lm_nll" not in one for one in records)

    results = json.loads((folder / "results.json").read_text())
    for system, values in results["systems"].items():
        told = json.loads((folder / f"captions_{system}.json").read_text())
        assert values["pretrained_lm_nll"] == pytest.approx(nats_a_word(model, [row["caption"] for row in told]))
        drawn = [text for row in told for text in row["samples"]]
        assert values["sample_pretrained_lm_nll"] == pytest.approx(nats_a_word(model, drawn))
    assert results["humans"]["pretrained_lm_nll"] == results["humans"]["sample_pretrained_lm_nll"] > 0
    assert f"nats a word by {Path(model).name}" in (folder / "table.md").read_text()

    # Evaluated and compared without saying it again, and by another one where that is asked for.
    page = {"run": str(folder), "curve": None, "split": "test"}
    again = evaluate_run(evaluation_from(configured(*_set(page), base=[], config_name="evaluate")))
    assert again["mle"]["pretrained_lm_nll"] == results["systems"]["mle"]["pretrained_lm_nll"]
    other = str(tiny_lm.write_model(tmp_path / "llama", "llama", positions=128))
    page["language_model"] = other
    judged = evaluate_run(evaluation_from(configured(*_set(page), base=[], config_name="evaluate")))
    assert judged["mle"]["pretrained_lm_nll"] != again["mle"]["pretrained_lm_nll"]
    told = {"runs": f"[{folder}]", "out": tmp_path / "report", "curve": None, "gallery": 1, "judge.epochs": 1,
            "judge.folds": 2}  # fmt: skip
    asked = read(ComparisonSettings, configured(*_set(told), base=[], config_name="compare"))
    report = compare_runs(asked, command="")
    with (report / "metrics.csv").open() as file:
        rows = {(row["metric"], row["system"]): row["value"] for row in csv.DictReader(file)}
    for name in ("pretrained_lm_nll", "sample_pretrained_lm_nll"):
        assert float(rows[name, "scst"]) == pytest.approx(results["systems"]["policy_gradient"][name])
        assert float(rows[name, "humans"]) == pytest.approx(results["humans"]["pretrained_lm_nll"])


@pytest.mark.slow
def test_it_chooses_among_the_candidates_of_any_search(configured, model):
    """A run whose captions it chooses alone: of the beam's, the one that it finds most probable a word."""
    chosen = ["decoding=reranked", "decoding.weights.own=0", "decoding.weights.language_model=1",
              "decoding.judges.language_model.length_penalty=1", "decoding.proposer.beam_size=3"]  # fmt: skip
    folder = run_experiment(configured(*chosen, f"language_model={model}", base=[*TINY, "+experiment=mle"]),
                            data="scenes").folder  # fmt: skip
    told = json.loads((folder / "captions_mle.json").read_text())
    trained = open_run(folder, device="cpu")
    trained.load("mle")
    split = open_corpus(trained.settings).split("test")
    features = open_features(trained.settings, trained.encoder, split, device=torch.device("cpu"))
    generator = trained.captioner.generator.eval()
    with torch.no_grad():
        found = beam_candidates(
            generator, features.features(range(8), grid=True, device=torch.device("cpu")), beam_size=3, max_length=10,
            length_penalty=0.8,
        )  # fmt: skip
    for image, row in enumerate(told):
        own = found.captions.select(found.captions.images == image)
        texts = [trained.tokenizer.decode(ids) for ids in own.tokens.tolist()]
        assert row["caption"] == min(texts, key=lambda text: nats_a_word(model, [text]))


def test_a_run_that_goes_on_is_judged_by_the_same_model(configured, tmp_path):
    folder = tmp_path / "lm"
    tiny_lm.write_model(folder, "gpt2", positions=128)
    config = configured(f"language_model={folder}", "resume=auto", base=[*TINY, "+experiment=mle"])
    run = run_experiment(config, data="scenes").folder
    (run / "results.json").unlink()
    tiny_lm.write_model(folder, "gpt2", positions=128, seed=1)
    with pytest.raises(UserError, match=r"language_model=.*began with .*: give the same one"):
        run_experiment(config, data="scenes")


@pytest.mark.slow
def test_it_advises_at_every_word_where_the_captioner_writes_its_tokens(configured, model, tmp_path):
    lm = ["generator=pretrained_lm", "generator.prefix=2", "mapper@generator.mapper=mlp", f"lm.model={model}",
          "max_length=12", "decoding=beam", "decoding.beam_size=3"]  # fmt: skip
    folder = run_experiment(configured("+experiment=mle", *lm, base=TINY), data="scenes").folder
    photo = np.full((64, 64, 3), 90, np.uint8)
    fused = Captioner.load(folder, language_model=model, fusion=0.5)
    assert fused.caption(photo).best.log_prob <= Captioner.load(folder).caption(photo).best.log_prob
    # Told anew: the search adds log p + .5 log p_LM, both over the words that may be written.
    features = fused.encode(fused.trained.encoder.preprocess(Image.fromarray(photo))[None])
    found = beam_candidates(fused.writer, features, beam_size=3, max_length=12, length_penalty=0.8)
    own = fused.trained.captioner.generator.score(features, found.captions).sum(1)
    alone = ImagelessLM(find_model(model)).eval().score(features, found.captions).sum(1)
    torch.testing.assert_close(found.log_probs, own + 0.5 * alone, atol=1e-3, rtol=1e-4)
    other = str(tiny_lm.write_model(tmp_path / "llama", "llama"))
    with pytest.raises(UserError, match=r"fusion=0\.5: .*tokens of its own"):
        Captioner.load(folder, language_model=other, fusion=0.5)


def _set(page: dict) -> list[str]:
    return [f"{key}={'null' if value is None else value}" for key, value in page.items()]


@pytest.mark.slow
def test_it_rewards_alone_with_credit_by_monte_carlo(configured, model):
    reward = "reward@phases.adversarial.objective.reward=language_model"
    finished = run_experiment(configured(reward, f"language_model={model}"), data="scenes")
    records = map(json.loads, (finished.folder / "metrics.jsonl").read_text().splitlines())
    rewards = [one["reward/mean"] for one in records if "reward/mean" in one]
    assert rewards
    assert max(rewards) < 0


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ((f"{REWARD}language_model",), "phases.policy_gradient.*asks a language model.*give language_model=smollm2"),
        (("language_model=./nowhere",), r"\./nowhere.*: there is no such folder or file"),
        (("language_model={model}", "tokenizer=characters"), "reads sentences of words.*counted by character"),
    ],
)
def test_what_cannot_judge_is_told_before_anything_is_trained(configured, model, overrides, message):
    overrides = [one.replace("{model}", model) for one in overrides]
    with pytest.raises(UserError, match=message):
        run_experiment(configured(*overrides, base=SCST), data="scenes")


def test_a_metric_changes_nothing_of_the_training_and_none_is_loaded_unnamed(configured, model):
    base = [*TINY, "+experiment=mle"]
    plain, judged = (
        run_experiment(configured(*one, base=base), data="scenes") for one in ([], [f"language_model={model}"])
    )
    assert "pretrained_lm" not in (plain.folder / "results.json").read_text()
    assert not (plain.folder / "language_model.json").exists()
    more = judged.systems["mle"]
    assert more.pop("pretrained_lm_nll") > 0
    assert more.pop("sample_pretrained_lm_nll") > 0
    assert repr(more) == repr(plain.systems["mle"])
