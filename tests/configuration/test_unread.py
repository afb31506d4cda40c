"""Settings that change nothing are told, and those that change something are not."""

from __future__ import annotations

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from gan_caption.configuration.launching import conf_dir
from gan_caption.configuration.settings import REFERRED_TO
from gan_caption.configuration.unread import unread


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


def test_a_shared_setting_counts_that_another_one_refers_to_which_is_read():
    config = {"size": {"a": "${size.b}", "b": 1, "c": "${size.d}", "d": 2}, "part": {"x": "${size.a}", "y": ["${.x}"]}}
    assert unread(config, ["size.a=3", "size.b=4", "size.c=5", "size.d=6", "~size.d", "part.x=1"], ["size"]) == [
        "size.c=5", "size.d=6",
    ]  # fmt: skip
