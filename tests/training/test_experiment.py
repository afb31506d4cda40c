"""Whole runs on a tiny data set, and the faults that published implementations have."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from gan_caption.data.captions import UNK
from gan_caption.data.scenes.corpus import Scenes
from gan_caption.errors import Interrupted, UserError
from gan_caption.evaluation.evaluator import Evaluator
from gan_caption.evaluation.result_files import read_results
from gan_caption.evaluation.settings import EvaluationSettings, evaluation_from
from gan_caption.evaluation.trained import open_run
from gan_caption.experiment import run_experiment, set_up
from gan_caption.reporting.results import evaluate_run
from gan_caption.training.checkpoint import load_state
from gan_caption.training.folders import best_weights, write_json
from gan_caption.training.loop import Loop
from gan_caption.training.phases.adversarial import AdversarialPhase
from gan_caption.training.phases.base import Diverged, Phase, descend
from gan_caption.training.phases.maximum_likelihood import MaximumLikelihoodPhase
from gan_caption.training.resuming import choose_folder
from gan_caption.training.setup import Data, check_configuration
from tests.tiny_runs import TINY, TINY_SEQGAN, part


@pytest.fixture
def ready(configured, tmp_path):
    """A run whose networks are built and whose phases have begun."""

    def make(*overrides: str):
        settings = check_configuration(configured(*overrides))
        run, phases, _ = set_up(settings, tmp_path, Data(settings, report=lambda line: None))
        for phase in phases.values():
            phase.begin(run)
        return run, phases

    return make


def weights(module) -> dict:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def same(one: dict, other: dict) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def run_folder(tmp_path: Path) -> Path:
    (folder,) = (tmp_path / "outputs").iterdir()
    return folder


def test_a_run_leaves_baseline_and_adversarial_model_and_compares_them(configured, tmp_path, capsys):
    finished = run_experiment(configured(), data="scenes")
    folder, systems = finished.folder, finished.systems
    assert folder == run_folder(tmp_path)
    assert list(systems) == ["mle", "adversarial"]
    assert not same(*(load_file(folder / "checkpoints" / f"best_{name}.safetensors") for name in systems))
    printed = capsys.readouterr().out
    assert "CIDEr-D" in printed
    assert str(folder) in printed
    assert json.loads((folder / "results.json").read_text())["systems"].keys() == systems.keys()
    for name in systems:
        captions = json.loads((folder / f"captions_{name}.json").read_text())
        assert [row["image_id"] for row in captions] == [
            item.image_id for item in part("data/scenes", test=8).split("test").items
        ]
        assert all(len(row["samples"]) == 5 for row in captions)


def test_the_generators_step_gives_the_discriminator_nothing_to_learn_from(ready):
    run, phases = ready("phases.adversarial.gate.steps=0", "phases.mle.epochs=1")
    run.selected["mle"] = {"cider_d": 0.0}
    before, generator, encoder = (weights(m) for m in (run.discriminator, run.generator, run.captioner.encoder))
    phases["adversarial"].step(0)
    assert same(before, weights(run.discriminator))
    assert all(parameter.grad is None for parameter in run.discriminator.parameters())
    assert not same(generator, weights(run.generator))
    assert same(encoder, weights(run.captioner.encoder))


def test_maximum_likelihood_steps_by_its_schedule_and_lends_the_average_of_its_weights(ready):
    """The average forgets faster at first: the second step keeps 2/11 of the first, the third .2 of that."""
    run, phases = ready("phases.mle.averaging=0.2", "phases.mle.learning_rate=0.01")
    phase, after = phases["mle"], []
    for index in range(3):
        rate = phase.step(index)["mle/learning_rate"]
        assert rate == pytest.approx(0.01 * phase.learning_rate_schedule(index, phase.total))
        after.append(weights(run.captioner))
    with phase.weights():
        lent = weights(run.captioner)
    assert same(after[2], weights(run.captioner))
    for name, last in after[2].items():
        if last.is_floating_point():
            second = after[0][name] * 2 / 11 + after[1][name] * 9 / 11
            torch.testing.assert_close(lent[name], 0.2 * second + 0.8 * last, msg=name)
    assert not same(after[2], lent)


def test_the_likelihood_that_is_interleaved_adds_its_own_gradient(ready):
    def gradients(weight: float) -> list[torch.Tensor]:
        run, phases = ready(f"phases.adversarial.likelihood_weight={weight}", "phases.adversarial.clip=1e9")
        run.selected["mle"] = {"cider_d": 0.0}
        phases["adversarial"].step(0)
        return [parameter.grad.clone() for parameter in run.generator.parameters()]

    run, phases = ready()
    phase = phases["adversarial"]
    batch = phase.batches.at(0)
    run.captioner.eval()
    with torch.no_grad():
        features = run.features(batch.rows, grid=True)
    phase.likelihood.loss(run.generator, features, batch.captions, run.rng).backward()
    for without, with_it, parameter in zip(gradients(0), gradients(3), run.generator.parameters(), strict=True):
        torch.testing.assert_close(with_it - without, 3 * parameter.grad, rtol=1e-4, atol=1e-5)


def test_the_discriminators_step_leaves_the_generator_alone(ready):
    run, phases = ready()
    before, generator = weights(run.discriminator), weights(run.captioner)
    phases["discriminator"].step(0)
    assert same(generator, weights(run.captioner))
    assert not same(before, weights(run.discriminator))
    assert all(parameter.grad is None for parameter in run.generator.parameters())


def test_the_discriminators_gradient_starts_from_zero_at_each_step(ready):
    run, phases = ready("discriminator_trainer.learning_rate=0", "discriminator.dropout=0")
    phase = phases["discriminator"]
    rng = run.rng.get_state()

    def gradients() -> list[torch.Tensor]:
        run.rng.set_state(rng)
        phase.trainer.steps = 0
        phase.step(0)
        return [parameter.grad.clone() for parameter in run.discriminator.parameters() if parameter.grad is not None]

    assert all(torch.equal(first, second) for first, second in zip(gradients(), gradients(), strict=True))


def test_the_discriminator_rewards_without_dropout_noise(ready):
    run, phases = ready("discriminator.dropout=0.9")
    objective = phases["adversarial"].objective
    batch = run.batches(run.encoded, images=4, per_image=1, stream=2).at(0)
    with torch.no_grad():
        features = run.features(batch.rows, grid=True)
    run.discriminator.train()
    rewards = [objective.reward(features, batch.captions) for _ in range(2)]
    assert torch.equal(*rewards)
    assert run.discriminator.training


def test_a_resting_discriminator_looks_and_does_not_learn(ready):
    run, phases = ready()
    before = weights(run.discriminator)
    metrics = phases["discriminator"].trainer.observe()
    assert same(before, weights(run.discriminator))
    assert {f"discriminator/accuracy_{kind}" for kind in ("real", "generated", "mismatched")} <= metrics.keys()


def test_every_image_is_encoded_and_projected_once_for_all_its_captions(ready):
    run, phases = ready()
    encoded, projected = [], []
    run.captioner.encoder.register_forward_hook(lambda module, inputs, output: encoded.append(len(inputs[0])))
    run.generator.image.register_forward_hook(lambda module, inputs, output: projected.append(len(inputs[0])))
    phases["mle"].step(0)
    assert encoded == [8]
    assert projected == [8]


def test_the_test_split_is_looked_at_before_training_and_measured_after_its_last_step(configured, monkeypatch):
    events = []
    evaluate = Evaluator.evaluate

    def noting(self, *arguments, **named):
        events.append(f"measure {self.source.split.name}")
        return evaluate(self, *arguments, **named)

    monkeypatch.setattr(Evaluator, "evaluate", noting)
    split, mle, adversarial = Scenes.split, MaximumLikelihoodPhase.step, AdversarialPhase.step
    monkeypatch.setattr(Scenes, "split", lambda self, name: (events.append(name), split(self, name))[1])
    monkeypatch.setattr(MaximumLikelihoodPhase, "step", lambda s, i: (events.append("step"), mle(s, i))[1])
    monkeypatch.setattr(AdversarialPhase, "step", lambda s, i: (events.append("step"), adversarial(s, i))[1])
    run_experiment(configured(), data="scenes")
    steps = [index for index, event in enumerate(events) if event == "step"]
    assert events.index("test") < min(steps)
    tested = [index for index, event in enumerate(events) if event == "measure test"]
    assert all(index < min(steps) or index > max(steps) for index in tested), "tried out before, measured after"
    assert max(tested) > max(steps)
    assert min(index for index, event in enumerate(events) if event == "measure val") < max(steps)


def test_a_broken_metric_shows_before_the_first_step(configured, monkeypatch, tmp_path):
    def broken(*_: object) -> float:
        raise ModuleNotFoundError("no metric today")

    monkeypatch.setattr(Evaluator, "measure", broken)
    with pytest.raises(ModuleNotFoundError):
        run_experiment(configured(), data="scenes")
    metrics = run_folder(tmp_path) / "metrics.jsonl"
    assert not metrics.exists() or not metrics.read_text()


def test_nan_stops_the_run_and_the_last_good_checkpoint_is_kept(configured, monkeypatch, tmp_path):
    step = MaximumLikelihoodPhase.step

    def poisoned(self: MaximumLikelihoodPhase, index: int) -> dict[str, float]:
        if index == 3:  # after the checkpoint of step 2
            next(self.run.generator.parameters()).data.fill_(math.nan)
        return step(self, index)

    monkeypatch.setattr(MaximumLikelihoodPhase, "step", poisoned)
    with pytest.raises(UserError, match=r"phase mle, step 3: loss nan.*last good checkpoint is .*last.pt"):
        run_experiment(configured("save_every=2", base=TINY), data="scenes")
    state = load_state(run_folder(tmp_path) / "checkpoints" / "last.pt")
    assert state.phase_step == 2
    assert all(tensor.isfinite().all() for tensor in state.networks.values())


def test_a_gradient_that_is_no_number_leaves_the_weights_as_they_were():
    layer = torch.nn.Linear(1, 1)
    before = weights(layer)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=1.0)
    with pytest.raises(Diverged):
        descend(optimizer, [(layer.weight * math.inf).sum() * 0], layer, clip=1.0)
    assert same(before, weights(layer))


def test_an_adversarial_phase_that_ruins_the_captions_stops_and_leaves_the_baseline(configured, tmp_path, capsys):
    config = configured(
        "phases.adversarial.learning_rate=1", "phases.adversarial.quality_floor=0.9", "phases.adversarial.patience=1",
        "phases.adversarial.steps=50", "phases.mle.epochs=6", "phases.mle.learning_rate=1e-2",
    )  # fmt: skip
    run_experiment(config, data="scenes")
    folder = run_folder(tmp_path)
    state = load_state(folder / "checkpoints" / "last.pt")
    assert "left no healthy weights" in capsys.readouterr().err
    baseline = load_file(folder / "checkpoints" / "best_mle.safetensors")
    left = {name.removeprefix("captioner."): t for name, t in state.networks.items() if name.startswith("captioner.")}
    assert same(baseline, left)
    assert state.step < 30 + 3 + 50


def test_patience_counts_the_validations_since_the_best_one(configured, monkeypatch, tmp_path):
    quality = [0.1, 0.3, 0.2, 0.4, 0.3, 0.2, 0.9]
    validate, left = Evaluator.evaluate, iter(quality)

    def validated(self, *asked, phase=None, **more):
        found = validate(self, *asked, phase=phase, **more)
        if phase == "mle":
            found.metrics["cider_d"] = next(left)
        return found

    config = configured("phases.mle.patience=2", "phases.mle.epochs=9", "phases.mle.validations_per_epoch=1", base=TINY)
    with monkeypatch.context() as patched:
        patched.setattr(Evaluator, "evaluate", validated)
        patched.setattr("gan_caption.experiment.finish", lambda *asked: {})
        run_experiment(config, data="scenes")
    state = load_state(run_folder(tmp_path) / "checkpoints" / "last.pt")
    images = config["phases"]["mle"]["images_per_batch"]
    assert state.stopped == {"mle": 6 * math.ceil(config["data"]["train"] / images)}
    assert state.selected["mle"]["cider_d"] == 0.4
    assert list(left) == quality[6:]


@pytest.mark.parametrize(
    ("overrides", "message", "trains"),
    [
        (["phases.adversarial=null"], "none of them teaches the captioner", False),
        (["phases.adversarial.entropy_floor=9"], "none of its phases left healthy weights", True),
        (["data.test=1"], r"^test: .* 1 image\(s\) tell nothing: give at least two", False),
    ],
)
def test_what_would_leave_nothing_to_measure_is_told_and_where_it_can_be_before_training(
    configured, tmp_path, overrides, message, trains
):
    with pytest.raises(UserError, match=message):
        run_experiment(configured("phases.mle=null", *overrides), data="scenes")
    assert [(one / "metrics.jsonl").exists() for one in (tmp_path / "outputs").glob("*-seed*")] == [True] * trains


def test_a_reference_is_what_a_phase_left_or_one_before_it(ready):
    run, _ = ready()
    run.schedule = ["mle", "round_1", "round_2", "round_3"]
    run.selected = {"mle": {}, "round_2": {}}
    assert [run.left_by(phase) for phase in run.schedule] == ["mle", "mle", "round_2", "round_2"]


@pytest.mark.slow
def test_seeds_differ_and_a_seed_repeats_itself(configured, tmp_path):
    runs = [run_experiment(configured(f"seed={seed}", base=TINY), data="scenes").systems for seed in (0, 0, 1)]
    assert repr(runs[0]) == repr(runs[1])
    assert repr(runs[0]) != repr(runs[2])
    assert len(list((tmp_path / "outputs").iterdir())) == 3  # none overwrote another


def test_a_run_is_evaluated_on_its_own_data_and_on_other_data(configured, tmp_path):
    systems = run_experiment(configured(base=TINY), data="scenes").systems
    folder = run_folder(tmp_path)

    def settings(*overrides: str) -> EvaluationSettings:
        given = [f"run={folder}", "split=test", *overrides]
        return evaluation_from(configured(*given, base=[], config_name="evaluate"))

    assert repr(evaluate_run(settings())) == repr(systems)
    other = evaluate_run(settings("data=scenes", "data.seed=7", "data.test=8"))
    assert repr(other) != repr(systems)
    assert len(list(folder.glob("evaluation-test-*/table.md"))) == 2  # neither overwrote the other
    assert {"verbatim", "sample_verbatim"} <= systems["mle"].keys() - other["mle"].keys(), "what was learned is unknown"
    evaluate_run(settings("validation.images=3"))
    counts = {len(json.loads(path.read_text())) for path in folder.glob("evaluation-test-*/captions_mle.json")}
    assert counts == {3, 8}
    with pytest.raises(UserError, match="weights=adversarial: this run has \\['mle'\\]"):
        evaluate_run(settings("weights=adversarial"))


def test_resuming_with_another_configuration_is_refused(configured, tmp_path):
    run_experiment(configured(base=TINY), data="scenes")
    other = configured("seed=5", f"resume={run_folder(tmp_path)}", base=TINY)
    with pytest.raises(UserError, match="another configuration"):
        run_experiment(other, data="scenes")


def test_a_checkpoint_of_another_vocabulary_is_refused(configured, tmp_path):
    run_experiment(configured(base=TINY), data="scenes")
    last = run_folder(tmp_path) / "checkpoints" / "last.pt"
    state = load_state(last)
    torch.save(vars(replace(state, vocabulary="0" * 16, finished=False)), last)
    with pytest.raises(UserError, match="another vocabulary"):
        run_experiment(configured(f"resume={run_folder(tmp_path)}", base=TINY), data="scenes")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seed=abc", "seed: 'abc' is not a valid integer"),
        ("seed=-1", "seed=-1: at least 0"),
        ("max_length=1", "max_length=1: at least 2"),
        ("vocabulary.min_count=0", "vocabulary.min_count=0: at least 1"),
        ("validation.images=one", "validation.images: 'one' is not a valid integer or None"),
        ("diversity_floor=-1", "diversity_floor=-1.0: at least 0"),
        ("log_every=2.5", "log_every: 2.5 is not a valid integer"),
        ("generator.hidden=abc", "generator.hidden: 'abc' is not a valid integer"),
        ("generator.hidden=-1", "generator.hidden=-1: at least 1"),
        ("generator=lstm generator.image_as=last_input", "generator.image_as: 'last_input' is not one of"),
        ("+generator.hiden=3", "generator.hiden is not known. Did you mean generator.hidden"),
        ("phases.mle.patience=2 phases.mle.selected_by=last", "phases.mle.patience=2: selected_by=last calls every"),
        ("phases.mle.learning_rate=fast", "phases.mle.learning_rate: 'fast' is not a valid number"),
        ("phases.adversarial.objective.credit.rollouts=0", "rollouts=0: at least 1"),
        ("adversarial.clip=0", "clip=0.0: above 0"),  # with which nothing would learn
        ("generator._target_=os.system", "generator._target_: os.system is not allowed"),
        ("device=abacus", "device=abacus cannot be used"),
        ("name=../elsewhere", "name=../elsewhere: runs' folders"),
        ("name=''", "name=: runs' folders"),
        ("+colour=red", "colour is not known"),
    ],
)
def test_wrong_settings_are_named_before_anything_is_made(configured, override, message):
    with pytest.raises(UserError) as error:
        run_experiment(configured(*override.split()), data="scenes")
    assert message in str(error.value)


def test_a_run_that_was_stopped_while_it_was_evaluated_is_evaluated_alike(configured, tmp_path):
    """With the discriminator that it had trained, too, whose knowledge and opinions are kept."""
    folder = run_experiment(configured(), data="scenes").folder
    kept = {path: path.read_bytes() for path in (folder / "results.json", *folder.glob("captions_*.json"))}
    assert len(kept) == 3
    for path in kept:
        path.unlink()
    assert run_experiment(configured("resume=auto"), data="scenes").folder == folder
    assert {path: path.read_bytes() for path in kept} == kept


def test_a_run_that_is_told_to_stop_at_its_very_end_keeps_it_and_is_evaluated_later(configured, monkeypatch, tmp_path):
    end = Loop._end_phase

    def stopping(loop: Loop, phase: Phase, name: str) -> None:
        end(loop, phase, name)
        if name == "mle":  # the last one
            os.kill(os.getpid(), signal.SIGTERM)

    config = configured("resume=auto", base=TINY)
    with monkeypatch.context() as patched:
        patched.setattr(Loop, "_end_phase", stopping)
        with pytest.raises(Interrupted, match="all phases are over"):
            run_experiment(config, data="scenes")
    assert load_state(run_folder(tmp_path) / "checkpoints" / "last.pt").finished
    assert not (run_folder(tmp_path) / "results.json").exists()
    assert run_experiment(config, data="scenes").systems.keys() == {"mle"}


def test_a_vocabulary_and_an_encoder_that_became_others_are_refused_and_the_folder_stays(configured, tmp_path):
    frozen = ("encoder.finetune=false", "phases.words=null")  # what a run learns itself is in its own weights
    run_experiment(configured(*frozen, base=[one for one in TINY if "words" not in one]), data="scenes")
    folder = run_folder(tmp_path)
    (folder / "results.json").unlink()
    asked = configured(f"resume={folder}", *frozen, base=[one for one in TINY if "words" not in one])
    words = json.loads((folder / "vocabulary.json").read_text())
    for file, content in (("vocabulary.json", json.dumps(words[::-1])), ("encoder.json", '{"fingerprint": "0"}')):
        path = folder / file
        kept = path.read_text()
        path.write_text(content)
        told = "another vocabulary" if file == "vocabulary.json" else "encoder is not the run's"
        with pytest.raises(UserError, match=told):
            run_experiment(asked, data="scenes")
        if file == "encoder.json":  # nor does anything else that uses the run take another encoder for its own
            with pytest.raises(UserError, match=told):
                open_run(folder)
        assert path.read_text() == content
        path.write_text(kept)
    assert open_run(folder).folder == folder


def test_a_run_is_found_behind_one_that_was_deleted(configured, tmp_path):
    folders = [run_experiment(configured(base=TINY), data="scenes").folder for _ in range(2)]
    shutil.rmtree(folders[0])
    assert run_experiment(configured("resume=auto", base=TINY), data="scenes").folder == folders[1]


def test_a_run_on_its_way_is_taken_up_before_one_that_has_finished_and_that_before_one_that_never_began(
    configured, tmp_path
):
    config = configured(base=TINY)
    never, done, half, last = (run_experiment(config, data="scenes").folder for _ in range(4))
    (half / "results.json").unlink()
    for folder in (never, last):
        (folder / "results.json").unlink()
        (folder / "checkpoints" / "last.pt").unlink()
    settings = check_configuration(configured("resume=auto", base=TINY))
    known = Data(settings, print).known()
    assert choose_folder(settings, known, data="scenes") == half
    shutil.rmtree(half)
    assert choose_folder(settings, known, data="scenes") == done
    shutil.rmtree(done)
    assert choose_folder(settings, known, data="scenes") == last


def test_a_pretrained_baseline_is_taken_over_and_not_trained_again(configured, tmp_path):
    run_experiment(configured(base=TINY), data="scenes")
    baseline = run_folder(tmp_path)
    finished = run_experiment(configured(f"pretrained={baseline}", f"outputs={tmp_path}/other"), data="scenes")
    folder, systems = finished.folder, finished.systems
    assert list(systems) == ["mle", "adversarial"]
    weights_of = [load_file(one / "checkpoints" / "best_mle.safetensors") for one in (baseline, folder)]
    assert same(*weights_of)
    before = read_results(baseline, baseline)["systems"]["mle"]
    of_captions = {name: value for name, value in systems["mle"].items() if name in before}
    assert repr(of_captions) == repr(before)  # NaN is not equal to itself
    assert all(name.startswith(("discriminator_", "best_")) for name in systems["mle"].keys() - before.keys())
    assert '"phase": "mle"' not in (folder / "metrics.jsonl").read_text()


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (["pretrained={folder}"], "nothing would be left to train after mle"),
        (["pretrained={folder}", "phases.mle=null"], "the schedule has none"),
        (["language_model=./nothing"], "there is no such folder or file"),
    ],
)
def test_what_can_be_known_is_told_before_features_are_extracted(configured, tmp_path, monkeypatch, mistake, message):
    def extracted(*_: object, **__: object) -> None:
        raise AssertionError("features were extracted")

    monkeypatch.setattr("gan_caption.experiment.open_features", extracted)
    write_json(tmp_path / "config.json", configured(base=TINY))
    for file in (best_weights(tmp_path, "mle"), tmp_path / "checkpoints" / "last.pt"):
        file.parent.mkdir(exist_ok=True)
        file.touch()
    asked = [one.format(folder=tmp_path) for one in mistake]
    with pytest.raises(UserError, match=message):
        run_experiment(configured(*asked, base=TINY), data="scenes")


def test_captions_with_unknown_words_are_left_out_of_what_is_learned_from(configured, tmp_path, capsys):
    def encoded(*more: str) -> list[list[list[int]]]:
        settings = check_configuration(configured("vocabulary.min_count=10", *more, base=TINY))
        return list(set_up(settings, tmp_path, Data(settings, print))[0].encoded)

    every, kept = encoded(), encoded("skip_unknown=true")
    assert kept == [[caption for caption in own if UNK not in caption] for own in every]
    assert 0 < sum(map(len, kept)) < sum(map(len, every))
    told = f"{sum(map(len, kept))} of {sum(map(len, every))} training captions have no unknown word"
    assert told in capsys.readouterr().err
    with pytest.raises(UserError, match=r"skip_unknown=true leaves no caption .*: lower vocabulary\.min_count"):
        encoded("skip_unknown=true", "vocabulary.min_count=150")


@pytest.mark.slow
@pytest.mark.parametrize("page", ["ddo", "ppo", "gold"])
def test_who_needs_a_pretrained_policy_says_so_where_no_phase_leaves_one(configured, page):
    asked = configured(f"+experiment={page}", "phases.mle=null", base=TINY)
    with pytest.raises(
        UserError, match=r"^phase \w+: .*there is no.*\. Leave phases\.mle as it was, or give pretrained="
    ):
        run_experiment(asked, data="scenes")


@pytest.mark.parametrize(
    ("base", "phase", "key"),
    [(TINY, "mle", "encoder_learning_rate"), (TINY_SEQGAN, "adversarial", "pretrained_learning_rate")],
)
def test_a_rate_of_what_is_not_there_is_refused(configured, base, phase, key):
    asked = (f"phases.{phase}.{key}=0.1", "encoder.finetune=false", "phases.words=null")
    with pytest.raises(UserError, match=rf"^phases\.{phase}: {key}=0\.1: .*leave it out"):
        run_experiment(configured(*asked, base=base), data="scenes")


@pytest.mark.slow
def test_a_run_folder_that_an_export_is_writing_in_trains_on(configured):
    """Or one that a killed export has left: its draft is a folder."""
    folder = run_experiment(configured(base=TINY), data="scenes").folder
    draft = folder / ".export-mle-onnx.0123abcd.tmp"
    draft.mkdir()
    (folder / ".config.json.0123abcd.tmp").touch()
    (folder / "results.json").unlink()
    run_experiment(configured(f"resume={folder}", base=TINY), data="scenes")
    assert draft.is_dir()
    assert not (folder / ".config.json.0123abcd.tmp").exists()


@pytest.mark.parametrize("key", ["pretrained", "pretrained_discriminator"])
def test_what_learned_from_another_encoders_features_is_not_taken_over(configured, tmp_path, key):
    frozen = ["encoder.finetune=false", "phases.words=null"]
    run_experiment(configured(*frozen, base=TINY), data="scenes")
    baseline, other = run_folder(tmp_path), tmp_path / "of_another"
    shutil.copytree(baseline, other)
    told = json.loads((other / "encoder.json").read_text())
    (other / "encoder.json").write_text(json.dumps({**told, "fingerprint": "0"}))
    asked = {"pretrained": baseline, key: other}
    with pytest.raises(UserError, match="encoder is not the run's"):
        run_experiment(
            configured(*frozen, *(f"{name}={folder}" for name, folder in asked.items()), f"outputs={tmp_path}/next"),
            data="scenes",
        )


def interrupted(config: dict, patch: pytest.MonkeyPatch, phase: type[Phase], *, after: int) -> None:
    """Train until a phase has done a step, and send the process the signal of schedulers then."""
    step = phase.step

    def stopping(self: Phase, index: int) -> dict[str, float]:
        values = step(self, index)
        if index == after:
            os.kill(os.getpid(), signal.SIGTERM)
        return values

    with patch.context() as patched:
        patched.setattr(phase, "step", stopping)
        with pytest.raises(Interrupted):
            run_experiment(config, data="scenes")


@pytest.mark.slow
def test_tied_weights_are_saved_and_resumed_and_are_tied_when_loaded(configured, monkeypatch, tmp_path):
    def config(outputs: str) -> dict:
        made = configured("resume=auto", "allow=[tests]", f"outputs={tmp_path / outputs}")
        made["generator"] = {"_target_": "tests.generators.tied.TiedLSTM", "hidden": 16}
        return made

    systems = run_experiment(config("whole"), data="scenes").systems
    for phase in (MaximumLikelihoodPhase, AdversarialPhase):
        interrupted(config("stopped"), monkeypatch, phase, after=2)
    assert repr(run_experiment(config("stopped"), data="scenes").systems) == repr(systems)
    (folder,) = (tmp_path / "whole").iterdir()
    trained = open_run(folder, allow=["tests"])
    generator = trained.captioner.generator
    for phase in systems:
        trained.load(phase)
        assert generator.output.weight is generator.words.weight
        kept = load_file(best_weights(folder, phase))
        assert torch.equal(generator.output.weight, kept["generator.words.weight"])
        assert "generator.output.weight" not in kept  # once is enough


def test_an_encoder_with_fixed_weights_has_no_words_to_learn(configured, tmp_path):
    run_experiment(configured("encoder.finetune=false", base=TINY), data="scenes")
    assert '"phase": "words"' not in (run_folder(tmp_path) / "metrics.jsonl").read_text()
    assert not any(name.startswith("encoder") for name in load_file(next(tmp_path.rglob("best_mle.safetensors"))))


@pytest.mark.parametrize(
    ("selected_by", "kept"),
    [("cider_d", [True, False, True]), ("nll_per_token", [True, True, False]), ("last", [True] * 3)],
)
def test_the_weights_are_chosen_by_the_metric_that_was_asked_for(ready, selected_by, kept):
    phase = ready(f"phases.mle.selected_by={selected_by}")[1]["mle"]
    validations = [
        {"cider_d": 0.5, "nll_per_token": 3.0}, {"cider_d": 0.4, "nll_per_token": 2.0},
        {"cider_d": 0.6, "nll_per_token": 2.5},
    ]  # fmt: skip
    best, found = {}, []
    for metrics in validations:
        found.append(phase.is_better(metrics, best))
        best = metrics if found[-1] else best
    assert found == kept


def test_a_run_that_was_killed_before_its_first_checkpoint_has_no_record_twice(configured, tmp_path):
    config = configured("resume=auto", base=[*TINY, "+experiment=mle"])
    run_experiment(config, data="scenes")
    folder = run_folder(tmp_path)
    whole = [json.loads(line) | {"time": 0} for line in (folder / "metrics.jsonl").read_text().splitlines()]
    for name in ("checkpoints/last.pt", "results.json"):
        (folder / name).unlink()
    run_experiment(config, data="scenes")
    assert run_folder(tmp_path) == folder
    again = [json.loads(line) | {"time": 0} for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert again == whole
