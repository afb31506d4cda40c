"""What the documents tell people to write is written, and runs; what they list is what there is."""

from __future__ import annotations

import csv
import json
import re
import subprocess
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

import gan_caption
from gan_caption.configuration.building import read
from gan_caption.configuration.launching import conf_dir
from gan_caption.errors import UserError
from gan_caption.evaluation.java import java_metrics
from gan_caption.evaluation.settings import ComparisonSettings
from gan_caption.experiment import run_experiment
from gan_caption.reporting.report import compare_runs
from gan_caption.training.setup import OF_THE_PARTS, PARTS
from tests.documents import ASSIGNMENT, PROGRAMS, ROOT, commands, documents
from tests.shells import SHELLS
from tests.shortened import ORACLE
from tests.started import ended
from tests.training.test_methods import shrunk

CODE = re.compile(r"`(mine/[\w/]+\.(?:py|yaml))`[^`]*?\n\n```(?:python|yaml)\n(.*?)```", re.S)
LOGS = ROOT / "gan_caption" / "training" / "README.md"
METRICS = ROOT / "gan_caption" / "metrics" / "README.md"


# --- One's own parts ---


def own_files() -> dict[str, str]:
    """Return the files that CONTRIBUTING tells people to write, by their paths."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    return dict(CODE.findall(re.sub(r", (?:run with|chosen by) `[^`]*`", "", text)))


def own_command() -> list[str]:
    """Return the words, after `python`, by which they are run."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    return re.search(r"^    python (-m gan_caption\.train --config-dir .*)$", text, re.M)[1].replace("'", "").split()


@pytest.fixture
def mine(tmp_path) -> Path:
    """A folder outside of the package that holds them."""
    files = own_files()
    assert sorted(files) == [
        "mine/colours.py", "mine/conf/data/colours.yaml", "mine/conf/experiment/length.yaml",
        "mine/conf/generator/gru.yaml", "mine/gru.py", "mine/length.py", "mine/letters.py",
        "mine/test_length.py",
    ]  # fmt: skip
    for name, code in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code)
    return tmp_path


@pytest.mark.slow
def test_ones_own_generator_reward_method_and_data_train(mine):
    """The documented files, in a folder outside the package, by the documented command."""
    overrides = [
        "generator=gru", "data=colours", "metrics=[{_target_:mine.letters.letters}]", "tracker=local", "threads=1",
        "generator.hidden=32", "encoder.width=4",
        "phases.words.steps=20", "phases.mle.epochs=40", "phases.mle.images_per_batch=10",
        "phases.mle.learning_rate=1e-2", "phases.mle.learning_rate_schedule.warmup_steps=5",
        "adversarial.steps=15", "adversarial.images_per_batch=20",
    ]  # fmt: skip
    _, module, *words = own_command()
    done = ended(module, *words, *overrides, folder=mine)
    assert done.returncode == 0, done.stderr
    (results,) = mine.glob("outputs/length-colours-*/results.json")
    systems = json.loads(results.read_text())["systems"]
    assert systems["mle"]["bleu_1"] > 0.6  # "it is red": the page, the generator and the data work together
    assert systems["policy_gradient"]["sample_length"] > systems["mle"]["sample_length"]  # and the reward is obeyed
    assert systems["mle"]["letters"] == pytest.approx(len("it is green"), abs=2)


@pytest.mark.slow
def test_ones_own_test_of_a_contract_passes(mine):
    done = ended("pytest", "-q", "mine", folder=mine)
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


@pytest.mark.slow
def test_a_page_runs_no_code_from_outside_without_its_users_word(mine):
    _, module, *words = (word for word in own_command() if not word.startswith("allow="))
    refused = ended(module, *words, folder=mine)
    assert refused.returncode == 2
    assert "mine.length.LengthReward is not allowed" in refused.stderr
    assert "Give allow=mine as well, on the command line" in refused.stderr


def test_a_page_cannot_allow_packages(tmp_path):
    page = tmp_path / "experiment" / "sly.yaml"
    page.parent.mkdir()
    page.write_text("# @package _global_\nallow: [os]\nname: sly\n")
    refused = ended("gan_caption.train", "--config-dir", str(tmp_path), "+experiment=sly", folder=tmp_path)
    assert refused.returncode == 2
    assert "allow=['os'] stands in a page: it is said on the command line only" in refused.stderr


def test_as_many_methods_and_controls_are_there_as_are_promised():
    pages = [path.stem for path in Path(conf_dir(), "experiment").glob("*.yaml")]
    controls = sum(page.startswith("control_") for page in pages)
    promised = f"{len(pages) - controls} methods and {controls} controls"
    assert promised in (ROOT / "README.md").read_text(encoding="utf-8")


# --- Names ---


def listed(document: Path, heading: str) -> dict[str, bool]:
    """Return the names in the tables of a section, and whether each has a star."""
    text = document.read_text(encoding="utf-8")
    section = re.search(rf"^(#+) {re.escape(heading)}\n(.*?)(?=^#{{1,3}} |\Z)", text, re.M | re.S)
    assert section, f"{document} has no section {heading}"
    rows = re.findall(r"^\| (`.*?) \|", section[2], re.M)
    return {name: bool(star) for row in rows for name, star in re.findall(r"`([\w/]+)`(\*?)", row)}


def recorded(run: Path) -> set[str]:
    """Return the names in a run's records."""
    return {name for line in (run / "metrics.jsonl").read_text().splitlines() for name in json.loads(line)}


def finals(run: Path) -> set[str]:
    """Return the names in a run's final comparison."""
    return {name for own in json.loads((run / "results.json").read_text())["systems"].values() for name in own}


MORE = {
    "chen": ["discriminator_training.edited=0.2"],
    "leakgan": [
        "+entropy@phases.adversarial.objective.entropy_weight=held",
        "phases.adversarial.objective.entropy_weight.target=2.0",
    ],
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, Path]:
    """A tiny run of each page whose logs have names of their own."""
    made = {}
    pages = ("seqgan", "ppo", "relgan", "chen", "leakgan", "ddo", "distilled", "tailr", "unlikelihood")
    for page in pages:
        more = MORE.get(page, [])
        place = tmp_path_factory.mktemp(page)
        run_experiment(shrunk(page, place, *more), data="scenes")
        (made[page],) = place.glob(f"{page}-*")
    return made


@pytest.fixture(scope="module")
def oracle_run(tmp_path_factory) -> Path:
    """A tiny run on SeqGAN's synthetic task."""
    place = tmp_path_factory.mktemp("oracle")
    asked = [*ORACLE, "tracker=local", "data=oracle", "encoder=none", "generator=lstm", f"outputs={place}"]
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config = OmegaConf.to_container(compose("config", [*asked, f"cache={place}"]), resolve=True)
    run_experiment(config, data="oracle")
    (run,) = place.glob("mle-*")
    return run


@pytest.mark.slow
def test_the_names_in_the_logs_are_the_documented_ones(runs):
    documented = set(listed(LOGS, "Names in the logs"))
    logged = {name for run in runs.values() for name in recorded(run) if not name.startswith("val/")}
    assert logged - documented == set(), "logged and not documented"
    assert documented - logged == set(), "documented and not logged"


@pytest.mark.slow
def test_the_metrics_of_a_run_are_the_documented_ones(runs):
    with_a_discriminator = listed(METRICS, "Of runs with a discriminator")
    documented = listed(METRICS, "Of every run") | with_a_discriminator | listed(METRICS, "On scenes")
    assert finals(runs["seqgan"]) == set(documented)
    validated = {name for name in recorded(runs["seqgan"]) if name.startswith("val/")}
    assert validated == {f"val/{name}" for name, star in documented.items() if star}
    on_scenes = listed(METRICS, "On scenes")
    assert all(name.removeprefix("sample_").startswith(("oracle_", "best_", "jsd")) for name in on_scenes)


def test_the_metrics_of_the_synthetic_task_are_the_documented_ones(oracle_run):
    documented = listed(METRICS, "Of every run") | listed(METRICS, "With `data=oracle`")
    assert finals(oracle_run) == set(documented)
    validated = {name for name in recorded(oracle_run) if name.startswith("val/")}
    assert validated == {f"val/{name}" for name, star in documented.items() if star}


@pytest.mark.slow
def test_the_metrics_of_reports_are_the_documented_ones(runs, tmp_path, configured):
    asked = (
        f"runs=[{runs['seqgan']}]", f"out={tmp_path}/report", "curve.temperatures=[1]", "curve.top_p=[]", "gallery=1",
        "judge.epochs=1", "judge.folds=2",
    )  # fmt: skip
    report = compare_runs(read(ComparisonSettings, configured(*asked, base=[], config_name="compare")), command="")
    with (report / "metrics.csv").open() as table:
        told = {row["metric"] for row in csv.DictReader(table)}
    documented = listed(METRICS, "In reports")
    assert told - finals(runs["seqgan"]) == set(documented)


def test_the_metrics_by_java_are_the_documented_ones():
    documented = listed(METRICS, "By Java, on request")
    with pytest.raises(UserError, match=r"there are \['meteor', 'spice'\]"):
        java_metrics(["cider"])
    assert set(documented) == {"meteor", "spice"}


# --- The documents themselves ---


def anchors(text: str) -> set[str]:
    """Return what GitHub calls the headings of a document."""
    heads = re.findall(r"^#+ (.*)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", head).strip().lower().replace(" ", "-") for head in heads}


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(document):
    text = re.sub(r"^```.*?^```$", "", document.read_text(encoding="utf-8"), flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        place = (document.parent / name).resolve() if name else document
        assert place.exists(), f"{target}: there is no {place}"
        if anchor:
            assert anchor in anchors(place.read_text(encoding="utf-8")), target


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_lines_are_at_most_120_wide_except_tables_and_code(document):
    text = re.sub(r"^```.*?^```$", "", document.read_text(encoding="utf-8"), flags=re.M | re.S)
    wide = [line for line in text.splitlines() if len(line) > 120 and not line.startswith(("|", "    "))]
    assert not wide


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """A folder of programs that say what they were given."""
    folder = tmp_path_factory.mktemp("programs")
    for name in PROGRAMS:
        (folder / name).write_text(f"#!/bin/sh\nprintf '%s\\0' {name} \"$@\"\n")
        (folder / name).chmod(0o755)
    return folder


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_bash_and_dash_read_the_commands_alike(document, programs):
    for typed in commands(document.read_text(encoding="utf-8")):
        paths = {"PATH": f"{programs}:/usr/bin:/bin", "HOME": str(programs)}
        given = [subprocess.run([shell, "-c", typed], env=paths, cwd=programs, capture_output=True) for shell in SHELLS]
        assert given[0].stdout == given[1].stdout, typed
        assert ASSIGNMENT.match(typed) or given[0].stdout, typed


def test_the_readme_is_short_and_has_the_command_of_the_continuous_integration():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 180
    assert "    pip install -e '.[dev]' && pytest -n 2 --dist loadfile" in lines


def test_the_version_has_its_changes():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## [{gan_caption.__version__}]" in text


def test_every_page_of_a_method_is_in_the_table_of_methods():
    pages = {path.stem for path in (ROOT / "conf" / "experiment").glob("*.yaml")}
    text = (ROOT / "conf" / "experiment" / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| \[`(\w+)`\]", text, re.M)) == pages


def test_what_a_constructor_may_ask_for_is_told():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    _, _, section = text.partition("### What a constructor may ask for\n")
    parts, names, *_ = (rows for rows in section.split("\n\n") if rows.startswith("| "))
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in parts.splitlines()[2:]]
    told = {part.strip("`"): set(re.findall(r"`(\w+)`", asked)) for part, asked in cells}
    (of_a_phase,) = (told.pop(part) for part in list(told) if part.startswith("a phase"))
    assert told == OF_THE_PARTS
    assert of_a_phase == PARTS
    explained = {name for row in names.splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert explained == set.union(PARTS, *(told[part] for part in told if part != "tracker"))
