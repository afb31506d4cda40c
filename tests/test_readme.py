"""What the README tells people to write is written, and runs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from gan_caption.experiment import run_experiment
from gan_caption.reporting.results import metrics_of

README = Path(__file__).parents[1] / "README.md"
CODE = re.compile(r"`(mine/[\w/]+\.(?:py|yaml))`[^`]*?\n\n```(?:python|yaml)\n(.*?)```", re.S)


def test_ones_own_generator_reward_method_and_data_train(tmp_path):
    """The README's files, in a folder outside the package, by the README's command."""
    text = README.read_text(encoding="utf-8")
    files = dict(CODE.findall(re.sub(r", (?:run with|chosen by) `[^`]*`", "", text)))
    assert sorted(files) == [
        "mine/colours.py", "mine/conf/data/colours.yaml", "mine/conf/experiment/length.yaml",
        "mine/conf/generator/gru.yaml", "mine/gru.py", "mine/length.py",
    ]  # fmt: skip
    for name, code in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code)
    command = re.search(r"^    python -m (gan_caption\.train --config-dir .*)$", text, re.M)[1].split()
    overrides = [
        "generator=gru", "data=colours", "tracker=local", "threads=1", "generator.hidden=32", "encoder.width=4",
        "phases.words.steps=20", "phases.mle.epochs=40", "phases.mle.images_per_batch=10",
        "phases.mle.learning_rate=1e-2", "phases.mle.learning_rate_schedule.warmup_steps=5",
        "adversarial.steps=15", "adversarial.images_per_batch=20",
    ]  # fmt: skip
    subprocess.run([sys.executable, "-m", *command, *overrides], cwd=tmp_path, check=True)
    (results,) = tmp_path.glob("outputs/length-colours-*/results.json")
    systems = json.loads(results.read_text())["systems"]
    assert systems["mle"]["bleu_1"] > 0.6  # "it is red": the page, the generator and the data work together
    assert systems["policy_gradient"]["sample_length"] > systems["mle"]["sample_length"]  # and the reward is obeyed

    # Without its user's word, a page runs no code from outside.
    plain = [word for word in command if not word.startswith("allow=")]
    refused = subprocess.run([sys.executable, "-m", *plain], cwd=tmp_path, capture_output=True, text=True)
    assert refused.returncode == 2
    assert "mine.length.LengthReward is not allowed" in refused.stderr
    assert "add allow=[mine] to the command line if you trust that package" in refused.stderr


def test_a_page_cannot_allow_packages(tmp_path):
    page = tmp_path / "experiment" / "sly.yaml"
    page.parent.mkdir()
    page.write_text("# @package _global_\nallow: [os]\nname: sly\n")
    command = [sys.executable, "-m", "gan_caption.train", "--config-dir", str(tmp_path), "+experiment=sly"]
    refused = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert refused.returncode == 2
    assert "packages are allowed on the command line only" in refused.stderr


def test_every_documented_name_is_logged_and_every_logged_name_is_documented(tmp_path, configured):
    config = configured("phases.adversarial.likelihood_weight=0.1")
    folder = run_experiment(config, data="scenes").folder
    logged = {name for line in (folder / "metrics.jsonl").read_text().splitlines() for name in json.loads(line)}
    for system in json.loads((folder / "results.json").read_text())["systems"].values():
        logged |= system.keys()
    text = README.read_text(encoding="utf-8")
    listed = text[text.index("## Names in the logs") : text.index("## The embedded data set")]
    documented = set(re.findall(r"`([a-z_0-9/]+)`", listed))
    documented |= {f"discriminator/accuracy{kind}" for kind in ("_generated", "_mismatched")}
    documented |= {"bleu_2", "bleu_3"}
    for name in logged:
        plain = name.removeprefix("val/").removeprefix("sample_")
        assert plain in documented, f"{name} is logged and not in the README"
    # Other corpora, Java programs and comparisons measure these.
    known = {"results", "step", "meteor", "spice", *metrics_of({})}
    of_some_methods = {"policy/clipped", "policy/temperature", "policy/mle_loss"}
    of_some_methods |= {"reward/cider_d", "reward/discriminator"}
    for name in documented - {"_generated", "_mismatched", "val/", "sample_"} - of_some_methods:
        names = {name, f"val/{name}"}
        assert names & logged or name in known, f"{name} is in the README and nowhere else"
