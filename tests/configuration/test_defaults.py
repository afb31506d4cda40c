"""Every knob has one default, in one place: the page that sets it."""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from gan_caption.configuration.choices import check_choices
from gan_caption.configuration.launching import conf_dir
from gan_caption.errors import UserError
from gan_caption.training.setup import OF_THE_PARTS, PARTS

GROUPS = ("phase", "objective", "reward", "transform", "credit", "baseline", "generator_loss", "gate",
          "gold_return",
          "discriminator_trainer", "optimizer", "learning_rate", "generator", "discriminator", "decoding", "proposer",
          "encoder", "data", "tokenizer", "tracker", "mapper", "tuning")  # fmt: skip
PAGES = sorted(
    f"{path.parent.name}/{path.stem}"
    for group in (*GROUPS, "experiment")
    for path in Path(conf_dir(), group).glob("*.yaml")
)


@functools.cache
def composed(page: str) -> dict:
    """A page with those that it takes its parts from; references to other pages stay references."""
    group, _, name = page.partition("/")
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        if group == "generator":  # one may bring its tokenizer, for which there is no place in a page alone
            config = compose("config", [f"generator={name}"])[group]
        else:
            config = compose("config", [f"+experiment={name}"]) if group == "experiment" else compose(page)
    content = OmegaConf.to_container(config, resolve=group in ("experiment", "generator"))
    assert isinstance(content, dict)
    return content


def nodes(content: object) -> Iterator[dict]:
    """Every mapping that names what it builds, and those inside it."""
    if isinstance(content, dict):
        if "_target_" in content:
            yield content
        for value in content.values():
            yield from nodes(value)


def told(page: str) -> set[str]:
    """What the program tells the parts of a page."""
    group = page.partition("/")[0]
    return PARTS.union(*(OF_THE_PARTS.values() if group == "experiment" else [OF_THE_PARTS.get(group, ())]))


def parameters(node: dict) -> dict[str, inspect.Parameter]:
    module, _, name = node["_target_"].rpartition(".")
    signature = inspect.signature(getattr(importlib.import_module(module), name))
    of_torch = {"args", "kwargs"}  # of a network without a constructor of its own
    return {name: parameter for name, parameter in signature.parameters.items() if name not in of_torch}


@pytest.mark.parametrize("page", PAGES)
def test_a_page_sets_every_parameter_that_the_program_does_not(page):
    for node in nodes(composed(page)):
        missing = parameters(node).keys() - told(page) - node.keys()
        # A method's page adds the reward, and its discriminator's trainer.
        missing -= {"reward"} if page.startswith("objective/") else set()
        missing -= {"objective"} if page.startswith("phase/") else set()
        assert not missing, f"{page}: {node['_target_']} is given no {sorted(missing)}"


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_sets_has_no_default_in_python(page):
    found = list(nodes(composed(page)))
    assert found
    for node in found:
        for name, parameter in parameters(node).items():
            assert parameter.kind is parameter.KEYWORD_ONLY, f"{node['_target_']}: {name} can be given by its place"
            assert parameter.default is parameter.empty, f"{node['_target_']}: {name} has a second default"


@pytest.mark.parametrize("page", sorted(path.name for path in conf_dir().glob("*.yaml")))
def test_no_setting_has_the_name_of_a_group(page):
    """Hydra reads `baseline=nsc` as the choice of a page where there is a group `baseline`: nobody could set it."""
    content = yaml.safe_load((conf_dir() / page).read_text(encoding="utf-8"))
    groups = {path.name for path in conf_dir().iterdir() if path.is_dir()}
    assert content.keys() & groups - {"study"} == set(), "a study names itself"


@pytest.mark.parametrize("option", sorted(path.stem for path in Path(conf_dir(), "baseline").glob("*.yaml")))
def test_a_choice_that_the_oracles_schedule_undoes_is_refused(option):
    """Its `adversarial.baseline` stands after the choice; what is set by itself holds."""
    choice = f"baseline@adversarial.baseline={option}"
    wanted = composed(f"baseline/{option}")["baseline"]["_target_"]
    for more in ("seed=1", f"adversarial.baseline._target_={wanted}"):
        with initialize_config_dir(str(conf_dir()), version_base="1.3"):
            config = compose("config", ["+experiment=seqgan", "data=oracle", choice, more])
        if config.adversarial.baseline._target_ == wanted:
            check_choices(config, [choice, more], [conf_dir()])
        else:
            assert more == "seed=1"
            with pytest.raises(UserError, match=r"has no effect: .* give adversarial\.baseline\._target_="):
                check_choices(config, [choice], [conf_dir()])
