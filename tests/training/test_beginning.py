"""Beginning with another run's captioner: what is kept, what is new, and a walk with ten photographs of one's own."""

from __future__ import annotations

import json

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from gan_caption.configuration.settings import settings_from
from gan_caption.data.captions import captions_from_ids
from gan_caption.data.features import ImageFeatures
from gan_caption.errors import UserError
from gan_caption.experiment import run_experiment
from gan_caption.inference.captioner import Captioner
from gan_caption.text.characters import CharacterTokenizer
from gan_caption.text.words import WordTokenizer
from gan_caption.training.beginning import Beginning, beginning_of
from gan_caption.training.checkpoint import save_weights
from gan_caption.training.networks import EncoderDecoder
from tests.tiny_runs import composed, part

FEW = ("log_every=1", "tracker=local", "threads=1", "size.hidden=16", "size.embedding=16", "phases.mle.epochs=2",
       "phases.mle.images_per_batch=4", "phases.mle.learning_rate_schedule.warmup_steps=1", "encoder=scene_cnn",
       "encoder.width=4", "vocabulary.min_count=1")  # fmt: skip
SIZES = {"hidden": 4, "embedding": 5, "dropout": 0.0}
COLOURS = ("red", "blue", "white", "green", "black")


def photographs(root, captions):
    """A folder with so many photographs; half are for training, the others for val and test."""
    root.mkdir()
    rows = []
    for row, text in enumerate(captions):
        Image.new("RGB", (40, 40), COLOURS[row % 5]).save(root / f"{row}.jpg")
        rows += [
            {
                "image": f"{row}.jpg",
                "captions": [text, f"{text} here"],
                "split": ("train", "val", "train", "test")[row % 4],
            }
        ]
    (root / "captions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return root


def test_known_words_keep_their_ids_and_new_ones_come_behind():
    known, learned = WordTokenizer.of(["a", "dog"]), WordTokenizer.of(["my", "dog", "rex"])
    extended = known.extended(learned)
    assert extended.tokens == (*known.tokens, "my", "rex")
    with pytest.raises(UserError, match="give the same tokenizer"):
        known.extended(CharacterTokenizer.of(["a"]))


def test_rows_of_known_words_are_kept_and_those_of_new_ones_are_a_mean(tmp_path):
    """Of 6 known tokens and 2 new ones, by hand; nothing else of a captioner has a row a token."""
    beginning = Beginning(tmp_path, "mle", WordTokenizer.of(["a", "dog"]), tmp_path)
    tensor, alike, often = torch.arange(12.0).view(6, 2), torch.ones(6), torch.tensor([0.0, 0, 0, 0, 3, 1])
    fitted = beginning._fitted("words", torch.zeros(8, 2), tensor, 2, alike)
    torch.testing.assert_close(fitted, torch.tensor([*tensor.tolist(), [5, 6], [5, 6]]))
    output = beginning._fitted("words", torch.zeros(5, 2), tensor[3:], 2, often)  # without <pad>, <unk>, <bos>
    three_of_four = torch.tensor([*tensor[3:].tolist(), [8.5, 9.5], [8.5, 9.5]])  # of (8, 9), the other (10, 11)
    torch.testing.assert_close(output, three_of_four)
    assert beginning._fitted("gate", torch.zeros(3, 2), torch.ones(3, 2), 2, alike).tolist() == [[1, 1]] * 3
    with pytest.raises(UserError, match=r"its gate is \(4, 2\), here \(3, 2\): give the sizes"):
        beginning._fitted("gate", torch.zeros(3, 2), torch.ones(4, 2), 2, alike)


def test_of_known_words_a_captioner_thinks_as_before(tmp_path):
    """Its logits of the known words are the same in each place; a new word's is the mean of those of its captions."""
    known, tokenizer = WordTokenizer.of(["a", "dog"]), WordTokenizer.of(["a", "dog", "rex"])
    theirs, own = (
        EncoderDecoder(part("generator/lstm", vocabulary_size=len(one), pooled_size=3, **SIZES), None).eval()
        for one in (known, tokenizer)
    )
    save_weights(theirs, tmp_path / "weights", vocabulary=known.fingerprint)
    beginning = Beginning(tmp_path, "mle", known, tmp_path / "weights")
    beginning.load(own, tokenizer, [["a dog rex", "a rex"], ["a dog"]], max_length=9)
    features, captions = ImageFeatures(torch.randn(2, 3)), captions_from_ids([[4, 5, 3], [5, 4, 3]], [0, 1])
    before, after = (one.generator.logits(features, captions) for one in (theirs, own))
    assert torch.allclose(after[:, :3], before, atol=1e-6), "<eos>, a, dog"
    assert torch.allclose(after[:, 3], 0.6 * before[:, 1] + 0.4 * before[:, 2], atol=1e-6), "rex"
    beginning.load(own, tokenizer, [["rex"]], max_length=9)  # of nothing known
    after = own.generator.logits(features, captions)
    assert torch.allclose(after[:, 3], before.mean(1), atol=1e-6), "rex"


def test_what_cannot_be_begun_with_is_told(tmp_path):
    with pytest.raises(UserError, match="no run folder"):
        beginning_of(settings_from(composed(f"begin_from={tmp_path}")))
    with pytest.raises(UserError, match="give one of them"):
        settings_from(composed("begin_from=a", "pretrained=b"))
    assert beginning_of(settings_from(composed())) is None


@pytest.mark.slow
def test_ten_photographs_of_ones_own(configured, tmp_path, capsys):
    old = photographs(tmp_path / "old", [f"a {COLOURS[row % 5]} wall" for row in range(20)])
    mine = photographs(tmp_path / "mine", [f"rex on a {COLOURS[row % 5]} sofa" for row in range(10)])
    base = run_experiment(configured("+experiment=mle", "data=folder", f"data.root={old}", *FEW, base=[]), data="f")
    asked = ("+experiment=mle", "data=folder", f"data.root={mine}", f"begin_from={base.folder}", *FEW)
    with pytest.raises(UserError, match=r"its generator\.hidden is 16, here 8: give the same generator"):
        run_experiment(configured(*asked, "size.hidden=8", base=[]), data="f")
    held_out = ("+experiment=mle", "data=folder", f"begin_from={base.folder}", *FEW, "holdout.check=0.2")
    with pytest.raises(UserError, match=r"begin_from=.*has learned from images that this run holds out"):
        run_experiment(configured(*held_out, f"data.root={old}", base=[]), data="f")
    run_experiment(configured(*held_out, f"data.root={mine}", base=[]), data="f")  # others than it has learned from
    capsys.readouterr()
    still = run_experiment(configured(*asked, "phases.mle.learning_rate=1e-12", base=[]), data="f").folder
    assert "3 new ones: rex on sofa" in capsys.readouterr().err.replace("on rex", "rex on")
    words = [json.loads((run / "vocabulary.json").read_text()) for run in (base.folder, still)]
    assert words[1][: len(words[0])] == words[0]
    before, after = (load_file(run / "checkpoints" / "best_mle.safetensors") for run in (base.folder, still))
    assert any(len(after[name]) == len(tensor) + 3 for name, tensor in before.items() if tensor.dim())
    for name, tensor in before.items():
        if tensor.is_floating_point() and "running" not in name:
            assert torch.allclose(after[name][: len(tensor)] if tensor.dim() else after[name], tensor, atol=1e-6), name
    longer = ("phases.mle.epochs=60", "phases.mle.learning_rate=3e-2", "phases.mle.selected_by=nll_per_token",
              "phases.mle.objective.label_smoothing=0", "size.dropout=0")  # fmt: skip
    tuned = run_experiment(configured(*asked, *longer, base=[]), data="f").folder
    said = Captioner.load(tuned).caption(str(mine / "0.jpg")).best.text
    assert {"rex", "sofa"} <= set(said.split())
