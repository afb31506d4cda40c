"""A language model from a run without images, and one from a file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from gan_caption.data.captions import EOS, captions_from_ids
from gan_caption.data.features import ImageFeatures
from gan_caption.decoding.fusion import shallow_fusion
from gan_caption.encoders.none import no_image
from gan_caption.errors import UserError
from gan_caption.evaluation.trained import open_run
from gan_caption.experiment import run_experiment
from gan_caption.generators.ngram import NgramGenerator
from gan_caption.inference.captioner import Captioner
from gan_caption.inference.language_model import load_language_model
from gan_caption.text.words import WordTokenizer
from tests.tiny_runs import TINY, part

CPU = torch.device("cpu")
WITHOUT_IMAGES = [one for one in TINY if not one.startswith("encoder.")]


def train(configured, *overrides: str, base: list[str]) -> Path:
    config = configured("+experiment=mle", "phases.mle.epochs=1", *overrides, base=base)
    return run_experiment(config, data="scenes").folder


@pytest.fixture
def language_run(configured) -> Path:
    return train(configured, "encoder=none", "generator=lstm", base=WITHOUT_IMAGES)


def test_a_run_without_images_advises_a_captioner_of_the_same_words(configured, language_run):
    vocabulary = WordTokenizer(min_count=1).load(language_run / "vocabulary.json")
    language = load_language_model(language_run, tokenizer=vocabulary, device=CPU)
    assert not language.training
    saved = load_file(language_run / "checkpoints" / "best_mle.safetensors")
    assert all(torch.equal(saved[f"generator.{name}"], own) for name, own in language.state_dict().items())

    captioner_run = train(configured, base=TINY)
    run = open_run(captioner_run, device="cpu")
    run.load("mle")
    generator = run.captioner.generator.eval()
    encoder = run.encoder
    features = ImageFeatures(torch.randn(3, encoder.pooled_size), torch.randn(3, encoder.regions, encoder.grid_size))
    fused = shallow_fusion(generator, language, weight=0.3)
    assert len(part("decoding/beam", beam_size=3)(fused, features, max_length=10, rng=torch.Generator())) == 3

    with pytest.raises(UserError, match=rf"sees no image.*language_model={language_run}"):
        Captioner.load(language_run)
    with pytest.raises(UserError, match="encoder=none"):
        load_language_model(captioner_run, tokenizer=vocabulary, device=CPU)
    with pytest.raises(UserError, match="vocabulary is another"):
        load_language_model(language_run, tokenizer=WordTokenizer.of(["a", "dog"]), device=CPU)


def test_a_file_of_counts(tmp_path):
    vocabulary = WordTokenizer.of(["a", "dog", "runs"])
    captions = ["a dog", "a dog runs", "dog runs"]
    learned = NgramGenerator.learn(
        [vocabulary.encode(caption, max_length=5) for caption in captions], vocabulary_size=len(vocabulary), order=3
    )
    learned.save(tmp_path / "trigrams.safetensors", vocabulary=vocabulary.fingerprint)
    model = load_language_model(tmp_path / "trigrams.safetensors", tokenizer=vocabulary, device=CPU)
    text = captions_from_ids([[*map(vocabulary.ids.get, ["a", "dog", "runs"]), EOS]], [0])
    assert torch.equal(model.score(no_image(1, CPU), text), learned.score(no_image(1, CPU), text))
    with pytest.raises(UserError, match="another vocabulary"):
        load_language_model(tmp_path / "trigrams.safetensors", tokenizer=WordTokenizer.of(["cat"]), device=CPU)
    with pytest.raises(UserError, match="there is no such folder or file"):
        load_language_model("./trigrams", tokenizer=vocabulary, device=CPU)  # and not a name of the hub
    with pytest.raises(UserError, match="n-gram model"):
        load_language_model(tmp_path / "missing.safetensors", tokenizer=vocabulary, device=CPU)
