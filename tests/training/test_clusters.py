"""Sweeps on Ray, on Slurm's engine and on joblib, by the commands that a user types: two runs each."""

from __future__ import annotations

import secrets
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from hydra import compose, initialize_config_dir
from hydra.core.plugins import Plugins
from hydra.types import HydraContext, RunMode

from gan_caption.configuration.command_line import read_command_line
from gan_caption.configuration.launching import conf_dir
from tests.reporting.test_sweep import GRID, SMALL, results, rows, start, sweep
from tests.started import typed

TWO = [*(one for one in GRID if not one.startswith("seed=")), "seed=0", "save_every=1"]
RAY = Path(sys.executable).with_name("ray")


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """The two runs, one after the other in one process."""
    outputs = tmp_path_factory.mktemp("whole")
    sweep(outputs, *TWO)
    return outputs


@pytest.fixture
def head(tmp_path, monkeypatch):
    """The address of a Ray head of two cores, started in a folder of its own, as on another machine."""
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
    (tmp_path / "elsewhere").mkdir()
    asked = ["start", "--head", "--port=0", "--num-cpus=2", "--include-dashboard=false", "--disable-usage-stats"]
    # In the foreground, so that it can be ended by itself: `ray stop` would end every Ray of this machine.
    said = tmp_path / "elsewhere" / "said.txt"
    with said.open("wb") as log:
        own = psutil.Popen([RAY, *asked, "--block"], cwd=said.parent, stdout=log, stderr=log)
    try:
        while "--address='" not in said.read_text():
            assert own.poll() is None, said.read_text()
            time.sleep(0.1)
        yield said.read_text().split("--address='")[1].split("'")[0]
    finally:
        every = [*own.children(recursive=True), own]
        for process in every:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(every, timeout=30)


@pytest.mark.slow
def test_ray_gives_the_same_runs_from_a_head_that_was_there(whole, head, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outputs = Path("relative")  # to the folder of the command, wherever Ray's processes began
    sweep(outputs, *TWO, "+cluster=ray", f"hydra.launcher.ray.init.address={head}", by=typed)
    assert results(outputs) == results(whole)
    assert rows(outputs, "grid") == rows(whole, "grid")
    assert {path.name for path in tmp_path.iterdir()} == {"relative", "elsewhere"}, "nothing is left beside the runs"


@pytest.mark.slow
def test_submitit_gives_the_same_runs_and_a_preempted_one_goes_on(whole, tmp_path):
    process = start(tmp_path, *TWO, "hydra/launcher=submitit_local", by=typed)
    while process.poll() is None and not preempt_one(tmp_path):
        time.sleep(0.002)
    _, errors = process.communicate()
    said = "".join(path.read_text() for path in tmp_path.glob("sweeps/grid/.submitit/**/*_log.*"))
    assert process.returncode == 0, errors + said
    assert "this job is preempted" in said
    assert said.count("(taken up again)") == 1
    assert results(tmp_path) == results(whole)
    assert rows(tmp_path, "grid") == rows(whole, "grid")


def preempt_one(outputs: Path) -> bool:
    """Send one job that is in the middle of its run what Slurm sends, through submitit, before it takes the machine."""
    for last in outputs.glob("*/checkpoints/last.pt"):
        folder = last.parents[1]
        if (folder / "results.json").exists():
            continue
        for log in outputs.glob("sweeps/grid/.submitit/*/*_log.*"):
            if str(folder) in log.read_text():
                with suppress(psutil.NoSuchProcess):
                    for worker in psutil.Process(int(log.name.partition("_")[0])).children():
                        worker.send_signal(signal.SIGUSR2)
                        return True
    return False


@pytest.mark.slow
def test_a_run_in_a_process_of_its_own_reads_no_environment_either(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET", "hunter2")
    asked = [*SMALL, "+sweep=grid", "+experiment=mle", "seed=0,1", "name=${oc.env:SECRET}", "+cluster=joblib"]
    said, errors = sweep(tmp_path, *asked, status=2, by=typed)
    assert "it reads no environment variables" in errors
    assert "hunter2" not in said + errors


@pytest.mark.parametrize("cluster", ["joblib", "ray", "slurm"])
def test_a_single_run_goes_to_a_cluster_as_well(cluster):
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        asked = ["+experiment=mle", f"+cluster={cluster}"]
        config = compose("config", overrides=asked, return_hydra_config=True)
    assert config.hydra.mode == RunMode.MULTIRUN
    read_command_line([*asked, "seed=0,1"], entry=conf_dir() / "config.yaml")  # commas need no -m beside it


def test_the_page_of_slurm_is_one_that_submitit_takes():
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config = compose("config", overrides=["+sweep=grid", "+cluster=slurm"], return_hydra_config=True)
    assert config.resume == "auto"
    launcher = Plugins.instance().instantiate_launcher(
        hydra_context=HydraContext(config_loader=None, callbacks=None), task_function=print, config=config
    )  # type: ignore[arg-type]
    from submitit.slurm.slurm import _make_sbatch_string

    told = dict(launcher.params)
    assert told["max_num_timeout"] == 20
    asked = {key: told[key] for key in ("gpus_per_node", "cpus_per_task", "signal_delay_s", "array_parallelism")}
    page = _make_sbatch_string(command="train", folder="/shared", time=told["timeout_min"], map_count=60, **asked)
    assert "#SBATCH --array=0-59%16" in page
    assert "#SBATCH --signal=USR2@120" in page
