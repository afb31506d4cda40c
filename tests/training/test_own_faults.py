"""Parts of one's own that are mistaken: what they give is looked at before anything is trained."""

from __future__ import annotations

import sys

import pytest

from gan_caption.errors import UserError
from gan_caption.experiment import run_experiment
from tests.tiny_runs import TINY, TINY_SEQGAN

MINE = """
from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image

from gan_caption.data.corpus import CaptionedImage, Split
from gan_caption.discriminators.lstm import LSTMDiscriminator

if TYPE_CHECKING:
    from torch import Tensor as Unknown


class Reward:
    def __init__(self, *, how: str) -> None:
        self.how = how
        self.asked = 0

    def __call__(self, features, captions):
        right = captions.lengths.float()
        self.asked += 1
        if self.how == "breaks" and self.asked > 3:
            raise ZeroDivisionError("in the middle")
        return {"column": right[:, None], "one": right[:1], "whole": captions.lengths, "nan": right * float("nan"),
                "list": right.tolist(), "breaks": right}[self.how]


class Untyped:
    def __init__(self, *, size) -> None:
        self.size = size


class TypedElsewhere:
    def __init__(self, *, size: Unknown) -> None:
        self.size = size


class Column(LSTMDiscriminator):
    def score(self, features, words, captions):
        return super().score(features, words, captions)[:, None]


class Grown(LSTMDiscriminator):
    def __init__(self, *, size: int, vocabulary_size: int, pooled_size: int) -> None:
        super().__init__(vocabulary_size=vocabulary_size, pooled_size=pooled_size, embedding=8, hidden=size,
                         dropout=0.0, instance_noise=0.0)


class Plain(Split):
    def image(self, index):
        return Image.new("RGB", (8, 8))


class Corpus:
    def __init__(self, *, how: str) -> None:
        self.how = how

    def split(self, name: str) -> Split:
        captions = {"text": "a dog", "none": (), "blank": ("  ",), "twice": ("a dog",)}[self.how]
        names = [0, 0, 1] if self.how == "twice" else range(3)
        return Plain(name, tuple(CaptionedImage(f"p{one}.png", captions) for one in names))
"""
MISTAKEN = "allow=[mine_mistaken]"


@pytest.fixture(autouse=True)
def mine(tmp_path, monkeypatch):
    (tmp_path / "mine_mistaken.py").write_text(MINE)
    monkeypatch.delitem(sys.modules, "mine_mistaken", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))


def rewarding(configured, how, *more):
    config = configured(MISTAKEN, "+experiment=scst", "adversarial.steps=3", *more, base=TINY)
    config["phases"]["policy_gradient"]["objective"]["reward"] = {"_target_": "mine_mistaken.Reward", "how": how}
    return config


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("column", r"phases\.policy_gradient: reward Reward gave \(\d+, 1\) of torch.float32: it gives floating-point"),
        ("one", r"gave \(1,\) of torch.float32"),
        ("whole", "of torch.int64"),
        ("list", "gave a list"),
        ("nan", "reward/mean of two images is nan: the reward gives NaN or infinite numbers"),
    ],
)
def test_a_mistaken_reward_is_told_before_anything_is_trained(configured, how, message, tmp_path):
    with pytest.raises(UserError, match=message):
        run_experiment(rewarding(configured, how), data="scenes")
    assert not list(tmp_path.rglob("metrics.jsonl"))


def test_a_column_is_no_reward_of_tokens(configured):
    """Broadcast over a caption it would have been, by a credit that asks for one."""
    config = rewarding(configured, "column")
    objective = config["phases"]["policy_gradient"]["objective"]
    objective["credit"] = {"_target_": "gan_caption.objectives.credit.Discounted", "discount": 0.5}
    with pytest.raises(UserError, match=r"gave \(\d+, 1\)"):
        run_experiment(config, data="scenes")


def test_a_mistaken_discriminator_is_told(configured, tmp_path):
    config = configured(MISTAKEN, base=TINY_SEQGAN)
    sizes = {"embedding": 8, "hidden": 8, "dropout": 0.0, "instance_noise": 0.0}
    config["discriminator"] = {"_target_": "mine_mistaken.Column", **sizes}
    with pytest.raises(
        UserError, match=r"discriminator: Column\.score answered \(2, 1\): one logit a caption is \(2,\)"
    ):
        run_experiment(config, data="scenes")
    assert not list(tmp_path.rglob("metrics.jsonl"))


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("Untyped", r"reward\.size: mine_mistaken\.Untyped does not say of which type size is: write `size: int`"),
        ("TypedElsewhere", r"TypedElsewhere asks for are .* name 'Unknown' is not defined: import them outside of"),
    ],
)
def test_types_that_are_not_known_are_asked_for(configured, target, message):
    config = rewarding(configured, "nan")
    node = {"_target_": f"mine_mistaken.{target}", "size": 3}
    config["phases"]["policy_gradient"]["objective"]["reward"] = node
    with pytest.raises(UserError, match=message):
        run_experiment(config, data="scenes")


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("text", r"data: train, image 'p0\.png': captions are a tuple of texts, not 'a dog'"),
        ("none", r"image 'p0\.png' has no caption: leave it out"),
        ("blank", r"image 'p0\.png' has no caption"),
        ("twice", r"data: train, image 'p0\.png' stands there twice: names are unique"),
    ],
)
def test_a_mistaken_corpus_is_told(configured, how, message, tmp_path):
    config = configured(MISTAKEN, base=TINY)
    config["data"] = {"_target_": "mine_mistaken.Corpus", "how": how}
    with pytest.raises(UserError, match=message):
        run_experiment(config, data="mine")
    assert not (tmp_path / "outputs").exists()


def test_a_run_whose_class_has_changed_says_so(configured, tmp_path):
    """Its settings are the same, and it would be taken up again."""
    config = configured(MISTAKEN, base=TINY_SEQGAN)
    config["discriminator"] = {"_target_": "mine_mistaken.Grown", "size": 8}
    run_experiment(config, data="scenes")
    file = tmp_path / "mine_mistaken.py"
    file.write_text(MINE.replace("hidden=size,", "hidden=2 * size,"))
    del sys.modules["mine_mistaken"]
    for results in tmp_path.rglob("results.json"):
        results.unlink()
    with pytest.raises(UserError, match=r"last\.pt has other weights .*size mismatch .*: a class has changed since"):
        run_experiment({**config, "resume": "auto"}, data="scenes")


def test_of_a_fault_in_the_middle_it_is_said_how_to_go_on(configured, capsys):
    with pytest.raises(ZeroDivisionError, match="in the middle"):
        run_experiment(rewarding(configured, "breaks"), data="scenes")
    assert "the same command with resume=auto goes on from there when the fault is mended" in capsys.readouterr().err
