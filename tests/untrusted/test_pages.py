"""Every page of configuration composes, and describes things that can be built."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from gan_caption.configuration.launching import conf_dir
from gan_caption.training.setup import check_configuration

GROUPS = ("data", "encoder", "generator", "discriminator", "decoding", "tracker")


def choices(group: str) -> list[str]:
    return sorted(path.stem for path in (Path(conf_dir()) / group).glob("*.yaml"))


def composed(*overrides: str, config_name: str = "config") -> dict:
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return OmegaConf.to_container(compose(config_name, overrides=list(overrides)), resolve=True)


PAGES = list(itertools.chain.from_iterable(((group, choice) for choice in choices(group)) for group in GROUPS))


@pytest.mark.parametrize(("group", "choice"), PAGES)
def test_every_choice_composes_and_checks(group, choice):
    config = composed(f"{group}={choice}", "+experiment=seqgan")
    for key in ("root", "model"):
        if config.get(group, {}) and config[group].get(key) == "???":
            config[group][key] = "somewhere"
    check_configuration(config)


@pytest.mark.parametrize("experiment", choices("experiment"))
@pytest.mark.parametrize("generator", choices("generator"))
def test_every_experiment_composes_with_every_generator(experiment, generator):
    config = composed(f"+experiment={experiment}", f"generator={generator}")
    check_configuration(config)
    assert config["name"] == experiment
    assert [name for name, node in config["phases"].items() if node][:2] == [
        "words",
        "mle",
    ]  # the baseline is always there


@pytest.mark.parametrize("data", choices("data"))
def test_an_evaluation_takes_any_data_and_keeps_its_own_settings(data):
    config = composed(f"data={data}", "run=somewhere", config_name="evaluate")
    assert config["data"]["_target_"].startswith("gan_caption.data.")
    assert config["validation"] == composed("run=somewhere", config_name="evaluate")["validation"]
