"""Sweeps, by the command that a user types: killed and continued, over processes, with failures, searched."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from gan_caption.configuration.jobs import Job
from gan_caption.configuration.launching import _tell_of_plugins, conf_dir
from gan_caption.errors import UserError
from gan_caption.evaluation.comparison import choose_systems
from gan_caption.experiment import run_experiment
from gan_caption.metrics.standard import STANDARD
from gan_caption.reporting.sweep import Sought, Trial, folders_of, summary, trial_of, value_of
from gan_caption.training.checkpoint import load_state
from gan_caption.training.phases.maximum_likelihood import MaximumLikelihoodPhase
from gan_caption.training.setup import check_configuration
from tests.started import Started, ended, typed
from tests.tiny_runs import TINY

pytestmark = pytest.mark.slow

SMALL = [*TINY, "save_every=2", "adversarial.steps=4", "adversarial.images_per_batch=8", "phases.mle.epochs=1"]
GRID = ["+sweep=grid", *SMALL, "+experiment=mle,scst", "seed=0,1"]
STEPS_OF_D = "discriminator_training.steps_per_update"
SEARCH = [
    "+sweep=search", *(one for one in SMALL if not one.startswith(STEPS_OF_D)),
    "discriminator_training.steps=2", "discriminator.embedding=8", "discriminator.filters=4",
    "discriminator_trainer.images_per_batch=8", "phases.adversarial.validate_every=2", "adversarial.quality_floor=0",
    "hydra.sweeper.n_trials=4", "hydra.sweeper.n_jobs=2",
    # Below 0 there is nothing to do: such a trial fails.
    f"{STEPS_OF_D}=choice(-1,1)",
]  # fmt: skip


def start(outputs: Path, *overrides: str, by: Callable[..., Any] = Started) -> Any:
    return by("gan_caption.train", *overrides, f"outputs={outputs}", f"cache={outputs}/cache")


def sweep(outputs: Path, *overrides: str, status: int = 0, by: Callable[..., Any] = Started) -> tuple[str, str]:
    process = start(outputs, *overrides, by=by)
    said, errors = process.communicate()
    assert process.returncode == status, errors
    return said, errors


def kill_in_the_middle(outputs: Path, *overrides: str, finished: int) -> None:
    """SIGKILL a sweep when so many of its runs have finished and another has a checkpoint."""
    process = start(outputs, *overrides)
    while process.poll() is None:
        if len(results(outputs)) >= finished and len(list(outputs.glob("*/checkpoints/last.pt"))) > finished:
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.002)
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def results(outputs: Path) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in outputs.glob("*/results.json")}


def rows(outputs: Path, name: str) -> list[dict]:
    """What a sweep says of its runs, whatever folder they were written to."""
    told = json.loads((outputs / "sweeps" / name / "runs.json").read_text())
    return [
        {
            **row,
            "folder": Path(row.get("folder", "-")).name,
            "overrides": [
                one
                for one in row["overrides"]
                if not one.startswith(("outputs=", "cache=", "+cluster=", "hydra/launcher="))
            ],
        }
        for row in told
    ]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """The grid, swept without a stop, one run after the other."""
    outputs = tmp_path_factory.mktemp("whole")
    sweep(outputs, *GRID)
    return outputs


def test_a_killed_sweep_goes_on_and_ends_bitwise_like_one_that_was_not(whole, tmp_path):
    kill_in_the_middle(tmp_path, *GRID, finished=1)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/results.json")}
    assert 1 <= len(before) < 4
    stopped = {path.parents[1] for path in tmp_path.glob("*/checkpoints/last.pt")} - {path.parent for path in before}
    _, errors = sweep(tmp_path, *GRID)
    assert {path: path.stat().st_mtime_ns for path in before} == before, "what had finished was not repeated"
    assert errors.count("(taken up again)") == len(stopped)
    assert len(list(tmp_path.glob("*-scenes-*"))) == 4, "each run has one folder"
    assert results(tmp_path) == results(whole)
    assert rows(tmp_path, "grid") == rows(whole, "grid")


@pytest.mark.slow
def test_joblib_gives_the_same_runs_and_failures_cross_processes(whole, tmp_path):
    asked = [one.replace("seed=0,1", "seed=0,1,-1") for one in GRID]
    said, errors = sweep(tmp_path, *asked, "+cluster=joblib", "hydra.launcher.n_jobs=2", status=2, by=typed)
    assert results(tmp_path) == results(whole)
    assert [row for row in rows(tmp_path, "grid") if "failure" not in row] == rows(whole, "grid")
    assert "error: 2 of 6 runs failed:" in errors
    failed = [row for row in rows(tmp_path, "grid") if "failure" in row]
    assert [row["failure"] for row in failed] == ["seed=-1: at least 0"] * 2
    table = (tmp_path / "sweeps" / "grid" / "table.md").read_text()
    assert table in said
    assert len(table.splitlines()) == 2 + 6
    assert table.splitlines()[-1].endswith("failed: seed=-1: at least 0 |"), "failures come last"


def test_the_command_of_a_run_is_not_that_of_its_sweep(whole, tmp_path):
    (folder,) = whole.glob("mle-scenes-seed1-*")
    python, option, module, *words = (folder / "command.txt").read_text().split()
    assert (python, option) == ("python", "-m")
    again = [f"outputs={tmp_path}" if one.startswith("outputs=") else one for one in words]
    done = ended(module, *again)
    assert done.returncode == 0, done.stderr
    assert results(tmp_path) == {folder.name: results(whole)[folder.name]}


ABROAD = """
import shutil, tempfile
from pathlib import Path
from gan_caption.configuration.launching import launch
from gan_caption.errors import UserError

def task(config):
    for folder in Path(tempfile.gettempdir()).glob("gan_caption-*"):
        shutil.rmtree(folder)  # on another machine there is none
    if config.seed == 1:
        raise UserError("one is not allowed")

launch(task, after_sweep=lambda folder, jobs: print([job.failure for job in jobs]))
"""


def test_runs_on_other_machines_are_heard_of_by_the_folder_that_all_share(tmp_path):
    for name in ("tmp", "shared"):
        (tmp_path / name).mkdir()
    (tmp_path / "abroad.py").write_text(ABROAD)
    done = subprocess.run(
        [sys.executable, tmp_path / "abroad.py", "-m", "seed=0,1,2", f"outputs={tmp_path}/outputs"],
        cwd=tmp_path / "shared", env={**os.environ, "TMPDIR": str(tmp_path / "tmp")}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "[None, 'one is not allowed', None]", done.stderr
    assert done.returncode == 2
    assert "error: 1 of 3 runs failed" in done.stderr
    assert not list((tmp_path / "shared").iterdir())


def test_a_sweep_that_broke_off_has_no_table(tmp_path):
    """A launcher that is killed, say, ends Hydra with status 1 while other runs of the sweep have ended well."""
    broken = ABROAD.replace('raise UserError("one is not allowed")', "raise SystemExit(1)")
    (tmp_path / "broken.py").write_text(broken)
    command = [sys.executable, tmp_path / "broken.py", "-m", "seed=0,1,2", f"outputs={tmp_path}/outputs"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert "the sweep broke off, and no table is written" in done.stderr
    assert done.stdout == ""


def test_an_override_may_refer_to_another_and_stays_as_it_was_given(tmp_path):
    sweep(tmp_path, *SMALL, "name=run${seed}", "seed=3")
    (folder,) = tmp_path.glob("run3-*")
    assert "'name=run${seed}'" in (folder / "command.txt").read_text()


def test_a_sweep_page_cannot_allow_packages(tmp_path):
    page = tmp_path / "conf" / "sweep" / "foreign.yaml"
    page.parent.mkdir(parents=True)
    page.write_text("# @package _global_\nhydra: {mode: MULTIRUN, sweeper: {params: {allow: '[json]', seed: '0,1'}}}\n")
    _, errors = sweep(tmp_path, "--config-dir", str(page.parents[1]), "+sweep=foreign", *TINY, status=2)
    assert "foreign.yaml, line 2: it sets Hydra itself up" in errors  # before it could allow anything


def test_compare_takes_the_folder_of_a_sweep(whole, tmp_path):
    folders = folders_of(str(whole / "sweeps" / "grid"))
    systems = choose_systems(folders, baseline="mle")
    assert {name: [run.seed for run in own] for name, own in systems.items()} == {"mle": [0, 1], "scst": [0, 1]}
    assert folders_of(["a", "b"]) == ["a", "b"]
    moved = shutil.copytree(whole, tmp_path / "moved")
    assert folders_of(moved / "sweeps" / "grid") == [one.replace(str(whole), str(moved)) for one in folders]
    told = json.loads((moved / "sweeps" / "grid" / "runs.json").read_text())
    earlier = [{**row, "folder": str(Path("/elsewhere", Path(row["folder"]).name))} for row in told]
    (moved / "sweeps" / "grid" / "runs.json").write_text(json.dumps(earlier))
    assert folders_of(moved / "sweeps" / "grid") == [row["folder"] for row in earlier], "as they were once told"
    with pytest.raises(UserError, match="is not the folder of a sweep that has ended"):
        folders_of(str(tmp_path))


def test_a_trial_that_a_search_asked_for_twice_is_one_run(tmp_path):
    (tmp_path / "runs.json").write_text(
        json.dumps([{"folder": "a"}, {"failure": "x"}, {"folder": "b"}, {"folder": "a"}])
    )
    assert folders_of(tmp_path) == ["a", "b"]


@pytest.mark.slow
def test_a_killed_search_goes_on_with_the_trials_that_are_left(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    sweep(whole, *SEARCH, status=2)
    kill_in_the_middle(killed, *SEARCH, finished=1)
    stopped = {path.parents[1] for path in killed.glob("*/checkpoints/last.pt")}
    stopped -= {path.parent for path in killed.glob("*/results.json")}
    _, errors = sweep(killed, *SEARCH, status=2)
    assert errors.count("(taken up again)") == len(stopped)

    told = rows(whole, "search")
    assert len(told) == 4
    assert 0 < sum("failure" in row for row in told) < 4, "a failed trial does not end the search"
    assert rows(killed, "search") == told
    assert results(killed) == results(whole)
    best = [yaml.safe_load((one / "sweeps/search/optimization_results.yaml").read_text()) for one in (whole, killed)]
    assert best[0] == best[1]
    done = [row for row in told if "failure" not in row]
    assert best[0]["best_value"] == max(row["value"] for row in done)
    for row in done:
        folder = whole / row["folder"]
        validation = load_state(folder / "checkpoints" / "last.pt").selected["adversarial"]
        assert (row["quality"], row["diversity"]) == (validation["cider_d"], validation["div_2"])
        config = json.loads((folder / "config.json").read_text())
        assert config["validation"]["temperature"] == config["decoding"]["temperature"] != 1
        assert config["phases"]["adversarial"]["objective"]["reward"]["weights"]["cider_d"] is None


@pytest.mark.parametrize(
    ("cider_d", "div_2", "value"),
    [(1.5, 0.7, 1.5), (0.2, 0.6, 0.2), (0.0, 0.6, 0.0), (3.0, 0.5, -0.1 / 1.1), (3.0, 0.0, -0.6 / 1.6)],
)
def test_the_value_of_a_trial(cider_d, div_2, value):
    assert value_of({"cider_d": cider_d, "div_2": div_2}, floor=0.6) == pytest.approx(value)
    assert value_of({}, floor=0.6) == -1
    assert value_of({"cider_d": float("nan"), "div_2": 0.7}, floor=0.6) == -1
    assert value_of({"cider_d": 0.5, "div_2": float("nan")}, floor=0.6) == -1
    assert value_of({"cider_d": 0.5, "div_2": 0.0}, floor=None) == 0.5


def test_of_a_metric_where_less_is_better_the_floor_is_the_most_and_ruin_is_worse_than_any_lack():
    sought = Sought(diversity=replace(STANDARD["mbleu_4"], name="nll", better="lower"))
    assert value_of({"cider_d": 0.9, "nll": 12.0}, floor=12.5, sought=sought) == 0.9
    assert -1 < value_of({"cider_d": 0.9, "nll": 12.3}, floor=0.6, sought=sought) < -0.9
    assert value_of({"cider_d": 0.9, "nll": 12.3}, floor=None, sought=sought) == 0.9


def test_a_ruined_trial_stops_early_and_is_worth_less_than_any_other(configured, tmp_path):
    ruinous = (
        "phases.adversarial.learning_rate=1", "phases.adversarial.quality_floor=0.9", "phases.adversarial.patience=1",
        "phases.adversarial.steps=50", "phases.mle.epochs=6", "phases.mle.learning_rate=1e-2",
    )  # fmt: skip
    finished = run_experiment(configured(*ruinous), data="scenes")
    trial = trial_of(finished.folder, floor=0.0)
    assert trial.ended == "stopped early, after 2 steps: no healthy weights"
    assert (trial.value, trial.quality) == (-1, None)


class OwnPhase(MaximumLikelihoodPhase):
    """One that a user has written."""


def test_a_run_of_a_class_of_ones_own_is_a_trial(configured):
    phase = "phases.mle._target_=tests.reporting.test_sweep.OwnPhase"
    folder = run_experiment(configured("allow=[tests]", phase, base=TINY), data="scenes").folder
    assert trial_of(folder, floor=None, allow=["tests"]).ended == "finished"
    with pytest.raises(UserError, match=r"tests.*is not allowed"):
        trial_of(folder, floor=None)


def test_a_search_asks_of_a_run_that_is_there_what_it_seeks_now(configured):
    """The run was made for another search; D's phase comes last, and leaves no policy."""
    finished = run_experiment(configured("search_metric=bleu_1", "phases.adversarial=null"), data="scenes")
    left = load_state(finished.folder / "checkpoints" / "last.pt").selected["mle"]
    assert trial_of(finished.folder, floor=None).value == left["bleu_1"]
    now = trial_of(finished.folder, floor=0.0, sought=("rouge_l", "div_1"))
    assert (now.value, now.quality, now.diversity) == (left["rouge_l"], left["rouge_l"], left["div_1"])
    with pytest.raises(UserError, match="search_metric=bleu_9"):
        trial_of(finished.folder, floor=None, sought=("bleu_9", "div_2"))


def test_a_finished_run_is_not_repeated_by_resume_auto_and_is_by_none(configured, tmp_path, capsys):
    first = run_experiment(configured(base=TINY), data="scenes")
    (folder,) = (tmp_path / "outputs").iterdir()
    assert first.folder == folder
    made = {path: path.stat().st_mtime_ns for path in folder.rglob("*.*")}
    again = run_experiment(configured("resume=auto", base=TINY), data="scenes")
    assert repr(again) == repr(first)
    assert f"Finished before: everything is in {folder}" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.*")} == made
    run_experiment(configured(base=TINY), data="scenes")
    assert len(list((tmp_path / "outputs").iterdir())) == 2


def test_a_second_process_waits_for_the_first_one_and_does_not_repeat_it(tmp_path):
    both = [start(tmp_path, *SMALL, "resume=auto") for _ in range(2)]
    ended = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0], ended
    assert sum("Finished before" in said for said, _ in ended) == 1
    (folder,) = tmp_path.glob("mle-*")
    steps = [json.loads(line)["step"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert steps == sorted(steps)


def test_a_baseline_from_elsewhere_is_validated_as_this_run_decodes(configured, tmp_path):
    baseline = run_experiment(configured(base=TINY), data="scenes").folder
    greedy = load_state(baseline / "checkpoints" / "last.pt").selected["mle"]
    asked = (f"pretrained={baseline}", f"outputs={tmp_path}/other")
    for more, same in (((), True), (("decoding=sampling",), False)):
        newest = run_experiment(configured(*asked, *more), data="scenes").folder
        adopted = load_state(newest / "checkpoints" / "last.pt").selected["mle"]
        assert (repr(adopted) == repr(greedy)) is same


def test_the_table_has_a_column_for_what_varies(tmp_path):
    jobs = [Job(["name=a", f"rate={rate}", "seed=0"], "sweep") for rate in ("0.123456789", "2")]
    trials = [Trial("a", "a", 0, 1.5, 0.5, "finished", value) for value in (0.1, 0.2)]
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in summary(jobs, trials).splitlines()]
    assert lines[0] == ["rate", "val CIDEr-D x 100", "val Div-2", "value", "end"]
    assert lines[2:] == [
        ["2", "150.0", "0.500", "0.2000", "finished"],
        ["0.1235", "150.0", "0.500", "0.1000", "finished"],
    ]
    dates = [Job([f"data.seed={seed}"], "sweep") for seed in (20240101, 20240102)]
    assert "20240101" in summary(dates, trials)
    assert "20240102" in summary(dates, trials)
    names = [Job([f"name=2024_01_{day}"], "sweep") for day in (15, 16)]
    assert "2024_01_15" in summary(names, trials)


def test_the_reason_of_a_failure_has_one_line_in_the_table():
    failed = Job(["seed=2"], "sweep", failure="a | b\nand more")
    (row,) = [line for line in summary([failed], [None]).splitlines() if "failed" in line]
    assert row.endswith(r"failed: a \| b |")


def test_the_table_of_runs_that_delete_a_setting():
    jobs = [Job(["~phases.words", f"seed={seed}"], "sweep") for seed in (0, 1)]
    assert "seed" in summary(jobs, [Trial("a", "a", 0, 1.5, 0.5, "finished", value) for value in (0.1, 0.2)])


@pytest.mark.parametrize("overrides", [["+experiment=mle", "+sweep=grid"], ["+sweep=search"]])
def test_every_sweep_page_describes_runs(overrides):
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config = OmegaConf.to_container(compose("config", overrides=overrides), resolve=True)
    check_configuration(config)
    assert config["resume"] == "auto"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("+sweep=search", "searches need optuna: pip install 'gan_caption[sweep]'"),
        ("hydra/launcher=joblib", "pip install 'gan_caption[sweep]'"),
        ("+cluster=ray", "pip install 'gan_caption[ray]'"),
        ("+cluster=slurm", "pip install 'gan_caption[slurm]'"),
        ("hydra/launcher=submitit_local", "pip install 'gan_caption[slurm]'"),
    ],
)
def test_what_brings_sweepers_and_launchers_is_said_where_they_are_missing(monkeypatch, capsys, asked, message):
    _tell_of_plugins([asked])
    assert not capsys.readouterr().err
    monkeypatch.setattr("gan_caption.extras.find_spec", lambda name: None)
    _tell_of_plugins(["seed=0,1"])
    assert not capsys.readouterr().err
    _tell_of_plugins([asked])
    assert message in capsys.readouterr().err
