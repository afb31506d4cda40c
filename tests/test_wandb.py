"""Weights & Biases: run files that hold all that was logged, a dashboard of it, and connections that fail."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from gan_caption.reporting.dashboard import define_dashboard
from gan_caption.training.records import read_records
from tests.started import ended
from tests.test_readme import LOGS, listed
from tests.tiny_runs import TINY_SEQGAN
from tests.wandb_files import WandbServer, alone, history, run_wandb, wandb_records

pytestmark = pytest.mark.slow

PHASES = ("words", "mle", "discriminator", "adversarial")


@pytest.fixture(scope="module")
def seqgan(tmp_path_factory):
    """A run's folder, left by the command that a user types who is not logged in."""
    folder = tmp_path_factory.mktemp("seqgan")
    overrides = [*TINY_SEQGAN, "tracker=wandb", "phases.adversarial.likelihood_weight=0.1"]
    result = ended("gan_caption.train", *overrides, folder=folder, environment=alone(folder))
    assert result.returncode == 0, result.stderr
    (run,) = folder.glob("outputs/*")
    return run


# --- The files of an offline run ---


def metrics(folder: Path, phase: str) -> list[dict]:
    """What the local files have of a phase, without the time."""
    records = [record for record in read_records(folder / "metrics.jsonl") if record["phase"] == phase]
    return [{key: value for key, value in record.items() if key != "time"} for record in records]


def said(value):
    """A value as the local files have it: None is what is not a number."""
    return None if value == "NaN" or (isinstance(value, float) and math.isnan(value)) else value


@pytest.mark.parametrize("phase", PHASES)
def test_an_offline_run_holds_every_metric(seqgan, phase):
    rows = [row for row in history(wandb_records(seqgan, phase)) if "samples" not in row]
    theirs = [{key: said(value) for key, value in row.items() if key[0] != "_"} for row in rows]
    assert theirs == metrics(seqgan, phase)


@pytest.mark.parametrize("phase", ["mle", "adversarial"])
def test_an_offline_run_holds_the_sample_table_and_the_images(seqgan, phase):
    ours = [record for record in read_records(seqgan / "samples.jsonl") if record["phase"] == phase]
    rows = [row for row in history(wandb_records(seqgan, phase)) if "samples" in row]
    steps = [row["step"] for row in rows]
    assert steps == sorted({record["step"] for record in ours})
    (files,) = seqgan.glob(f"wandb/offline-run-*-{phase}/files")
    for row in rows:
        told = [record for record in ours if record["step"] == row["step"]]
        table = json.loads((files / row["samples"]["path"]).read_text())
        column = {name: [line[place] for line in table["data"]] for place, name in enumerate(table["columns"])}
        assert column["image_id"] == [record["image_id"] for record in told]
        for name in ("decoded", "sampled"):
            assert column[name] == [record["captions"][name] for record in told]
        assert all(image is not None for image in column["image"])
        images = row["sample_images"]
        assert images["captions"] == [
            f"decoded: {record['captions']['decoded']}\nsampled: {record['captions']['sampled']}" for record in told
        ]
        for name, record in zip(images["filenames"], told, strict=True):
            assert Image.open(files / name).tobytes() == Image.open(seqgan / record["image"]).tobytes()


def test_the_images_of_the_table_wait_for_the_upload(seqgan):
    staged = {
        Path(entry.local_path)
        for record in wandb_records(seqgan, "mle")
        for entry in record.artifact.manifest.contents
        if entry.path.endswith(".png")
    }
    pixels = {Image.open(path).tobytes() for path in staged}
    assert pixels == {Image.open(path).tobytes() for path in (seqgan / "samples").iterdir()}


@pytest.mark.parametrize("phase", ["adversarial"])
def test_wandb_sync_sends_every_metric_the_table_and_the_images(seqgan, tmp_path, phase):
    """Also from a copy: the table's own images alone stay behind, where the run was made."""
    (run,) = seqgan.glob(f"wandb/offline-run-*-{phase}")
    copy = shutil.copytree(run, tmp_path / run.name)
    command = [sys.executable, "-m", "wandb", "sync", str(copy)]
    with WandbServer() as server:
        environment = alone(tmp_path, **server.environment)
        result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    streams = [request["files"].get("wandb-history.jsonl", {}) for request in server.asked if "files" in request]
    lines = [json.loads(line) for stream in streams for line in stream.get("content", [])]
    sent = [{key: said(value) for key, value in line.items() if key[0] != "_"} for line in lines]
    assert [line for line in sent if "samples" not in line] == metrics(seqgan, phase)
    media = {str(path.relative_to(run / "files")): path for path in (run / "files" / "media").rglob("*.*")}
    assert {Path(name).suffix for name in media} == {".png", ".json"}
    for name, path in media.items():
        assert server.files[name] == path.read_bytes()


# --- The dashboard ---


def named(dashboard: dict) -> set[str]:
    """The metrics, tables and images that the panels of a dashboard show; an unknown kind of panel is an error."""
    names: list[str] = []
    for section in dashboard["spec"]["section"]["panelBankConfig"]["sections"]:
        for panel in section["panels"]:
            config = panel["config"]
            match panel["viewType"]:
                case "Run History Line Plot":
                    names += [config["xAxis"], *config["metrics"]]
                case "Bar Chart":
                    names += config["metrics"]
                case "Scatter Plot":
                    names += [config["xAxis"].removeprefix("summary:"), config["yAxis"].removeprefix("summary:")]
                case "Media Browser":
                    names += config["mediaKeys"]
                case "Weave":
                    names.append(config["panel2Config"]["exp"]["fromOp"]["inputs"]["key"]["val"])
                case other:
                    raise AssertionError(f"a panel of a kind that this test does not read: {other}")
    columns = dashboard["spec"]["section"]["runSets"][0]["runFeed"]["columnPinned"]
    return {*names, *(name.removeprefix("summary:") for name in columns if name.startswith("summary:"))}


def spec(workspace) -> dict:
    return json.loads(workspace._to_model().model_dump_json(by_alias=True, exclude_none=True))


def defined():
    return define_dashboard(project="p", entity="me", name="n", baseline="mle", methods=["mle", "seqgan"])


@pytest.fixture(scope="module")
def logged(seqgan):
    """The names that W&B gets in a run of SeqGAN, and those that runs log, which the documented ones are."""
    names = set(listed(LOGS, "Names in the logs"))
    for phase in PHASES:
        records = wandb_records(seqgan, phase)
        names |= {name for row in history(records) for name in row}
        names |= {item.key for record in records for item in record.summary.update}
    return names


def test_every_panel_shows_something_that_runs_log(logged):
    assert named(spec(defined())) - logged == set()


def test_a_panel_of_an_invented_metric_is_found(logged):
    from wandb_workspaces.reports.v2 import (
        BarPlot,
        LinePlot,
        MediaBrowser,
        ScatterPlot,
        SummaryMetric,
        WeavePanelSummaryTable,
    )

    invented = [
        LinePlot(x="invented/x", y=["policy/entropy", "invented/y"]),
        BarPlot(metrics=["invented/bar"]),
        ScatterPlot(x=SummaryMetric("invented/across"), y=SummaryMetric("invented/up")),
        MediaBrowser(media_keys=["invented/media"]),
        WeavePanelSummaryTable(table_name="invented/table"),
    ]
    workspace = defined()
    workspace.sections[-1].panels = [*workspace.sections[-1].panels, *invented]
    assert named(spec(workspace)) - logged == {
        f"invented/{name}" for name in ("x", "y", "bar", "across", "up", "media", "table")
    }


def test_the_dashboard_shows_what_it_is_for():
    names = named(spec(defined()))
    assert {
        "val/cider_d",
        "val/div_2",
        "reward/mean",
        "policy/entropy",
        "samples",
        "sample_images",
        "mle/loss",
    } <= names
    assert {f"discriminator/accuracy_{kind}" for kind in ("real", "generated", "mismatched")} <= names
    runs = spec(defined())["spec"]["section"]["runSets"][0]
    assert [(key["section"], key["name"]) for key in runs["grouping"]] == [("run", "group"), ("run", "jobType")]


def make(folder: Path, *overrides: str, **environment: str) -> subprocess.CompletedProcess:
    around = alone(folder, **environment)
    return ended("gan_caption.dashboard", "project=captions", *overrides, folder=folder, environment=around)


@pytest.mark.parametrize("environment", [{}, {"WANDB_API_KEY": "a" * 40, "WANDB_MODE": "offline"}])
def test_without_login_the_dashboard_is_a_file_and_nothing_is_asked(tmp_path, environment):
    result = make(tmp_path, "out=board.json", **environment)
    assert result.returncode == 0, result.stderr
    assert "the dashboard is in board.json\nnot saved to W&B: do `wandb login`" in result.stdout
    written = json.loads((tmp_path / "board.json").read_text())
    assert written["project"] == "captions"
    assert named(written) == named(spec(defined()))


def test_with_login_the_file_is_what_the_project_gets(tmp_path):
    with WandbServer() as server:
        result = make(tmp_path, **server.environment)
    assert result.returncode == 0, result.stderr
    (saved,) = [request["variables"] for request in server.asked if "upsertView" in request.get("query", "")]
    assert (saved["entityName"], saved["projectName"]) == ("me", "captions")
    assert named({"spec": json.loads(saved["spec"])}) == named(json.loads((tmp_path / "dashboard.json").read_text()))
    assert f"saved: {server.environment['WANDB_BASE_URL']}/me/captions?nw=" in result.stdout


# --- Connections that fail ---

TRACKED = """
import logging, sys
from pathlib import Path
from gan_caption.training.records import LocalTracker
from gan_caption.training.tracking import Trackers, WandbTracker

logging.basicConfig(stream=sys.stdout, format="%(message)s")
folder = Path(sys.argv[1])
online = WandbTracker(folder=folder, group="g", name="n", job_type="mle", configuration={}, run_id="id-mle",
                      project="gan_caption", entity=None, start_timeout=60, upload_timeout=2)
tracker = Trackers(trackers=[LocalTracker(folder=folder), online])
tracker.log({"loss": 1.0}, step=1)
LOSE
tracker.log({"loss": 2.0}, step=2)
tracker.finish("finished")
"""
LOSE = """
print("lose it", flush=True)
input()
"""


def losses(folder: Path) -> list[float]:
    return [record["loss"] for record in read_records(folder / "metrics.jsonl")]


def test_where_nobody_answers_the_run_is_kept_offline(tmp_path):
    with WandbServer() as server:
        pass  # its port is closed now
    said = run_wandb(TRACKED.replace("LOSE", ""), tmp_path, "online", **server.environment)
    (line,) = [line for line in said.splitlines() if line.startswith("Weights & Biases")]
    (place,) = tmp_path.glob("wandb/offline-run-*-id-mle")
    assert line.startswith("Weights & Biases could not be reached (")
    assert line.endswith(f"; the run is kept offline: wandb sync {place}")
    assert losses(tmp_path) == [1.0, 2.0]
    assert [row["loss"] for row in history(wandb_records(tmp_path, kind="offline-run"))] == [1.0, 2.0]


def test_a_connection_lost_in_the_middle_keeps_what_was_not_sent(tmp_path):
    command = [sys.executable, "-c", TRACKED.replace("LOSE", LOSE), str(tmp_path)]
    with WandbServer() as server:
        environment = alone(tmp_path, WANDB_MODE="online", **server.environment)
        process = subprocess.Popen(
            command, cwd=tmp_path, env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        while (line := process.stdout.readline()) not in ("lose it\n", ""):
            pass
        assert line, process.stderr.read()
    said, errors = process.communicate("\n")
    assert process.returncode == 0, errors
    assert any("upsertBucket" in request.get("query", "") for request in server.asked)  # it did begin online
    (line,) = [line for line in said.splitlines() if line.startswith("Weights & Biases")]
    (place,) = tmp_path.glob("wandb/run-*-id-mle")
    assert line.startswith("Weights & Biases did not take everything (")
    assert line.endswith(f"; the rest is kept: wandb sync {place}")
    assert losses(tmp_path) == [1.0, 2.0]
    assert [row["loss"] for row in history(wandb_records(tmp_path))] == [1.0, 2.0]
