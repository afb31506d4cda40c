"""Optimizers, learning rates, accumulation and precision, each against what it should compute."""

from __future__ import annotations

import math

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from gan_caption.configuration.building import build
from gan_caption.configuration.launching import conf_dir
from gan_caption.configuration.settings import settings_from
from gan_caption.experiment import set_up
from gan_caption.training.learning_rates import Constant, Cosine, InverseSquareRoot, Polynomial
from gan_caption.training.optimizers import SGD, Adam, AdamW, Group, RMSprop, set_learning_rates
from gan_caption.training.phases import base
from gan_caption.training.phases.base import descend
from gan_caption.training.setup import Data
from tests.tiny_runs import TINY


def moved(optimizer, gradients: list[float], *, rate: float = 0.1) -> float:
    """Where one weight, at 1 in the beginning, is after steps along these gradients."""
    weight = torch.nn.Parameter(torch.ones(1))
    made = optimizer([Group([weight], rate)])
    for gradient in gradients:
        weight.grad = torch.tensor([gradient])
        made.step()
    return weight.item()


def test_two_steps_of_each_optimizer_by_hand():
    first, second = 3.0, -1.0
    # Adam: means .1 g and .001 g^2, each divided by its total weight.
    means = (first, (0.09 * first + 0.1 * second) / 0.19)
    squares = (first**2, (0.000999 * first**2 + 0.001 * second**2) / 0.001999)
    by_adam = 1 - sum(0.1 * mean / math.sqrt(square) for mean, square in zip(means, squares, strict=True))
    adam = {"betas": (0.9, 0.999), "eps": 0.0}
    assert moved(Adam(**adam, weight_decay=0.0), [first, second]) == pytest.approx(by_adam, rel=1e-5)
    assert moved(AdamW(**adam, weight_decay=0.0), [first, second]) == pytest.approx(by_adam, rel=1e-5)
    # Decoupled decay takes its share of the weight, an L2 penalty is lost in Adam's first step.
    assert moved(AdamW(**adam, weight_decay=0.5), [first]) == pytest.approx(1 - 0.1 * 0.5 - 0.1, rel=1e-5)
    assert moved(Adam(**adam, weight_decay=0.5), [first]) == pytest.approx(1 - 0.1, rel=1e-5)
    rms = RMSprop(alpha=0.75, eps=0.0, momentum=0.0, weight_decay=0.0)
    assert moved(rms, [first]) == pytest.approx(1 - 0.1 * first / math.sqrt(0.25 * first**2), rel=1e-5)
    sgd = SGD(momentum=0.5, nesterov=False, weight_decay=0.0)
    assert moved(sgd, [first, second]) == pytest.approx(1 - 0.1 * first - 0.1 * (0.5 * first + second), rel=1e-5)
    ahead = SGD(momentum=0.5, nesterov=True, weight_decay=0.0)
    assert moved(ahead, [first]) == pytest.approx(1 - 0.1 * (first + 0.5 * first), rel=1e-5)


def test_groups_keep_their_ratio_and_leave_out_what_does_not_learn():
    fast, slow, frozen = (torch.nn.Parameter(torch.ones(1)) for _ in range(3))
    frozen.requires_grad_(False)
    made = SGD(momentum=0.0, nesterov=False, weight_decay=0.0)([Group([fast, frozen], 0.4), Group([slow], 0.1)])
    assert [len(group["params"]) for group in made.param_groups] == [1, 1]
    set_learning_rates(made, Polynomial(warmup_steps=0, final=0.0, power=1.0), step=5, total=10)
    for parameter in (fast, slow):
        parameter.grad = torch.ones(1)
    made.step()
    assert (fast.item(), slow.item()) == (pytest.approx(1 - 0.2), pytest.approx(1 - 0.05))


def test_learning_rates_by_hand():
    assert {Constant()(step, 100) for step in (0, 50, 99)} == {1.0}
    cosine = Cosine(warmup_steps=10, final=0.2)
    assert cosine(0, 100) == pytest.approx(0.1)
    assert cosine(50, 100) == pytest.approx(0.6)  # the middle between 1 and .2
    assert cosine(99, 100) == pytest.approx(0.2, abs=1e-3)
    assert {Cosine(warmup_steps=0, final=1.0)(step, 100) for step in (0, 50, 99)} == {1.0}
    # A phase of 8 steps has no 100 to warm up in: half of it, so that 3/4 of the way up at step 2, the peak at step 3.
    short = [Cosine(warmup_steps=100, final=0.0)(step, 8) for step in range(8)]
    cosines = [(1 + math.cos(math.pi * step / 8)) / 2 for step in range(8)]
    assert short == pytest.approx([one * min((step + 1) / 4, 1) for step, one in enumerate(cosines)])
    assert Polynomial(warmup_steps=100, final=1.0, power=1.0)(0, 1) == 1.0
    squared = Polynomial(warmup_steps=0, final=0.2, power=2.0)
    assert squared(0, 100) == 1
    assert squared(50, 100) == pytest.approx(0.2 + 0.8 * 0.25)
    root = InverseSquareRoot(warmup_steps=4)
    assert [root(step, 100) for step in (0, 3, 15)] == [0.25, 1.0, 0.5]  # 1/4, the peak, sqrt(4 / 16)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (lambda: AdamW(betas=(0.9, 1.0), eps=0.0, weight_decay=0.0), "betas="),
        (lambda: SGD(momentum=0.0, nesterov=True, weight_decay=0.0), "nesterov=True: it needs a momentum"),
        (lambda: RMSprop(alpha=1.0, eps=0.0, momentum=0.0, weight_decay=0.0), "alpha=1.0"),
        (lambda: InverseSquareRoot(warmup_steps=0), "warmup_steps=0: at least 1"),
        (lambda: Cosine(warmup_steps=0, final=1.1), "final=1.1: at least 0, at most 1"),
        (lambda: Polynomial(warmup_steps=0, final=0.0, power=0.0), "power=0.0: above 0"),
    ],
)
def test_settings_out_of_range(part, message):
    with pytest.raises(ValueError, match=message):
        part()


@pytest.mark.parametrize(
    "choice",
    [
        "optimizer=adam",
        "optimizer=rmsprop",
        "optimizer=sgd",
        "learning_rate=polynomial",
        "learning_rate=constant",
        "learning_rate=inverse_square_root",
    ],
)
def test_every_choice_trains_when_it_is_named_on_the_command_line(choice, configured, tmp_path):
    group, _, name = choice.partition("=")
    key = "optimizer" if group == "optimizer" else "learning_rate_schedule"
    warm = "learning_rate_schedule.warmup_steps"
    base = [one for one in TINY if warm not in one]
    config = settings_from(configured(f"{group}@phases.mle.{key}={name}", base=base))
    run, phases, _ = set_up(config, tmp_path, Data(config, report=lambda line: None))
    phases["mle"].begin(run)
    before = [parameter.clone() for parameter in run.generator.parameters()]
    assert math.isfinite(phases["mle"].step(0)["mle/loss"])
    assert not all(map(torch.equal, before, run.generator.parameters()))


def stepped(configured, tmp_path, *overrides: str):
    """The first loss of the baseline, and the gradients that it left."""
    asked = ("generator.dropout=0", "data.train=11", "encoder.finetune=false", "phases.words=null", *overrides)
    config = settings_from(configured(*asked, base=TINY))
    run, phases, _ = set_up(config, tmp_path, Data(config, report=lambda line: None))
    phases["mle"].begin(run)
    loss = phases["mle"].step(0)["mle/loss"]
    return loss, torch.cat([p.grad.flatten() for p in run.generator.parameters() if p.grad is not None])


@pytest.mark.parametrize("parts", [2, 3, 20])
def test_a_batch_in_parts_has_the_gradient_of_the_whole(parts, configured, tmp_path):
    """Also where parts have different numbers of tokens, and where there are more parts than images."""
    shared = ("phases.mle.images_per_batch=7", "phases.mle.objective.label_smoothing=0.1", "phases.mle.clip=1e9")
    whole, gradient = stepped(configured, tmp_path, *shared)
    loss, added = stepped(configured, tmp_path, *shared, f"phases.mle.accumulation={parts}")
    assert loss == pytest.approx(whole, rel=1e-6)
    torch.testing.assert_close(added, gradient, rtol=1e-4, atol=1e-7)


def test_a_batch_of_leakgan_in_parts_has_the_gradient_of_the_whole_beside_unknown_words(configured, tmp_path):
    """The worker's and the manager's parts are means over the same tokens."""
    own = ("+experiment=leakgan", "text_cnn.embedding=8", "text_cnn.filters=4", "text_cnn.widths=[1,2]")
    shared = (*own, "phases.mle.images_per_batch=7", "phases.mle.clip=1e9", "vocabulary.min_count=8")
    whole, gradient = stepped(configured, tmp_path, *shared)
    loss, added = stepped(configured, tmp_path, *shared, "phases.mle.accumulation=3")
    assert loss == pytest.approx(whole, rel=1e-6)
    torch.testing.assert_close(added, gradient, rtol=1e-4, atol=1e-7)


def test_a_graph_is_gone_before_the_next_part_is_asked_for():
    weight = torch.nn.Linear(1, 1, bias=False)
    alive, seen = set(), []

    class Watched(torch.autograd.Function):
        @staticmethod
        def forward(ctx, value, number):
            ctx.number = number
            alive.add(number)
            return value.clone()

        @staticmethod
        def backward(ctx, gradient):
            alive.discard(ctx.number)
            return gradient, None

    def losses():
        for number in range(3):
            seen.append(len(alive))
            yield Watched.apply(weight.weight.sum(), number)

    descent = descend(torch.optim.SGD(weight.parameters(), lr=0.1), losses(), weight, clip=1e9)
    assert seen == [0, 0, 0]
    assert descent.gradient_norm == pytest.approx(3)


def gap(configured, tmp_path, generator: str) -> tuple[float, torch.Tensor, torch.Tensor]:
    exact, gradient = stepped(configured, tmp_path, f"generator={generator}", "phases.mle.clip=1e9")
    rough, rounded = stepped(
        configured, tmp_path, f"generator={generator}", "phases.mle.clip=1e9", "phases.mle.precision=bfloat16"
    )
    return abs(rough - exact) / exact, gradient, rounded


@pytest.mark.parametrize("generator", ["lstm", "attention_lstm"])
def test_bfloat16_moves_the_loss_a_little_and_keeps_the_gradients_direction(generator, configured, tmp_path):
    moved_by, gradient, rounded = gap(configured, tmp_path, generator)
    assert 0 < moved_by < 1e-2
    assert rounded.dtype == torch.float32
    assert torch.nn.functional.cosine_similarity(gradient, rounded, dim=0) > 0.99


def test_every_phase_of_an_adversarial_run_takes_a_step_in_bfloat16(configured, tmp_path):
    names = ("phases.words", "phases.mle", "phases.adversarial", "discriminator_trainer")
    config = settings_from(configured(*(f"{name}.precision=bfloat16" for name in names)))
    run, phases, _ = set_up(config, tmp_path, Data(config, report=lambda line: None))
    for phase in phases.values():
        phase.begin(run)
        logged = phase.step(0)
        assert all(math.isfinite(value) for value in logged.values())
        if "policy/loss" in logged:  # sampling under autocast must not leave copies of weights that learn nothing
            assert all(one.grad is not None and one.grad.any() for one in run.generator.parameters())
    assert all(parameter.dtype == torch.float32 for parameter in run.networks.parameters())


@pytest.mark.parametrize("works", [True, False])
def test_bfloat16_leaves_no_trace(works, monkeypatch):
    """Random numbers and PyTorch's kernels are what they were, whether oneDNN's recurrent layers work here or not."""
    monkeypatch.setattr(base, "_onednn_has_recurrent_layers", lambda: works)
    layer = torch.nn.LSTM(4, 4)
    state = torch.get_rng_state()
    with base.autocast(torch.device("cpu"), "bfloat16"):
        assert torch.is_autocast_enabled("cpu")
        assert torch.backends.mkldnn.enabled == works
        if not works:
            assert layer(torch.ones(2, 3, 4))[0].isfinite().all()
    assert torch.backends.mkldnn.enabled
    assert torch.equal(torch.get_rng_state(), state)


def test_asking_what_onednn_has_draws_nothing():
    base._onednn_has_recurrent_layers.cache_clear()
    state = torch.get_rng_state()
    assert base._onednn_has_recurrent_layers() in (True, False)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("page", "part"),
    [
        ("optimizer/adamw", AdamW(betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0)),
        ("optimizer/sgd", SGD(momentum=0.9, nesterov=False, weight_decay=0.0)),
        ("learning_rate/cosine", Cosine(warmup_steps=100, final=0.05)),
    ],
)
def test_a_page_builds_its_part(page, part):
    group = page.partition("/")[0]
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        node = OmegaConf.to_container(compose(page))[group]
    assert build(node, object, path=group) == part


@pytest.mark.parametrize(("clip", "share"), [(2.5, 0.5), (10.0, 1.0)])
def test_a_gradient_longer_than_the_clip_is_made_as_long(clip, share):
    layer = torch.nn.Linear(2, 1, bias=False)
    layer.weight.data.zero_()
    loss = (layer.weight * torch.tensor([[3.0, 4.0]])).sum()
    descent = descend(torch.optim.SGD(layer.parameters(), lr=1.0), [loss], layer, clip=clip)
    assert descent.gradient_norm == pytest.approx(5)
    assert layer.weight[0].tolist() == pytest.approx([-3 * share, -4 * share], rel=1e-4)
