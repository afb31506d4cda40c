"""What the README tells people to write is written, and runs."""

from __future__ import annotations

import importlib
import re
import shutil
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from gan_caption.configuration import conf_dir
from gan_caption.training.experiment import run_experiment

README = Path(__file__).parents[1] / "README.md"
CODE = re.compile(r"`((?:gan_caption|conf)/[\w/]+\.(?:py|yaml))`[^`]*?\n\n```(?:python|yaml)\n(.*?)```", re.S)


@pytest.fixture
def own_files(tmp_path, monkeypatch):
    """The README's files, beside the package instead of in it."""
    text = README.read_text(encoding="utf-8")
    text = re.sub(r", (?:run with|chosen by) `[^`]*`", "", text)
    files = dict(CODE.findall(text))
    shutil.copytree(conf_dir(), tmp_path / "conf")
    for name, code in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code)
        if path.suffix == ".py":
            package = importlib.import_module(path.relative_to(tmp_path).parent.as_posix().replace("/", "."))
            monkeypatch.setattr(package, "__path__", [*package.__path__, str(path.parent)])
    return files


def test_ones_own_generator_reward_method_and_data_train(own_files, tmp_path):
    assert sorted(own_files) == [
        "conf/data/colours.yaml", "conf/experiment/length.yaml", "conf/generator/gru.yaml",
        "gan_caption/data/colours.py", "gan_caption/generators/gru.py", "gan_caption/rewards/length.py",
    ]  # fmt: skip
    overrides = [
        "+experiment=length", "generator=gru", "data=colours", "tracker=local", "threads=1", "generator.hidden=32",
        f"outputs={tmp_path}/outputs", "encoder.width=4", "phases.words.steps=20", "phases.mle.epochs=40",
        "phases.mle.images_per_batch=10", "phases.mle.learning_rate=1e-2", "phases.mle.warmup_steps=5",
        "phases.adversarial.steps=15",
    ]  # fmt: skip
    with initialize_config_dir(str(tmp_path / "conf"), version_base="1.3"):
        config = OmegaConf.to_container(compose("config", overrides), resolve=True)
    systems = run_experiment(config, data="colours")
    assert systems["mle"]["bleu_1"] > 0.6  # "it is red": the page, the generator and the data work together
    assert systems["adversarial"]["sample_length"] > systems["mle"]["sample_length"]  # and the reward is obeyed


def test_every_documented_name_is_logged_and_every_logged_name_is_documented(tmp_path, configured):
    import json

    config = configured("phases.adversarial.likelihood_weight=0.1")
    run_experiment(config, data="scenes")
    (folder,) = (tmp_path / "outputs").iterdir()
    logged = {name for line in (folder / "metrics.jsonl").read_text().splitlines() for name in json.loads(line)}
    text = README.read_text(encoding="utf-8")
    listed = text[text.index("## Names in the logs") : text.index("## The embedded data set")]
    documented = set(re.findall(r"`([a-z_0-9/]+)`", listed))
    documented |= {f"discriminator/accuracy{kind}" for kind in ("_generated", "_mismatched")}
    documented |= {"bleu_2", "bleu_3"}
    for name in logged:
        plain = name.removeprefix("val/").removeprefix("sample_")
        assert plain in documented, f"{name} is logged and not in the README"
    for name in documented - {"_generated", "_mismatched", "val/", "sample_", "policy/mle_loss"}:
        names = {name, f"val/{name}"}
        assert names & logged or name in {"results", "step"}, f"{name} is in the README and not logged"
