"""Gates of the adversarial phase: how often D learns after a step of the generator."""

from __future__ import annotations

from functools import partial

import pytest

from gan_caption.experiment import set_up
from gan_caption.objectives.samples import policy_samples
from gan_caption.training.phases.gates import Ceiling, GoodEnough, NoGate
from gan_caption.training.setup import Data, check_configuration
from tests.tiny_runs import TINY


@pytest.fixture
def trainer(configured, tmp_path):
    """A trainer that is right as often at any time: nothing that it learns moves D."""
    settings = check_configuration(configured("discriminator_trainer.learning_rate=0"))
    run, phases, _ = set_up(settings, tmp_path, Data(settings, report=lambda line: None))
    phases["adversarial"].begin(run)
    return phases["adversarial"].trainer


@pytest.mark.parametrize("accuracy", [85, -0.1])
def test_a_ceiling_is_a_share(accuracy):
    with pytest.raises(ValueError, match=rf"accuracy={accuracy}: a share"):
        Ceiling(steps=1, accuracy=accuracy)


def updates(gate, trainer, *, accuracy=0.5, fooled=0.5) -> tuple[float, int]:
    """Steps of D, as they are logged, and batches that were judged."""
    trainer.accuracy, trainer.fooled = accuracy, fooled
    before = trainer.steps
    told = gate.respond(trainer, policy_samples)
    return told["discriminator/updates"], trainer.steps - before


def test_without_a_gate_it_always_learns(trainer):
    assert updates(NoGate(steps=3), trainer, accuracy=1.0, fooled=0.0) == (3, 3)
    assert updates(NoGate(steps=0), trainer) == (0, 0)


def test_above_the_ceiling_it_looks_on(trainer):
    assert updates(Ceiling(steps=2, accuracy=0.85), trainer, accuracy=0.5) == (2, 2)
    assert updates(Ceiling(steps=2, accuracy=0.85), trainer, accuracy=1.0) == (0, 2)


@pytest.mark.parametrize(
    ("accuracy", "fooled", "expected"),
    [(0.99, 0.01, 5), (0.0, 0.01, 9), (0.99, 0.99, 9)],  # good enough; seldom right; fooled too often
)
def test_it_learns_until_it_is_good_enough_and_has_done_its_least(trainer, accuracy, fooled, expected):
    gate = GoodEnough(accuracy=0.6, fooled=0.45, fewest=5, most=9)
    assert updates(gate, trainer, accuracy=accuracy, fooled=fooled) == (expected, expected)


def test_it_stops_as_soon_as_it_is_good_enough(trainer):
    """An average that begins at 1 and is told each time that nobody is fooled falls below .45 at the 16th step."""
    trainer.objective.accuracy = lambda real, fake: (1.0, 1.0)
    gate = GoodEnough(accuracy=0.6, fooled=0.45, fewest=5, most=100)
    assert updates(gate, trainer, accuracy=1.0, fooled=1.0) == (16, 16)
    assert trainer.fooled == pytest.approx(0.95**16)


def test_the_share_that_fools_it_is_kept_and_goes_on(trainer):
    trainer.fooled = 0.25
    state = trainer.state_dict()
    trainer.fooled = 0.5
    trainer.load_state_dict(state)
    assert trainer.fooled == 0.25
    told = trainer.observe()
    expected = 0.95 * 0.25 + 0.05 * (1 - told["discriminator/accuracy_generated"])
    assert trainer.fooled == pytest.approx(expected)


def test_gates_that_make_no_sense():
    for wrong in ({"accuracy": 1.0}, {"fooled": 0.0}, {"fewest": -1}, {"most": 4}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            GoodEnough(**{"accuracy": 0.6, "fooled": 0.45, "fewest": 5, "most": 50, **wrong})
    for kind in (NoGate, partial(Ceiling, accuracy=0.85)):
        with pytest.raises(ValueError, match="steps=-1"):
            kind(steps=-1)


def test_the_phase_gives_its_discriminator_what_its_objective_shows(configured, tmp_path):
    """RelGAN's D learns from relaxed words, at the temperature of the generator's step."""
    small = [
        "+experiment=relgan",
        "discriminator.embedding=4",
        "discriminator.filters=4",
        "discriminator_training.steps_per_update=5",
    ]
    config = configured(*small, "adversarial.images_per_batch=4", "discriminator_trainer.images_per_batch=4", base=TINY)
    settings = check_configuration(config)
    run, phases, _ = set_up(settings, tmp_path, Data(settings, report=lambda line: None))
    phase = phases["adversarial"]
    phase.begin(run)
    shown = []
    run.discriminator.register_forward_pre_hook(lambda module, inputs: shown.append(inputs[1]))
    told = phase.step(1)
    assert told["discriminator/updates"] == 5
    relaxed = [captions.weights for captions in shown if hasattr(captions, "weights")]
    assert len(relaxed) == 6  # of the generator's step, and of five of D
    assert all(((weights > 0) & (weights < 1)).any() for weights in relaxed)
    assert [weights.requires_grad for weights in relaxed] == [True, *[False] * 5]
