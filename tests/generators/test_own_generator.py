"""A generator outside the package, which knows nothing of it: the example of experiments/own_generator."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from experiments.own_generator.transformer import TransformerGenerator
from gan_caption.data.captions import EOS, captions_from_ids
from gan_caption.decoding.beam import beam_candidates
from gan_caption.decoding.rollouts import complete_prefixes
from gan_caption.inference.exporting import export_run
from gan_caption.inference.onnx_captioner import OnnxCaptioner
from gan_caption.inference.settings import export_from
from gan_caption.testing import check_generator
from tests import tiny
from tests.started import ended
from tests.test_readme import own_files
from tests.tiny_runs import TINY_SEQGAN, composed, part

ROOT = Path(__file__).parents[2]
OWN = ["allow=[experiments.own_generator]", "generator=my_transformer"]
SIZES = ["generator.hidden=16", "generator.layers=2", "generator.heads=2"]


def made(kind: type[TransformerGenerator] = TransformerGenerator, **settings) -> TransformerGenerator:
    torch.manual_seed(0)
    sizes = {"vocabulary_size": tiny.VOCABULARY, "pooled_size": 5, "hidden": 8, "layers": 2, "heads": 2, "dropout": 0.1}
    generator = kind(**{**sizes, **settings})
    for parameter in generator.output.parameters():
        parameter.data *= 3
    return generator.eval()


def test_it_keeps_the_contract():
    check_generator(made(vocabulary_size=9), tiny.features(3))
    check_generator(made(vocabulary_size=9, layers=1, heads=1).train(), tiny.features(2), max_length=9)


def test_room_for_one_word_too_few_is_told():
    class Short(TransformerGenerator):
        def start(self, features, max_length):
            return super().start(features, max_length - 1)

    generator = made(Short, vocabulary_size=9)
    with pytest.raises(AssertionError, match="<bos> and max_length tokens must have room"):
        check_generator(generator, tiny.features(3))


def test_the_generator_of_contributing_keeps_the_contract():
    """Three methods around a layer of PyTorch's; it takes no weights over words, which CONTRIBUTING says."""
    written: dict[str, Any] = {"__name__": "mine.gru"}
    exec(own_files()["mine/gru.py"], written)
    torch.manual_seed(0)
    generator = written["GRUGenerator"](vocabulary_size=9, pooled_size=5, hidden=8)
    check_generator(generator, tiny.features(3), soft_words=False)
    with pytest.raises(AssertionError, match="set soft_words=False"):
        check_generator(generator, tiny.features(3))


def test_it_is_short_and_the_package_does_not_know_it():
    lines = (ROOT / "experiments/own_generator/transformer.py").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 120
    for path in (ROOT / "gan_caption").rglob("*.py"):
        assert "own_generator" not in path.read_text(encoding="utf-8")


def test_a_beam_finds_every_caption_in_its_order():
    generator, images = made(), tiny.features()
    found = beam_candidates(generator, images, beam_size=16, max_length=tiny.LENGTH)
    for image in (0, 1):
        exact = generator.score(images, tiny.captions_of(image)).sum(1)
        order = exact.argsort(descending=True)
        captions = found.captions.select(found.captions.images == image)
        assert [row[:n].tolist() for row, n in zip(captions.tokens, captions.lengths, strict=True)] == [
            tiny.all_captions()[place] for place in order
        ]


def test_rollouts_follow_the_law_of_rerun_prefixes():
    generator, images, draws = made(), tiny.features(), 8000
    captions = captions_from_ids([[5, 4, 4], [4, EOS]], [0, 1])
    done = complete_prefixes(
        generator, images, captions, rollouts=draws, max_length=3, rng=torch.Generator().manual_seed(0)
    )
    tails = done.captions.tokens[(done.rows == 0) & (done.steps == 1), 2]
    exact = torch.nn.functional.pad(generator.logits(images, captions)[2].softmax(0), (EOS, 0))
    shares = tails.bincount(minlength=tiny.VOCABULARY) / draws
    assert ((shares - exact).abs() < 4 * (exact * (1 - exact) / draws).sqrt() + 1e-6).all()


@pytest.mark.slow
def test_it_trains_rolls_out_searches_and_is_exported(tmp_path):
    sizes = [one for one in TINY_SEQGAN if not one.startswith("generator.")]
    folders = [f"outputs={tmp_path}/outputs", f"cache={tmp_path}/cache"]
    pages = ["--config-dir", str(ROOT / "experiments/own_generator/conf")]
    settings = ["decoding=beam", "phases.mle.epochs=12", "phases.mle.learning_rate=0.01"]
    done = ended("gan_caption.train", *pages, *OWN, *SIZES, *sizes, *folders, *settings, folder=ROOT)
    assert done.returncode == 0, done.stderr
    (run,) = (tmp_path / "outputs").iterdir()
    told = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    losses = [one["mle/loss"] for one in told if "mle/loss" in one]
    assert losses[-1] < 0.8 * losses[0]
    paid = [one["reward/mean"] for one in told if one.get("phase") == "adversarial" and "reward/mean" in one]
    assert len(paid) == 4
    assert np.isfinite(paid).all()

    export_run(
        export_from(composed(f"run={run}", f"out={tmp_path}/onnx", "check_images=4", OWN[0], config_name="export"))
    )
    test = part("data/scenes", train=40, val=8, test=8).split("test")
    captioner = OnnxCaptioner(tmp_path / "onnx")
    said = captioner.caption(np.stack([captioner.preprocess(test.image(row)) for row in range(len(test))]))
    words = set(json.loads((tmp_path / "onnx" / "vocabulary.json").read_text(encoding="utf-8")))
    assert all(re.findall(r"\S+", caption) and set(caption.split()) <= words for caption in said)
