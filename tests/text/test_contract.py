"""A tokenizer from outside the package, of another kind, goes through a run: nothing else knows what a token is."""

from __future__ import annotations

import json

import numpy as np
import pytest

from gan_caption import Captioner
from gan_caption.configuration.building import read
from gan_caption.data.captions import BOS, EOS, PAD, UNK
from gan_caption.errors import UserError
from gan_caption.evaluation.settings import evaluation_from
from gan_caption.experiment import run_experiment
from gan_caption.inference.exporting import export_run
from gan_caption.inference.settings import ExportSettings
from gan_caption.metrics import cider_d, ptb_tokenize
from gan_caption.reporting.results import evaluate_run
from tests.text.subwords import OWN, Subwords
from tests.tiny_runs import TINY, composed, part

TEXTS = ("A red circle.", "It's a blue triangle, isn't it", "tri-an-gle 3.5!")


def test_own_ids_anywhere_are_the_programs():
    tokenizer = Subwords()
    assert tokenizer.own_ids("A red circle.") == [OWN.index(one) for one in ("A", " red", " c", "i", "rcle", ".")]
    for text in TEXTS:
        ids = tokenizer.encode(text, max_length=50)
        assert ids[-1] == EOS
        assert not {PAD, BOS, UNK} & set(ids)
        assert max(ids) < len(tokenizer) == len(OWN)  # without [MASK], with the <unk> that it has not
        assert tokenizer.decode([BOS, *ids, PAD, 5]) == text
    assert tokenizer.tokenized(TEXTS[:2]) == ["a red circle", "it 's a blue triangle is n't it"]


@pytest.mark.slow
def test_subwords_train_and_are_counted_by_word(tmp_path, capsys):
    config = composed(
        *TINY, "+experiment=scst", "phases.policy_gradient.steps=3", "max_length=40",
        "discriminator=cnn", "discriminator.embedding=8", "discriminator.filters=4",
        f"outputs={tmp_path}/outputs", f"cache={tmp_path}/cache",
    )  # fmt: skip
    config |= {"tokenizer": {"_target_": "tests.text.subwords.Subwords"}, "allow": ["tests"]}
    finished = run_experiment(config, data="scenes")
    run, results = finished.folder, finished.systems
    assert (run / "subwords.json").exists()
    assert not (run / "vocabulary.json").exists()
    rows = json.loads((run / "captions_mle.json").read_text())
    split = part("data/scenes", train=40, val=8, test=8).split("test")
    said = ptb_tokenize([row["caption"] for row in rows])
    references = [ptb_tokenize(list(item.captions)) for item in split.items]
    assert results["mle"]["cider_d"] == pytest.approx(cider_d(said, references).corpus)
    assert results["mle"]["length"] == np.mean([len(text.split()) for text in said])
    assert "by character" not in json.loads((run / "results.json").read_text())["title"]

    again = composed(
        f"run={run}", "split=test", "weights=mle", f"cache={tmp_path}/cache", "allow=[tests]", config_name="evaluate"
    )
    again["curve"] = {"temperatures": [0.5], "top_p": []}
    assert evaluate_run(evaluation_from(again))["mle"] == pytest.approx(results["mle"], nan_ok=True)
    told = Captioner.load(run, weights="mle", allow=["tests"]).caption(split.image(0)).best
    assert told.text == rows[0]["caption"] == "".join(told.tokens)
    with pytest.raises(UserError, match="give format=safetensors"):
        export_run(
            read(ExportSettings, composed(f"run={run}", "check_images=2", "allow=[tests]", config_name="export"))
        )
    shared = export_run(
        read(ExportSettings, composed(f"run={run}", "format=safetensors", "allow=[tests]", config_name="export"))
    )
    assert (shared / "subwords.json").exists()
    capsys.readouterr()
