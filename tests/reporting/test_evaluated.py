"""An evaluation that is there is taken again where it is of the same weights and images."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from gan_caption.configuration.building import read
from gan_caption.evaluation.comparison import choose_systems
from gan_caption.evaluation.settings import ComparisonSettings
from gan_caption.experiment import run_experiment
from gan_caption.reporting.results import evaluated
from gan_caption.training.folders import best_weights, read_settings
from gan_caption.training.setup import open_corpus
from tests.tiny_runs import TINY, composed


def test_an_evaluation_is_of_the_weights_and_images_of_today(configured, tmp_path):
    one, other = (
        run_experiment(configured(f"seed={seed}", "vocabulary.min_count=1", base=TINY), data="scenes").folder
        for seed in (0, 1)
    )
    asked = composed(f"runs=[{one}]", f"cache={tmp_path}/cache", config_name="compare")
    settings = read(ComparisonSettings, asked)
    images = open_corpus(read_settings(one)).split(settings.split).fingerprint

    def told() -> tuple[Path, dict[str, float], int]:
        ((chosen,),) = choose_systems([one], baseline="mle", fewest=1).values()
        folder = evaluated(chosen, settings, images=images)
        path = folder / "results.json"
        return folder, json.loads(path.read_text())["systems"]["mle"], path.stat().st_mtime_ns

    first = told()
    assert told() == first, "nothing is measured twice"
    shutil.copy(best_weights(other, "mle"), best_weights(one, "mle"))  # as a run that went on leaves them
    anew = told()
    assert anew[0] == first[0]
    assert anew[1]["nll_per_token"] != first[1]["nll_per_token"]
    results = json.loads((anew[0] / "results.json").read_text())
    results["made_of"]["images"] = "those of a folder that has grown since"
    (anew[0] / "results.json").write_text(json.dumps(results))
    again = told()
    assert again[2] > anew[2]
    assert again[:2] == anew[:2]
