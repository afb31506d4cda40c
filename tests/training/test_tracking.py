"""Local records, real offline runs of Weights & Biases, and the display of progress."""

import io
import json
import os
import pty
import re
import subprocess
import sys
import time
from contextlib import nullcontext

import pytest
from PIL import Image

from gan_caption.errors import UserError
from gan_caption.training.progress import Progress
from gan_caption.training.records import LocalTracker, read_records
from gan_caption.training.tracking import Sample, Trackers, finishing
from tests.wandb_files import WandbServer, alone, history, run_wandb, wandb_records


def picture(size=(300, 600), colour=(200, 10, 10)):
    return Image.new("RGB", size, colour)


def without_time(records):
    return [{key: value for key, value in record.items() if key != "time"} for record in records]


class Listener:
    """A tracker that remembers what it was told."""

    def __init__(self, fails=False):
        self.heard = []
        self.fails = fails

    def log(self, values, *, step, phase=None):
        self.heard.append(("log", dict(values), step, phase))

    def samples(self, rows, *, step, phase=None):
        self.heard.append(("samples", list(rows), step, phase))

    def finish(self, status):
        self.heard.append(("finish", status))
        if self.fails:
            raise OSError("cannot finish")


def test_records_are_on_disk_at_once_with_step_phase_and_time(tmp_path):
    tracker = LocalTracker(folder=tmp_path / "run", job_type="pretrain")
    before = time.time() - 0.01
    tracker.log({"loss": 1.5, "updates": 3}, step=1)
    tracker.log({"loss": float("nan"), "reward": float("inf")}, step=2, phase="adversarial")
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    first, second = map(json.loads, lines)
    assert before <= first.pop("time") <= time.time() + 0.01
    second.pop("time")
    assert first == {"step": 1, "phase": "pretrain", "loss": 1.5, "updates": 3}
    assert second == {"step": 2, "phase": "adversarial", "loss": None, "reward": None}
    assert "NaN" not in lines[1]


def test_values_may_be_tensors_and_not_named_like_the_records_own_keys(tmp_path):
    torch = pytest.importorskip("torch")
    tracker = LocalTracker(folder=tmp_path)
    tracker.log({"loss": torch.tensor(0.5)}, step=1)
    assert read_records(tmp_path / "metrics.jsonl")[0]["loss"] == 0.5
    with pytest.raises(ValueError, match="step"):
        tracker.log({"step": 1.0}, step=1)


def test_samples_with_their_images_written_once_and_small(tmp_path):
    tracker = LocalTracker(folder=tmp_path)
    tracker.samples([Sample("dir/a b.jpg", {"greedy": "ein Hund – läuft"}, ("r",), picture())], step=1)
    name = read_records(tmp_path / "samples.jsonl")[0]["image"]
    written = (tmp_path / name).stat().st_mtime_ns
    rows = [
        Sample("dir/a b.jpg", {"greedy": "x"}, ("r",), picture()),
        Sample("dir_a_b.jpg", {"greedy": "y"}, (), picture()),
        Sample("c", {"greedy": "z"}),
    ]
    tracker.samples(rows, step=2)
    records = without_time(read_records(tmp_path / "samples.jsonl"))
    assert records[0] == {
        "step": 1, "phase": "train", "image_id": "dir/a b.jpg", "captions": {"greedy": "ein Hund – läuft"},
        "references": ["r"], "image": name,
    }  # fmt: skip
    assert [record["image"] for record in records[1:]] == [name, "samples/dir_a_b.jpg.png", None]
    assert (tmp_path / name).stat().st_mtime_ns == written
    tracker.samples([Sample("no utf-8: \udce9", {"greedy": "z"}, (), picture())], step=3)
    assert read_records(tmp_path / "samples.jsonl")[-1]["image_id"] == "no utf-8: ?"
    with Image.open(tmp_path / name) as image:
        assert image.size == (128, 256)
        assert image.getpixel((0, 0)) == (200, 10, 10)


def test_rewind_drops_what_comes_after_the_checkpoint_and_no_byte_before(tmp_path):
    tracker = LocalTracker(folder=tmp_path)
    for step in (10, 20, 30):
        tracker.log({"loss": step / 7}, step=step)
        tracker.samples([Sample("a", {"greedy": str(step)})], step=step)
    before = (tmp_path / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    tracker.rewind(20)
    assert (tmp_path / "metrics.jsonl").read_bytes() == b"".join(before[:2])
    tracker.log({"loss": 9.0}, step=21)
    assert [record["step"] for record in read_records(tmp_path / "metrics.jsonl")] == [10, 20, 21]
    assert [record["step"] for record in read_records(tmp_path / "samples.jsonl")] == [10, 20]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["metrics.jsonl", "samples.jsonl"]


@pytest.mark.parametrize("cut", [1, 2, 15])
def test_half_written_last_line_is_dropped_on_resume(tmp_path, cut):
    tracker = LocalTracker(folder=tmp_path)
    for step in (1, 2):
        tracker.log({"loss": 0.25}, step=step)
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(path.read_bytes()[:-cut])
    kept = [1, 2] if cut == 1 else [1]  # only the end of the line is missing: nothing is lost
    assert [record["step"] for record in read_records(path)] == kept
    LocalTracker(folder=tmp_path).log({"loss": 0.5}, step=3)
    assert [record["step"] for record in read_records(path)] == [*kept, 3]


def test_damage_in_the_middle_is_named(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\n{"ste\n{"step": 3}\n')
    with pytest.raises(UserError, match=r"metrics\.jsonl, line 2 is damaged: remove the line, or the file"):
        LocalTracker(folder=tmp_path)
    with pytest.raises(UserError, match=r"cannot read .*absent\.jsonl: No such file"):
        read_records(tmp_path / "absent.jsonl")


def test_folder_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot make .*/file/run: Not a directory\. Choose another folder"):
        LocalTracker(folder=tmp_path / "file" / "run")
    tracker = LocalTracker(folder=tmp_path / "run")
    (tmp_path / "run" / "metrics.jsonl").mkdir()
    with pytest.raises(UserError, match=r"cannot write to .*metrics\.jsonl: Is a directory\. Free some space"):
        tracker.log({"loss": 1.0}, step=1)


def test_trackers_tell_all_and_finish_all(tmp_path):
    first, second = Listener(fails=True), Listener()
    both = Trackers(trackers=[first, second])
    rows = [Sample("a", {"greedy": "b"})]
    both.log({"loss": 1.0}, step=1, phase="p")
    both.samples(rows, step=2)
    with pytest.raises(OSError, match="cannot finish"):
        both.finish("failed")
    assert first.heard == second.heard
    assert first.heard == [("log", {"loss": 1.0}, 1, "p"), ("samples", rows, 2, None), ("finish", "failed")]
    Trackers(trackers=[]).log({"loss": 1.0}, step=1)


@pytest.mark.parametrize(
    ("error", "status"), [(None, "finished"), (ValueError(), "failed"), (KeyboardInterrupt(), "interrupted")]
)
def test_finishing_always_finishes(error, status):
    tracker = Listener()
    with pytest.raises(type(error)) if error else nullcontext(), finishing(tracker):
        if error:
            raise error
    assert tracker.heard == [("finish", status)]


# --- Weights & Biases: each scenario in a process of its own, with real offline runs ---

TWO_RUNS = """
import logging, sys
from pathlib import Path
from PIL import Image
from gan_caption.training.tracking import Sample, WandbTracker, finishing

logging.basicConfig(stream=sys.stdout, format="%(message)s")
folder = Path(sys.argv[1])
image = Image.new("RGB", (500, 250), (1, 2, 3))
page = {"project": "gan_caption", "entity": None, "start_timeout": 30, "upload_timeout": 300}
left_open = WandbTracker(folder=folder / "open", group="g", name="n", job_type="mle", configuration={}, run_id=None,
                         **page)
for seed in (0, 1):
    tracker = WandbTracker(folder=folder / str(seed), group="seqgan", name=f"seqgan-{seed}", job_type="mle",
                           configuration={"seed": seed, "generator": {"hidden": 8}}, run_id=f"id{seed}", **page)
    assert tracker.run_id == f"id{seed}"
    try:
        with finishing(tracker):
            tracker.log({"loss": 0.5}, step=30)
            tracker.log({"loss": 0.75}, step=20, phase="adversarial")
            for step in (30, 40):
                tracker.samples([Sample("a", {"greedy": f"step {step}"}, ("r1", "r2"), image)], step=step)
            tracker.samples([Sample("a", {"beam": "b"}, ())], step=40)
            if seed == 1:
                raise ValueError("stop")
    except ValueError:
        pass
    tracker.finish("finished")  # a second call does nothing
bad = WandbTracker(folder=folder / "bad", group="g", name="n", job_type="mle", configuration={}, run_id="a/b:c", **page)
bad.log({"loss": 1.0}, step=1)
bad.samples([Sample("a", {"greedy": "b"})], step=1)
bad.finish("finished")
left_open.finish("finished")
"""

KILLED = """
import logging, os, signal, sys
from pathlib import Path
from gan_caption.training.records import LocalTracker
from gan_caption.training.tracking import Sample, Trackers, WandbTracker

logging.basicConfig(stream=sys.stdout, format="%(message)s")
folder = Path(sys.argv[1])
online = WandbTracker(folder=folder, group="g", name="n", job_type="mle", configuration={}, run_id=None,
                      project="gan_caption", entity=None, start_timeout=30, upload_timeout=300)
assert online.run_id
tracker = Trackers(trackers=[LocalTracker(folder=folder), online])
tracker.log({"loss": 0.0}, step=0)
for entry in Path("/proc").iterdir():  # W&B's service is the only child of this process
    if entry.name.isdigit():
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == os.getpid():
            os.kill(int(entry.name), signal.SIGKILL)
for step in range(1, 4):
    tracker.log({"loss": float(step)}, step=step)
    tracker.samples([Sample("a", {"greedy": "b"})], step=step)
tracker.finish("finished")
"""


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory):
    """Two runs in one process, as in a sweep; nobody is logged in and WANDB_MODE is not set."""
    folder = tmp_path_factory.mktemp("two_runs")
    return folder, run_wandb(TWO_RUNS, folder, mode=None)


def test_runs_of_a_sweep_are_offline_runs_of_their_own_with_their_ends(two_runs):
    folder, _ = two_runs
    for seed, exit_code, status in ((0, 0, "finished"), (1, 1, "failed")):
        records = wandb_records(folder / str(seed))
        (run,) = [record.run for record in records if record.WhichOneof("record_type") == "run"]
        assert (run.project, run.run_group, run.job_type) == ("gan_caption", "seqgan", "mle")
        assert (run.display_name, run.run_id) == (f"seqgan-{seed}", f"id{seed}")
        assert {item.key: item.value_json for item in run.config.update}["seed"] == str(seed)
        (end,) = [record.exit for record in records if record.WhichOneof("record_type") == "exit"]
        assert end.exit_code == exit_code
        summary = [item for record in records for item in record.summary.update]
        assert [json.loads(item.value_json) for item in summary if item.key == "status"] == [status]


def test_every_record_carries_its_step_and_metrics_are_drawn_over_it(two_runs):
    folder, _ = two_runs
    records = wandb_records(folder / "0")
    rows = history(records)
    assert [row["step"] for row in rows] == [30, 20, 30, 40, 40]
    assert [(row["loss"], row["phase"]) for row in rows[:2]] == [(0.5, "mle"), (0.75, "adversarial")]
    metrics = [record.metric for record in records if record.WhichOneof("record_type") == "metric"]
    assert [metric.step_metric for metric in metrics if metric.glob_name == "*"] == ["step"]


def test_each_validation_has_a_sample_table_of_its_own(two_runs):
    folder, _ = two_runs
    paths = folder.glob("0/wandb/offline-run-*/files/media/table/*.json")
    tables = [json.loads(path.read_text()) for path in paths]
    other, first, second = sorted(tables, key=lambda table: (table["columns"], table["data"]))
    assert first["columns"] == ["step", "phase", "image_id", "image", "greedy", "references"]
    assert first["data"] == [[30, "mle", "a", "Image", "step 30", "r1\nr2"]]
    assert second["data"] == [[40, "mle", "a", "Image", "step 40", "r1\nr2"]]
    assert other["columns"] == ["step", "phase", "image_id", "image", "beam", "references"]
    assert other["data"] == [[40, "mle", "a", None, "b", ""]]


def test_failing_to_start_is_one_warning(two_runs):
    _, said = two_runs
    (line,) = said.splitlines()
    assert line.startswith("Weights & Biases could not start (")
    assert line.endswith("; from here on only the local files are written")


def test_losing_wandb_in_the_middle_is_one_warning_and_the_local_files_go_on(tmp_path):
    said = run_wandb(KILLED, tmp_path, mode="offline")
    assert said.count("Weights & Biases could not log") == 1
    assert len(said.splitlines()) == 1
    assert [record["step"] for record in read_records(tmp_path / "metrics.jsonl")] == [0, 1, 2, 3]
    assert len(read_records(tmp_path / "samples.jsonl")) == 3
    assert list(tmp_path.glob("wandb/offline-run-*"))


PART = """
import sys
from pathlib import Path
from gan_caption.training.tracking import WandbTracker

tracker = WandbTracker(folder=Path(sys.argv[1]), group="g", name="n", job_type="mle", configuration={}, run_id="run",
                       project="gan_caption", entity=None, start_timeout=30, upload_timeout=300)
for step in sys.argv[2:]:
    tracker.log({"loss": 1.0}, step=int(step))
tracker.finish("finished")
"""


@pytest.mark.slow
@pytest.mark.parametrize("mode", [None, "offline"])  # not logged in; offline by choice
def test_a_resumed_runs_offline_parts_come_one_after_the_other_in_wandb(tmp_path, mode):
    for steps in ("1", "2"), ("3", "4"):
        run_wandb(PART, tmp_path, mode, *steps)
    with WandbServer() as server:
        for part in sorted(tmp_path.glob("wandb/offline-run-*")):
            command = [sys.executable, "-m", "wandb", "sync", str(part)]
            subprocess.run(command, env=alone(tmp_path, **server.environment), capture_output=True, check=True)
    sent = [
        request["files"]["wandb-history.jsonl"]
        for request in server.asked
        if "wandb-history.jsonl" in request.get("files", {})
    ]
    kept = {part["offset"] + place: line for part in sent for place, line in enumerate(part["content"])}
    # in as few requests as it likes; at offset 0 the second part would lie over the first
    assert [json.loads(kept[place])["step"] for place in sorted(kept)] == [1, 2, 3, 4]


# --- Progress ---


def test_lines_where_there_is_no_terminal(capfd):
    stream = io.StringIO()
    with Progress(phase="pretrain", total=4, seconds_between_lines=0, stream=stream) as progress:
        progress.update(1, {"loss": 0.123456, "reward": 2})
        progress.update(4)
    with Progress(phase="adversarial", total=50, start=20, seconds_between_lines=1e9, stream=stream) as progress:
        for step in range(21, 31):
            progress.update(step, {"reward": 0.5})
    lines = re.sub(r"\b\d+:\d\d\b", "0:00", stream.getvalue()).splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("pretrain 1/4  ")
    assert lines[0].endswith(" left  loss 0.1235  reward 2")
    assert " steps/s  0:00 left" in lines[1]
    assert lines[2] == "pretrain 4/4  after 0:00  loss 0.1235  reward 2"
    assert lines[3] == "adversarial 30/50  after 0:00  reward 0.5"
    assert capfd.readouterr() == ("", "")


def test_progress_is_on_stderr_and_leaves_stdout_alone(capsys):
    with Progress(phase="pretrain", total=1) as progress:
        print("a result")
        progress.update(1)
    captured = capsys.readouterr()
    assert captured.out == "a result\n"
    assert re.sub(r"\d+:\d\d", "0:00", captured.err) == "pretrain 1/1  after 0:00\n"


def test_bars_in_a_terminal_one_phase_after_the_other(capsys):
    controller, terminal = pty.openpty()
    with os.fdopen(terminal, "w") as stream:
        for phase in ("pretrain", "adversarial"):
            with Progress(phase=phase, total=2000, stream=stream) as progress:
                progress.update(1500, {"loss": 0.25})
                print("a result")
        shown = b""
        while b"loss 0.25" not in shown.partition(b"adversarial")[2]:  # a terminal hands over what has come through
            shown += os.read(controller, 1 << 16)
    os.close(controller)
    shown = shown.decode(errors="replace")
    for text in ("pretrain", "adversarial", "1500/2000", "steps/s", "left", "loss 0.25"):
        assert text in shown
    assert capsys.readouterr().out == "a result\n" * 2
