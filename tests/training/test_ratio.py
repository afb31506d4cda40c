"""The phase that trains a discriminator for its ratio: in a world where the ratio is known, and in small runs."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch.nn import functional

from gan_caption.data.batches import CaptionBatches
from gan_caption.data.captions import UNK, captions_from_ids
from gan_caption.data.features import ImageFeatures
from gan_caption.errors import UserError
from gan_caption.experiment import run_experiment, set_up
from gan_caption.modes import evaluating
from gan_caption.training.checkpoint import load_state
from gan_caption.training.loop import preflight
from gan_caption.training.phases.maximum_likelihood import MaximumLikelihoodPhase
from gan_caption.training.phases.policy_gradient import PolicyGradientPhase
from gan_caption.training.phases.ratio import RatioPhase
from gan_caption.training.setup import Data, check_configuration
from tests.tiny_runs import TINY, TINY_SEQGAN, composed
from tests.training.tabular import CAPTIONS, table
from tests.training.test_discriminator_trainer import same_state
from tests.training.test_experiment import interrupted

RATIO = ["discriminator=calibrated", "+discriminator_trainer=ratio", "+phase@phases.ratio=ratio"]
SMALL = [
    *TINY, *RATIO, "holdout.check=0.3", "text_cnn.embedding=8", "text_cnn.filters=4",
    "discriminator_training.steps=12", "discriminator_training.images_per_batch=8",
    "phases.ratio.check_every=3", "phases.ratio.patience=2", "phases.ratio.averaging=0.5",
]  # fmt: skip
TABULAR = [
    "tracker=local", "threads=1", "encoder=none", "generator=lstm", "phases.mle=null", "phases.words=null", *RATIO,
    "discriminator@discriminator.discriminator=lstm_image_first", "discriminator.discriminator.hidden=16",
    "discriminator.discriminator.embedding=16", "discriminator.discriminator.dropout=0", "max_length=3",
    "allow=[tests]",
]  # fmt: skip


@pytest.fixture
def world(configured, tmp_path):
    """A run in the world of 27 captions, its phase begun, and the seeds that its corpus has."""

    def make(*overrides: str, train: int, captions: int, generator=None, wrapped=None):
        config = configured(*overrides, base=TABULAR)
        config["data"] = {
            "_target_": "tests.training.tabular.Tabular", "train": train, "val": 4, "test": 4, "captions": captions,
        }  # fmt: skip
        config["generator"] = generator or {"_target_": "tests.training.tabular.TabularGenerator"}
        if wrapped:
            config["discriminator"]["discriminator"] = wrapped
        run, phases, _ = set_up(check_configuration(config), tmp_path, Data(check_configuration(config), print))
        phase = phases["ratio"]
        phase.rehearse(run)
        phase.begin(run)
        return run, phase

    return make


def do(phase: RatioPhase, first: int = 0) -> dict[str, float]:
    """All steps from the first one on; returns what the last one told."""
    for index in range(first, phase.total):
        if phase.is_done():
            break
        told = phase.step(index)
    return told


def judged(run, texts: list[str]) -> torch.Tensor:
    """D's logits of texts."""
    ids = [run.tokenizer.encode(text, max_length=run.max_length) for text in texts]
    captions = captions_from_ids(ids, [0] * len(ids))
    with evaluating(run.discriminator), torch.no_grad():
        return run.discriminator(ImageFeatures(torch.zeros(1, 1), torch.zeros(1, 1, 1)), captions).double()


def policy(run) -> torch.Tensor:
    """The policy's probabilities of CAPTIONS, by its own table."""
    words = [run.tokenizer.encode(text, max_length=run.max_length) for text in CAPTIONS]
    own = table(2, 0.7).view(3, 3, 3)
    return torch.stack([own[a - 4, b - 4, c - 4] for a, b, c in words])


@pytest.mark.parametrize("averaging", [0.0, 0.9])
def test_the_logit_comes_to_the_log_ratio_and_says_what_it_knows(world, averaging):
    steps = ["discriminator_training.steps=200", "phases.ratio.check_every=100", "phases.ratio.patience=0",
             f"phases.ratio.averaging={averaging}"]  # fmt: skip
    batch = ["discriminator_training.images_per_batch=32", "discriminator_trainer.captions_per_image=10"]
    rate = ["discriminator_training.learning_rate=1e-2", "holdout.check=0.25"]
    run, phase = world(*steps, *batch, *rate, train=1600, captions=10)
    told = do(phase)
    data, model = table(1, 0.7), policy(run)
    exact = (data / model).log()
    wrong = (judged(run, CAPTIONS) - exact).abs()
    assert exact.std() > 0.8  # there is something to find out
    assert wrong @ (data + model) / 2 < 0.1
    assert wrong.max() < 0.35  # the rarest captions were seen some dozens of times
    # What the best D can come to: log 2 less the Jensen-Shannon divergence.
    mixed = data + model
    best = -((data * (data / mixed).log()).sum() + (model * (model / mixed).log()).sum()).item() / 2
    assert told["ratio/log_loss"] == pytest.approx(best, abs=0.02)
    assert told["ratio/ece"] < 0.03
    assert 0.8 < told["ratio/scale"] < 1.25
    assert abs(told["ratio/shift"]) < 0.1
    before = judged(run, CAPTIONS)
    run.discriminator.scale.mul_(3)
    run.discriminator.shift.mul_(3)
    assert not torch.allclose(judged(run, CAPTIONS), before, atol=0.3)
    run.discriminator.calibrate(*phase.held_out.logits(run.discriminator))
    torch.testing.assert_close(judged(run, CAPTIONS), before, atol=1e-3, rtol=0)
    assert run.discriminator.scale.item() == pytest.approx(told["ratio/scale"], abs=1e-3)


def test_the_moving_average_is_what_is_measured_and_kept(world):
    steps = ["discriminator_training.steps=4", "phases.ratio.check_every=4", "phases.ratio.averaging=0.2"]
    run, phase = world(*steps, "discriminator_training.learning_rate=1e-2", "holdout.check=0.25", train=40, captions=10)
    kept, judge, step = [], run.discriminator.discriminator, phase.trainer.step

    def watched() -> dict[str, float]:
        told = step()
        kept.append({name: weight.detach().clone() for name, weight in judge.named_parameters()})
        return told

    phase.trainer.step = watched
    told = do(phase)
    averages = kept[0]
    for updates, last in enumerate(kept[1:], start=1):
        share = min(0.2, (1 + updates) / (10 + updates))
        averages = {name: share * average + (1 - share) * last[name] for name, average in averages.items()}
    for name, weight in judge.named_parameters():
        torch.testing.assert_close(weight, averages[name])
    assert any(not torch.allclose(weight, kept[-1][name], rtol=0.01) for name, weight in judge.named_parameters())
    assert told["ratio/log_loss"] < math.log(2)  # else what there was before the first step would be kept


def test_a_likelihood_ratio_begins_at_nothing_and_comes_to_the_log_ratio(world):
    settings = [
        "discriminator_training.steps=200", "phases.ratio.check_every=50", "phases.ratio.patience=0",
        "discriminator_training.images_per_batch=32", "discriminator_trainer.captions_per_image=10",
        "discriminator_training.learning_rate=2e-2", "holdout.check=0.25",
    ]  # fmt: skip
    generator = {"_target_": "tests.training.tabular.LearningTable"}
    wrapped = {"_target_": "gan_caption.discriminators.likelihood_ratio.LikelihoodRatioDiscriminator",
               "generator": generator}  # fmt: skip
    run, phase = world(*settings, train=1600, captions=10, generator=generator, wrapped=wrapped)
    with torch.no_grad():
        run.discriminator.discriminator.reference.learned.zero_()  # as if made elsewhere
    first = phase.step(0)
    assert first["discriminator/loss"] == pytest.approx(2 * math.log(2), rel=1e-5)
    do(phase, first=1)
    data, model = table(1, 0.7), policy(run)
    exact = (data / model).log()
    wrong = (judged(run, CAPTIONS) - exact).abs()
    assert exact.std() > 0.8
    assert wrong @ (data + model) / 2 < 0.1
    assert wrong.max() < 0.35
    torch.testing.assert_close(run.discriminator.discriminator.reference.learned, run.generator.learned)


def test_two_models_come_to_both_densities_and_so_to_the_log_ratio(world):
    """Each by the likelihood of its own kind of captions; nothing is told apart while they learn."""
    settings = [
        "discriminator_training.steps=200", "phases.ratio.check_every=50", "phases.ratio.patience=0",
        "discriminator_training.images_per_batch=32", "discriminator_trainer.captions_per_image=10",
        "discriminator_training.learning_rate=2e-2", "holdout.check=0.25", "discriminator_trainer=generative",
    ]  # fmt: skip
    generator = {"_target_": "tests.training.tabular.LearningTable"}
    wrapped = {"_target_": "gan_caption.discriminators.generative.GenerativeDiscriminator", "generator": generator}
    run, phase = world(*settings, train=1600, captions=10, generator=generator, wrapped=wrapped)
    with torch.no_grad():
        run.discriminator.discriminator.reference.learned.zero_()  # as if made elsewhere
    first = phase.step(0)
    assert first["discriminator/loss"] == pytest.approx(2 * math.log(27) / 3, rel=0.05)  # each of 27, by three words
    told = do(phase, first=1)
    data, model = table(1, 0.7), policy(run)
    ids = [run.tokenizer.encode(text, max_length=run.max_length) for text in CAPTIONS]
    with torch.no_grad():
        densities = run.discriminator.densities(
            ImageFeatures(torch.zeros(1, 1), torch.zeros(1, 1, 1)), captions_from_ids(ids, [0] * len(ids))
        )
    for density, exact in zip(densities, (data, model), strict=True):
        assert (density.double() - exact.log()).abs() @ exact < 0.1
    wrong = (judged(run, CAPTIONS) - (data / model).log()).abs()
    assert wrong @ (data + model) / 2 < 0.1
    assert wrong.max() < 0.35
    assert 0.8 < told["ratio/scale"] < 1.25


def test_the_samples_are_the_policys_as_many_as_people_wrote_captions(world):
    run, phase = world("holdout.check=0.5", "discriminator_training.steps=1", train=800, captions=8)
    phase.step(0)
    held = phase.held_out
    assert set(held.people) == set(run.learners.nobody.tolist())
    assert [len(own) for own in held.samples] == [len(own) for own in held.people.values()] == [8] * len(held)
    counts = torch.zeros(3, 3, 3, dtype=torch.float64)
    for own in held.samples:
        for a, b, c in own:
            counts[a - 4, b - 4, c - 4] += 1
    expected = table(2, 0.7).view(3, 3, 3) * 8 * len(held)
    chi_square = ((counts - expected).square() / expected).sum()
    assert chi_square < 26 + 4 * 52**0.5  # 26 degrees of freedom, four standard deviations


def log_loss_on_held_out(run, phase) -> float:
    """Of D once its logits are scaled and shifted as Platt has it (targets nearly 1 and 0), by the definition."""
    told = []
    for kind in (phase.held_out.people.values(), phase.held_out.samples):
        ids = [text for own in kind for text in own]
        captions = captions_from_ids(ids, [0] * len(ids))
        with evaluating(run.discriminator), torch.no_grad():
            told.append(run.discriminator(ImageFeatures(torch.zeros(1, 1), torch.zeros(1, 1, 1)), captions).double())

    def loss(line: np.ndarray, hit: float = 1.0, missed: float = 0.0) -> float:
        people, policy = (line[0] * own + line[1] for own in told)
        right = hit * functional.softplus(-people) + (1 - hit) * functional.softplus(people)
        wrong = missed * functional.softplus(-policy) + (1 - missed) * functional.softplus(policy)
        return (right.mean() + wrong.mean()).item() / 2

    count, others = map(len, told)
    targets = (count + 1) / (count + 2), 1 / (others + 2)
    exact = {"xatol": 1e-8, "fatol": 1e-14, "maxiter": 2000, "maxfev": 4000}
    return loss(minimize(loss, np.array([1.0, 0.0]), targets, method="Nelder-Mead", options=exact).x)


def test_the_best_weights_are_kept_and_not_the_last(world):
    """Of 24 training captions, D learns the accidents by heart."""
    run, phase = world(
        "holdout.check=0.6", "discriminator_training.images_per_batch=8", "discriminator_training.learning_rate=2e-2",
        "discriminator_training.steps=400", "phases.ratio.check_every=5", "phases.ratio.patience=3",
        train=60, captions=1,
    )  # fmt: skip
    inner = run.discriminator.discriminator
    losses, weights = {}, {}
    phase.held_out.draw(5)  # as the first step will
    losses[0], weights[0] = log_loss_on_held_out(run, phase), {k: v.clone() for k, v in inner.state_dict().items()}
    for index in range(phase.total):
        if phase.is_done():
            break
        told = phase.step(index)
        done = index + 1
        if done % 5 == 0 and not phase.is_done():
            losses[done] = log_loss_on_held_out(run, phase)
            weights[done] = {name: tensor.clone() for name, tensor in inner.state_dict().items()}
            assert told["ratio/log_loss"] == pytest.approx(losses[done], abs=1e-6)
    best = min(losses, key=losses.get)
    assert 0 < best < done == phase.total == best + 3 * 5 < 400
    assert all(torch.equal(tensor, weights[best][name]) for name, tensor in inner.state_dict().items())
    assert losses[best] < losses[best + 10]
    assert told["ratio/log_loss"] == pytest.approx(losses[best], abs=1e-6)
    assert log_loss_on_held_out(run, phase) <= losses[best] + 1e-3
    assert {"ratio/scale", "ratio/shift"} <= told.keys()


def test_logits_of_the_wrong_size_do_not_hide_what_d_knows(world):
    """Twenty times the log-ratio says nothing but certainties, many of them wrong, and ranks captions as well."""
    steps = ["discriminator_training.steps=40", "phases.ratio.check_every=20", "phases.ratio.patience=0"]
    batch = ["discriminator_training.images_per_batch=32", "discriminator_trainer.captions_per_image=10"]
    rate = ["discriminator_training.learning_rate=1e-2", "holdout.check=0.25"]
    run, phase = world(*steps, *batch, *rate, train=800, captions=10)
    inner = run.discriminator.discriminator
    inner.register_forward_hook(lambda module, given, logits: logits if module.training else 20 * logits)
    told = do(phase)
    line = run.discriminator.scale.item(), run.discriminator.shift.item()
    people, policy = ((own - line[1]) / line[0] for own in phase.held_out.logits(run.discriminator))
    raw = (functional.softplus(-people).mean() + functional.softplus(policy).mean()).item() / 2
    assert told["ratio/log_loss"] < 0.62 < math.log(2) < raw
    assert told["ratio/scale"] == pytest.approx(0.05, abs=0.02)


def test_measuring_leaves_the_runs_random_numbers_and_the_networks_alone(world):
    run, phase = world("holdout.check=0.5", train=40, captions=2)
    phase.held_out.draw(5)
    own, state = run.rng.get_state(), torch.get_rng_state()
    run.discriminator.train()
    weights = {name: tensor.clone() for name, tensor in run.networks.state_dict().items()}
    phase.held_out.draw(5)
    phase._check(run.discriminator)
    assert torch.equal(run.rng.get_state(), own)
    assert torch.equal(torch.get_rng_state(), state)
    assert run.discriminator.training
    assert same_state(weights, dict(run.networks.state_dict()))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["discriminator=cnn"], "CNNDiscriminator has none: give discriminator=calibrated"),
        (["holdout.check=0"], "of 0 such images none has a caption without <unk>: give holdout.check=0.1"),
        (["generator.generate_unknown=true"], "samples may hold <unk>, and people's captions that hold it"),
        (["discriminator_trainer=cross_entropy"], "mismatched=0.5: give discriminator_trainer=ratio"),
        (
            ["discriminator_trainer=generative"],
            "CNNDiscriminator is no pair of models: discriminator_trainer=generative",
        ),
    ],
)
def test_what_the_phase_cannot_do_without_is_said_before_training(configured, tmp_path, overrides, message):
    settings = check_configuration(configured(*overrides, base=SMALL))
    run, phases, _ = set_up(settings, tmp_path, Data(settings, print))
    with pytest.raises(UserError, match=message):
        preflight(run, phases, run.evaluator)


def test_held_out_images_are_in_no_batch_of_any_phase(configured, monkeypatch, tmp_path):
    seen: dict[str, set[int]] = {"generator": set(), "discriminator": set()}
    at = CaptionBatches.at

    def noting(self, step):
        batch = at(self, step)
        # D's batches are made of captions without <unk>; all others of all captions. Streams 1, 3 and 5 are D's.
        seen["discriminator" if self.seed % 1000 in (1, 3, 5) else "generator"].update(batch.rows)
        return batch

    monkeypatch.setattr(CaptionBatches, "at", noting)
    config = configured(
        *RATIO[:1], "discriminator_trainer=ratio", "+phase@phases.ratio=ratio", "holdout.check=0.3",
        "holdout.discriminator=0.3", "phases.ratio.steps=8", "phases.discriminator.steps=8",
        base=[one for one in TINY_SEQGAN if not one.startswith("discriminator.")],
    )  # fmt: skip
    run_experiment(config, data="scenes")
    settings = check_configuration(config)
    run, _, _ = set_up(settings, tmp_path, Data(settings, print))
    rows = run.learners
    assert min(map(len, (rows.generator, rows.discriminator, rows.nobody))) > 4
    assert seen == {"generator": set(rows.generator.tolist()), "discriminator": set(rows.discriminator.tolist())}


def folder_of(place: Path) -> Path:
    (folder,) = [path for path in place.iterdir() if (path / "config.json").exists()]
    return folder


TAKEN_UP = [*SMALL, "resume=auto", "+phase@phases.resampling=decoded"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nothing stops."""
    folder = tmp_path_factory.mktemp("whole")
    run_experiment(composed(*TAKEN_UP, f"outputs={folder}/outputs", f"cache={folder}/cache"), data="scenes")
    return folder_of(folder / "outputs")


@pytest.mark.slow
@pytest.mark.parametrize("after", [0, 2, 4, 11])
def test_a_run_that_is_stopped_and_taken_up_ends_bitwise_alike(configured, monkeypatch, tmp_path, whole, after):
    stopped = configured(base=TAKEN_UP)
    interrupted(stopped, monkeypatch, RatioPhase, after=after)
    run_experiment(stopped, data="scenes")
    folders = [whole, folder_of(tmp_path / "outputs")]
    states = [vars(load_state(folder / "checkpoints" / "last.pt")) for folder in folders]
    assert states[0]["finished"]
    assert states[0]["networks"]["discriminator.scale"] != 1
    assert same_state(*states)
    logs = [[json.loads(line) | {"time": 0} for line in (one / "metrics.jsonl").open()] for one in folders]
    assert logs[0] == logs[1]
    weights = [(folder / "checkpoints" / "best_resampling.safetensors").read_bytes() for folder in folders]
    assert weights[0] == weights[1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "phase", "after"),
    [("kl_ratio", PolicyGradientPhase, 1), ("control_oracle_ratio", MaximumLikelihoodPhase, 4)],
)
def test_what_was_learned_before_a_stop_is_known_after_it(configured, monkeypatch, tmp_path, page, phase, after):
    """That D has learned, and which weights are the pretrained ones: the records say both."""
    asked = [
        *TINY, f"+experiment={page}", "resume=auto", "holdout.check=0.4", "phases.mle.epochs=3", "adversarial.steps=4",
        "adversarial.validate_every=2", "adversarial.images_per_batch=8", "adversarial.quality_floor=0",
        "text_cnn.filters=4", "text_cnn.embedding=8",
    ]  # fmt: skip
    if page == "kl_ratio":
        asked += ["phases.ratio.steps=4", "phases.ratio.check_every=2", "discriminator_trainer.images_per_batch=8"]
    whole, stopped = (configured(f"outputs={tmp_path / name}", base=asked) for name in ("whole", "stopped"))
    run_experiment(whole, data="scenes")
    interrupted(stopped, monkeypatch, phase, after=after)
    run_experiment(stopped, data="scenes")
    folders = [folder_of(tmp_path / name) for name in ("whole", "stopped")]
    logs = [[json.loads(line) | {"time": 0} for line in (one / "metrics.jsonl").open()] for one in folders]
    assert logs[0] == logs[1]
    assert same_state(*(vars(load_state(folder / "checkpoints" / "last.pt")) for folder in folders))


def test_a_phase_that_ends_early_leaves_its_best_d_to_what_comes_after(configured, tmp_path):
    asked = ["phases.ratio.patience=1", "discriminator_training.learning_rate=0", "+phase@phases.resampling=decoded"]
    finished = run_experiment(configured(*asked, base=SMALL), data="scenes")
    assert list(finished.systems) == ["mle", "resampling"]
    records = [json.loads(line) for line in (finished.folder / "metrics.jsonl").open()]
    own = [record for record in records if record["phase"] == "ratio"]
    assert len([record for record in own if "ratio/log_loss" in record]) == 3  # nothing was better than the beginning
    assert "ratio/scale" in own[-1]
    (validation,) = [row for row in records if row["phase"] == "resampling" and "val/cider_d" in row]
    assert validation["val/discriminator_ece"] >= 0
    bins = json.loads((finished.folder / "calibration_resampling.json").read_text())
    assert 8 * 5 < sum(one["captions"] for one in bins) <= 2 * 8 * 5  # eight images, five samples, known captions
    assert sum(one["weight"] for one in bins) == pytest.approx(1)
    assert finished.systems["resampling"]["discriminator_ece"] >= 0


@pytest.mark.parametrize(
    "asked",
    [
        ["phases.ratio.patience=1", "discriminator_training.learning_rate=0"],
        ["discriminator_training.learning_rate=1e-2", "phases.ratio.averaging=0"],
    ],
)
def test_who_teaches_d_next_takes_over_moments_of_the_weights_that_were_kept_alone(configured, monkeypatch, asked):
    """Where nothing was better than the beginning they are of others; after the last step, of those that are kept."""
    left = []
    ended = RatioPhase._end

    def end(phase, done):
        ended(phase, done)
        left.append((phase.since_best, bool(phase.trainer.left().moments)))

    monkeypatch.setattr(RatioPhase, "_end", end)
    run_experiment(configured(*asked, base=SMALL), data="scenes")
    ((since_best, moments),) = left
    assert moments == (since_best == 0) == ("phases.ratio.averaging=0" in asked)


def test_a_discriminator_is_taken_from_another_run(configured, tmp_path):
    """It is the same one, its phases are not repeated, and what it began with is not copied into it again."""
    likelihood = [
        "discriminator@discriminator.discriminator=likelihood_ratio", "discriminator_training.learning_rate=1e-2",
    ]  # fmt: skip
    base = [one for one in SMALL if not one.startswith("text_cnn")]
    first = run_experiment(configured(*likelihood, "+phase@phases.resampling=decoded", base=base), data="scenes").folder
    after = [
        "+phase@phases.adversarial=adversarial", "+objective@phases.adversarial.objective=policy_gradient",
        "+reward@phases.adversarial.objective.reward=discriminator_logit", "adversarial.steps=1",
        "phases.adversarial.gate.steps=1", "discriminator_training.learning_rate=0", "adversarial.validate_every=1",
    ]  # fmt: skip
    taken = [f"pretrained={first}", f"pretrained_discriminator={first}"]
    asked = configured(*likelihood, *after, *taken, base=base)
    second = run_experiment(asked, data="scenes").folder
    weights = [
        {
            name: one
            for name, one in load_state(folder / "checkpoints" / "last.pt").networks.items()
            if "discrim" in name
        }
        for folder in (first, second)
    ]
    assert same_state(*weights)
    assert weights[0]
    phases = {json.loads(line)["phase"] for line in (second / "metrics.jsonl").open()}
    assert phases == {"adversarial"}
    with pytest.raises(UserError, match="does not fit this run's"):
        run_experiment(configured(*after, *taken, base=SMALL), data="scenes")
    with pytest.raises(UserError, match="give pretrained="):
        run_experiment(configured(*likelihood, *after, taken[1], base=base), data="scenes")
    with pytest.raises(UserError, match="nothing would be left"):
        run_experiment(configured(*likelihood, *taken, base=base), data="scenes")


def test_people_of_the_held_out_images_wrote_no_unknown_word(configured, tmp_path):
    settings = check_configuration(configured("vocabulary.min_count=4", base=SMALL))
    run, phases, _ = set_up(settings, tmp_path, Data(settings, print))
    assert any(UNK in text for row in run.learners.nobody for text in run.encoded[row])
    phases["ratio"].begin(run)
    for row, own in phases["ratio"].held_out.people.items():
        assert own == [text for text in run.encoded[row] if UNK not in text]
        assert own
