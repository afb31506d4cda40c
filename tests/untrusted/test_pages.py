"""Every page of configuration composes, and describes things that can be built."""

from __future__ import annotations

import functools
import importlib
import inspect
import itertools
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from omegaconf import OmegaConf

from gan_caption.configuration.launching import conf_dir
from gan_caption.training.setup import PARTS, check_configuration
from tests.tiny_runs import composed

GROUPS = ("data", "encoder", "generator", "discriminator", "decoding", "tracker")


def choices(group: str) -> list[str]:
    return sorted(path.stem for path in (Path(conf_dir()) / group).glob("*.yaml"))


TUNED = "discriminator_training.learning_rate=0.125"
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
    config = composed(f"+experiment={experiment}", f"generator={generator}", TUNED)
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


def rates_of(config: dict) -> list[float]:
    """The discriminator's learning rate in each phase that trains it."""
    return [phase["trainer"]["learning_rate"] for phase in config["phases"].values() if phase and "trainer" in phase]


@pytest.mark.parametrize("experiment", choices("experiment"))
def test_the_discriminators_learning_rate_that_a_search_tunes_reaches_every_page(experiment):
    config = composed(f"+experiment={experiment}", "generator=attention_lstm", TUNED)  # as above, composed once
    assert set(rates_of(config)) == ({0.125} if config.get("discriminator") else set())


@pytest.mark.parametrize("data", ["scenes", "flickr8k"])
def test_relgan_learns_at_its_papers_rate_whatever_the_data_suggest(data):
    assert rates_of(composed("+experiment=relgan", f"data={data}")) == [1e-4]  # its D is not pretrained


@pytest.mark.parametrize("control", ["control_random", "control_shuffled_image"])
def test_a_control_is_seqgan_with_only_the_reward_replaced(control):
    page, seqgan = (composed(f"+experiment={name}") for name in (control, "seqgan"))
    rewards = [one["phases"]["adversarial"]["objective"].pop("reward") for one in (page, seqgan)]
    assert rewards[0] != rewards[1]
    assert page.pop("name") == control
    del seqgan["name"]
    assert page == seqgan


def test_the_blind_control_is_seqgan_whose_discriminator_is_shown_no_image():
    page, seqgan = (composed(f"+experiment={name}") for name in ("control_blind", "seqgan"))
    blind = page.pop("discriminator")
    assert blind.pop("_target_") == "gan_caption.discriminators.blind.BlindDiscriminator"
    assert blind == {"discriminator": seqgan.pop("discriminator")}
    assert page.pop("name") == "control_blind"
    del seqgan["name"]
    assert page == seqgan


def nodes(content: Any) -> Iterator[dict]:
    """Every mapping in a page that names what it builds."""
    if isinstance(content, dict):
        if "_target_" in content:
            yield content
        for value in content.values():
            yield from nodes(value)


@functools.cache
def pages() -> dict[Path, dict]:
    """Every page as it is written."""
    found = {path: OmegaConf.to_container(OmegaConf.load(path)) for path in sorted(conf_dir().rglob("*.yaml"))}
    return cast("dict[Path, dict]", found)


def parts() -> Iterator[tuple[str, type]]:
    """The dotted name of every class in the modules whose classes are the parts of a method."""
    modules = ["gan_caption.decoding.decoders"]
    for room in ("objectives", "rewards", "discriminators"):
        package = importlib.import_module(f"gan_caption.{room}")
        modules += [info.name for info in pkgutil.iter_modules(package.__path__, f"{package.__name__}.")]
    for module in modules:
        for name, kind in vars(importlib.import_module(module)).items():
            if inspect.isclass(kind) and kind.__module__ == module and not name.startswith("_"):
                yield f"{module}.{name}", kind


NOT_CHOSEN = {
    "gan_caption.objectives.base.PolicyLoss": "a record",
    "gan_caption.objectives.demonstrations.Scored": "a record",
    "gan_caption.objectives.discriminator.Judged": "a record",
    "gan_caption.objectives.entropy_weight.FixedEntropy": "what a page writes as a number",
    "gan_caption.objectives.leakgan.GuidedExperience": "a record",
    "gan_caption.objectives.policy_gradient.Experience": "a record",
    "gan_caption.rewards.base.Parts": "a record",
    "gan_caption.objectives.critic.Critic": "the network inside LearnedCritic",
    "gan_caption.discriminators.cnn.TextCNN": "the network inside CNNDiscriminator and MultiDiscriminator",
    "gan_caption.discriminators.sentence_cnn.SentenceCNN": "the network inside both CNN discriminators",
    "gan_caption.discriminators.layer_norm_lstm.LayerNormLSTM": "the network inside LayerNormDenseDiscriminator",
    "gan_caption.rewards.references.References": "the run's own, offered to the rewards that read it",
    "gan_caption.rewards.text_judge.TextJudge": "language_model of a page names its model",
}


def test_every_part_that_can_be_chosen_has_a_page_that_names_it():
    named = {node["_target_"] for page in pages().values() for node in nodes(page)}
    concrete = {
        name for name, kind in parts() if not (inspect.isabstract(kind) or getattr(kind, "_is_protocol", False))
    }
    assert concrete - named == set(NOT_CHOSEN)


OFFERED = PARTS | {"folder", "group", "name", "job_type", "configuration", "run_id"}
"""What the program gives the parts of a phase, and trackers."""
WHOLE = [page for page in pages() if page.parent.name not in ("conf", "experiment", "schedule", "sweep", "cluster")]


@pytest.mark.parametrize("page", WHOLE, ids=lambda page: f"{page.parent.name}/{page.stem}")
def test_a_page_holds_every_field_of_its_parts_so_that_the_command_line_can_set_it(page):
    content = pages()[page]
    elsewhere = set()  # a key that another page fills, and those of a page of this group that this one changes
    for one in content.get("defaults", []):
        choice, _, key = (next(iter(one)) if isinstance(one, dict) else one).partition("@")
        if key:
            elsewhere.add(key.split(".")[0])
        elif choice != "_self_" and not choice.startswith("/"):
            elsewhere |= pages()[page.with_stem(choice)].keys()
    for node in nodes(content):
        module, _, name = node["_target_"].rpartition(".")
        parameters = inspect.signature(getattr(importlib.import_module(module), name)).parameters.values()
        settable = {one.name for one in parameters if one.default is not one.empty} - OFFERED
        assert settable <= node.keys() | elsewhere, node["_target_"]


@pytest.mark.parametrize(
    ("experiment", "overrides", "key", "value"),
    [
        ("seqgan", ["discriminator_trainer=hinge", "discriminator_trainer.objective.generated=0.25"],
         "phases.discriminator.trainer.objective", {"_target_": "gan_caption.objectives.discriminator.Hinge",
                                                    "generated": 0.25, "mismatched": 0.5, "edited": 0.0}),
        ("seqgan", ["discriminator_trainer=wasserstein", "discriminator_trainer.objective.gradient_penalty=1"],
         "phases.adversarial.trainer.objective", {"_target_": "gan_caption.objectives.discriminator.Wasserstein",
                                                  "generated": 0.5, "mismatched": 0.5, "edited": 0.0,
                                                  "gradient_penalty": 1}),
        ("seqgan", ["baseline@adversarial.baseline=moving_average",
                    "adversarial.baseline.decay=0.5"],
         "phases.adversarial.objective.baseline",
         {"_target_": "gan_caption.objectives.baselines.MovingAverage", "decay": 0.5}),
        ("seqgan", ["discriminator=spectral", "discriminator@discriminator.discriminator=lstm"],
         "discriminator.discriminator._target_", "gan_caption.discriminators.lstm.LSTMDiscriminator"),
        ("scst", ["reward@phases.policy_gradient.objective.reward=bleu"],
         "phases.policy_gradient.objective.reward", {"_target_": "gan_caption.rewards.bleu.BleuReward"}),
    ],
)  # fmt: skip
def test_a_part_is_chosen_and_set_on_the_command_line_by_its_name(experiment, overrides, key, value):
    config = composed(f"+experiment={experiment}", *overrides)
    check_configuration(config)
    chosen = OmegaConf.select(OmegaConf.create(config), key)
    assert (OmegaConf.to_container(chosen) if OmegaConf.is_config(chosen) else chosen) == value
