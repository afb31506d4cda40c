"""Settings that change nothing are told, and those that change something are not."""

from __future__ import annotations

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from gan_caption.configuration.command_line import page_of
from gan_caption.configuration.launching import conf_dir
from gan_caption.configuration.settings import REFERRED_TO
from gan_caption.configuration.unread import refuse_unknown, unread
from gan_caption.errors import UserError


@pytest.mark.parametrize(
    ("page", "read", "others"),
    [
        ("scst", ["adversarial.steps=3", "size.hidden=8"], ["adversarial.rollouts=16"]),
        ("seqgan", ["adversarial.rollouts=2", "text_cnn.filters=3", "discriminator_trainer.clip=1"], ["lm.model=gpt2"]),
        ("seqgan", ["discriminator_trainer=hinge"], ["discriminator_training.output_l2=0.1"]),
        ("seqgan", ["baseline@adversarial.baseline=moving_average"], []),
        ("seqgan", ["optimizer@discriminator_trainer.optimizer=rmsprop"], []),
        ("kl_ratio", ["discriminator_training.steps=2"], ["discriminator_training.mismatched=0.3"]),
        ("shetty", ["discriminator_training.steps=2"], ["discriminator_training.steps_per_update=20"]),
        ("mle", ["tokenizer=pretrained"], ["vocabulary.min_count=2"]),
        ("mle", ["vocabulary.min_count=2"], []),
        ("mle", ["phases.mle.epochs=1", "seed=3", "generator.hidden=4"], ["adversarial.steps=1", "text_cnn.dropout=0"]),
    ],
)
def test_what_no_part_refers_to_is_told(page, read, others):
    asked = [f"+experiment={page}", *read, *others]
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        written = OmegaConf.to_container(compose("config", asked), resolve=False)
    assert unread(written, asked, REFERRED_TO) == others


@pytest.mark.parametrize("page", sorted(path.stem for path in (conf_dir() / "experiment").glob("*.yaml")))
@pytest.mark.parametrize("data", ["scenes", "flickr8k", "oracle"])
def test_every_experiments_shared_settings_are_known(page, data):
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        written = OmegaConf.to_container(compose("config", [f"+experiment={page}", f"data={data}"]), resolve=False)
    refuse_unknown(written, page_of(conf_dir() / "config.yaml"), REFERRED_TO)


def test_a_misspelt_shared_setting_is_refused():
    page = {"defaults": ["_self_", {"baseline@size.baseline": "mean"}], "size": {"hidden": 1}}
    config = {"size": {"hidden": 2, "baseline": {"x": 1}, "mine": 3, "hiden": 4}, "part": {"x": "${size.mine}"}}
    with pytest.raises(UserError, match=r"^size\.hiden is not known, and no part .*\. Did you mean size\.hidden\?$"):
        refuse_unknown(config, page, ["size"])
    del config["size"]["hiden"]
    refuse_unknown(config, page, ["size"])


def test_a_shared_setting_counts_that_another_one_refers_to_which_is_read():
    config = {"size": {"a": "${size.b}", "b": 1, "c": "${size.d}", "d": 2}, "part": {"x": "${size.a}", "y": ["${.x}"]}}
    assert unread(config, ["size.a=3", "size.b=4", "size.c=5", "size.d=6", "~size.d", "part.x=1"], ["size"]) == [
        "size.c=5", "size.d=6",
    ]  # fmt: skip
