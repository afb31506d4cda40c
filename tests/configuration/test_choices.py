"""A choice of a page that another page undoes is refused; what the choice itself says is taken."""

from __future__ import annotations

import pytest
from omegaconf import OmegaConf

from gan_caption.configuration.choices import check_choices
from gan_caption.errors import UserError
from tests.started import ended
from tests.tiny_runs import TINY

PAGES = {"baseline/mean.yaml": "of.Mean", "baseline/zero.yaml": "of.Zero", "data/scenes.yaml": None}


def made_in(folder):
    """The package's pages alone."""
    for page, target in PAGES.items():
        path = folder / page
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("n: 1\n" if target is None else f"_target_: {target}\n")
    return [folder]


@pytest.fixture
def folders(tmp_path):
    """The user's own pages, and the package's."""
    made_in(tmp_path / "package")
    (tmp_path / "own" / "baseline").mkdir(parents=True)
    (tmp_path / "own" / "baseline" / "zero.yaml").write_text("_target_: of.OwnZero\n")
    return [tmp_path / "own", tmp_path / "package"]


def composed(target):
    return OmegaConf.create({"a": {"b": {"_target_": target}}, "baseline": {"_target_": target}, "data": {"n": 2}})


@pytest.mark.parametrize(
    ("target", "given"),
    [
        ("of.Mean", "baseline@a.b=mean"), ("of.Mean", "+baseline@a.b=mean"), ("of.Mean", "baseline=mean"),
        ("of.OwnZero", "baseline@a.b=zero"),  # the user's page of that name holds
        ("of.Zero", "data=scenes"),  # a page of several parts
        ("of.Zero", "baseline@a.b=null"), ("of.Zero", "baseline@not.there=mean"), ("of.Zero", "a.b.c=mean"),
        ("of.Zero", "~baseline@a.b"),
    ],
)  # fmt: skip
def test_what_is_there_or_was_no_choice_is_taken(folders, target, given):
    check_choices(composed(target), [given], folders)


@pytest.mark.parametrize("given", ["baseline@a.b=mean", "+baseline@a.b=mean", "baseline=mean"])
def test_a_choice_that_another_page_undid_is_refused(folders, given):
    with pytest.raises(UserError, match=r"has no effect: .* says \S+\._target_=of\.Zero"):
        check_choices(composed("of.Zero"), ["seed=1", given], folders)


@pytest.mark.parametrize(
    "given",
    [
        ["baseline@a.b=mean", "baseline@a.b=zero"],  # as Hydra has it, the last choice holds
        ["baseline@a.b=mean", "a.b._target_=of.Zero"], ["+baseline@a.b=mean", "++a.b._target_=of.Zero"],
    ],
)  # fmt: skip
def test_a_choice_that_was_taken_back_on_the_command_line_is_no_error(tmp_path, given):
    check_choices(composed("of.Zero"), given, made_in(tmp_path / "package"))


def test_of_two_choices_the_last_one_must_hold(folders):
    with pytest.raises(UserError, match="baseline=mean has no effect"):
        check_choices(composed("of.OwnZero"), ["baseline=zero", "baseline=mean"], folders)


def test_a_shared_choice_that_the_experiment_does_not_take_is_refused(folders):
    """`adversarial.baseline` is for pages that refer to it."""
    shared = {"adversarial": {"baseline": {"_target_": "of.Mean"}}}
    own = {"phases": {"adversarial": {"objective": {"baseline": {"_target_": "of.OwnZero"}}}}}
    given = "baseline@adversarial.baseline=mean"
    with pytest.raises(UserError, match=r"give baseline@phases\.adversarial\.objective\.baseline=mean"):
        check_choices(OmegaConf.create({**shared, **own}), [given], folders)
    referred = {"phases": {"adversarial": {"objective": {"baseline": "${adversarial.baseline}"}}}}
    check_choices(OmegaConf.create({**shared, **referred}), [given], folders)
    check_choices(OmegaConf.create({**shared, "phases": {}}), [given], folders)


def test_a_study_comes_after_the_experiment_that_it_makes_cheap(folders):
    nothing = OmegaConf.create({"phases": {}})
    check_choices(nothing, ["+experiment=cgan", "+study=cheap"], folders)
    with pytest.raises(UserError, match=r"\+study=cheap stands before \+experiment"):
        check_choices(nothing, ["+study=cheap", "+experiment=cgan"], folders)


@pytest.mark.slow
def test_the_command_line_refuses_it_before_anything_is_trained(tmp_path):
    (tmp_path / "experiment").mkdir()
    lines = ["# @package _global_", "defaults:", "  - /experiment@_global_: mle", "  - _self_",
             "generator:", "  _target_: gan_caption.generators.lstm.LSTMGenerator"]  # fmt: skip
    (tmp_path / "experiment" / "mine.yaml").write_text("\n".join(lines))
    chosen = ("--config-dir", str(tmp_path), "+experiment=mine", "generator=transformer", *TINY)
    told = ended("gan_caption.train", *chosen, f"outputs={tmp_path}/outputs")
    assert told.returncode == 2
    assert told.stderr.startswith("error: generator=transformer has no effect")
    assert not (tmp_path / "outputs").exists()
