"""A choice of a page that another page undoes is refused; what the choice itself says is taken."""

from __future__ import annotations

import re

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from gan_caption.configuration.choices import check_choices, leave_out
from gan_caption.configuration.launching import conf_dir
from gan_caption.errors import UserError
from gan_caption.training.setup import check_configuration
from tests.started import ended
from tests.tiny_runs import TINY
from tests.tiny_runs import composed as as_the_command_line

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


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("+reward=bleu", r"reward=bleu has no place: give reward@phases\.policy_gradient\.objective\.reward=bleu$"),
        ("+optimizer=adam", r"optimizer=adam has no place: give .*optimizer@phases\.mle\.optimizer=adam"),
        ("+learning_rate=constant", r"give .*learning_rate@phases\.mle\.learning_rate_schedule=constant"),
        ("+mine=headless", r"mine=headless has no place: its page must begin with `# @package _global_`, as others of"),
        ("+gate=none", r"gate=none has no place: nothing in this configuration has a page of gate"),
        ("generator=lstm", None), ("+experiment=scst", None), ("baseline@adversarial.baseline=greedy", None),
        ("+discriminator_trainer=ratio", None), ("+mine=whole", None), ("+study=cheap", None),
    ],
)  # fmt: skip
def test_a_part_that_was_chosen_for_no_place_is_told_its_places(tmp_path, given, told):
    (tmp_path / "mine" / "mine").mkdir(parents=True)
    (tmp_path / "mine" / "mine" / "whole.yaml").write_text("# @package _global_\nseed: 3\n")
    (tmp_path / "mine" / "mine" / "headless.yaml").write_text("seed: 3\n")
    entry, out = "gan_caption.train", f"outputs={tmp_path}"
    words = ["--config-dir", "mine", *dict.fromkeys(["+experiment=scst", given]), "data.train=x", out]
    result = ended(entry, *words, folder=tmp_path)
    assert result.returncode == 2
    assert re.search(told or r"error: data\.train: 'x' is not", result.stderr), result.stderr


@pytest.mark.parametrize("listed", ["mine", "other"])
def test_pages_that_list_each_other_in_a_circle_are_named(tmp_path, listed):
    (tmp_path / "experiment").mkdir()
    for name, of in (("mine", listed), ("other", "mine")):
        lines = ["# @package _global_", "defaults:", f"  - {of}"]
        (tmp_path / "experiment" / f"{name}.yaml").write_text("\n".join(lines))
    told = ended("gan_caption.train", "--config-dir", str(tmp_path), "+experiment=mine", folder=tmp_path)
    last = told.stderr.splitlines()[-1]
    assert (told.returncode, last.partition(":")[0]) == (2, "error")
    assert last.endswith("a page lists itself among its defaults, or one that lists it: see +experiment=mine")


def test_a_study_comes_after_the_experiment_that_it_makes_cheap(folders):
    nothing = OmegaConf.create({"phases": {}})
    check_choices(nothing, ["+experiment=cgan", "+study=cheap"], folders)
    with pytest.raises(UserError, match=r"\+study=cheap stands before \+experiment"):
        check_choices(nothing, ["+study=cheap", "+experiment=cgan"], folders)


SWAPPED = {
    "ppo": "baseline@phases.policy_gradient.objective.baseline=leave_one_out",
    "actor_critic": "baseline@phases.policy_gradient.objective.baseline=greedy",
    "scratchgan": "credit@phases.adversarial.objective.credit=monte_carlo",
    "rankgan": "reward@phases.adversarial.objective.reward=discriminator",
    "cgan": "optimizer@phases.adversarial.optimizer=rmsprop",
    "control_constant": "reward@phases.policy_gradient.objective.reward=cider_d",
}


def whole(*overrides):
    """As Hydra has it."""
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return compose("config", list(overrides))


@pytest.mark.parametrize(("page", "choice"), SWAPPED.items())
def test_a_method_takes_another_part_than_its_page_has_and_keeps_all_else(page, choice):
    """What the page says of its own part is left out; the other part, the rest of the page, and what is given stay."""
    config = whole(f"+experiment={page}", choice)
    with pytest.raises(UserError, match="is not known"):
        check_configuration(config)
    place, _, chosen = choice.partition("@")[2].partition("=")
    left_out = leave_out(config, [choice], [conf_dir()], ("gan_caption.",))
    assert left_out
    assert all(one.startswith(f"{place}.") for one in left_out)
    check_configuration(config)
    assert OmegaConf.to_container(config, resolve=True) == as_the_command_line(f"+experiment={page}", choice)
    group = choice.partition("@")[0]
    own = OmegaConf.load(conf_dir() / group / f"{chosen}.yaml")
    told = OmegaConf.select(config, place)
    assert told["_target_"] == own["_target_"]
    rest = whole(f"+experiment={page}")
    for one in (config, rest):
        OmegaConf.update(one, place, None, merge=False)
    assert OmegaConf.to_container(config) == OmegaConf.to_container(rest)


def test_what_is_given_or_stands_in_the_chosen_page_is_not_left_out(tmp_path):
    """A slip of the pen is refused as before."""
    choice = SWAPPED["ppo"]
    place = choice.partition("@")[2].partition("=")[0]
    config = whole("+experiment=ppo", choice)
    left_out = leave_out(config, [choice, f"{place}.hidden=3"], [conf_dir()], ("gan_caption.",))
    assert f"{place}.hidden" not in left_out
    assert list(OmegaConf.select(config, place)) == ["_target_", "hidden"]
    with pytest.raises(UserError, match=r"baseline\.hidden is not known"):
        check_configuration(config)

    (tmp_path / "baseline").mkdir()
    target = "gan_caption.objectives.baselines.LeaveOneOut"
    (tmp_path / "baseline" / "leave_one_out.yaml").write_text(f"_target_: {target}\nhiden: 4\n")
    slip = OmegaConf.create({"baseline": {"_target_": target, "hiden": 4, "decay": 0.9}})
    assert leave_out(slip, ["baseline=leave_one_out"], [tmp_path], ("gan_caption.",)) == ["baseline.decay"]
    assert leave_out(slip, ["seed=3"], [tmp_path], ("gan_caption.",)) == []
    assert slip.baseline.hiden == 4


@pytest.mark.slow
def test_the_command_line_says_what_it_leaves_out(tmp_path):
    small = [*TINY, "phases.mle.epochs=1", "adversarial.steps=1", f"outputs={tmp_path}/outputs"]
    told = ended("gan_caption.train", *small, "+experiment=ppo", SWAPPED["ppo"])
    assert told.returncode == 0, told.stderr
    assert "note: a page says this of another part: left out are phases.policy_gradient.objective.baseline.hid" in (
        told.stdout
    )


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
