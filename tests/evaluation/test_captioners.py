"""One captioner as the discriminator of another."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from scipy.special import rel_entr

from experiments.ratio import held_out
from experiments.ratio_on_scenes.captioners import knows, reweighted, table_of_captioners
from gan_caption.data.corpus import Corpus
from gan_caption.data.holdout import learners
from gan_caption.evaluation.trained import open_run
from gan_caption.experiment import run_experiment
from tests.tiny_runs import TINY

KEPT_APART = [*TINY, "+experiment=mle", "holdout.check=0.4"]


@pytest.fixture
def runs(configured, tmp_path) -> tuple[Path, Path]:
    """Two captioners of the same images, by two seeds."""
    first, second = (
        run_experiment(configured(f"seed={seed}", f"outputs={tmp_path / str(seed)}", base=KEPT_APART), data="scenes")
        for seed in (0, 1)
    )
    return first.folder, second.folder


def test_a_captioner_knows_nothing_of_itself_and_something_of_another(runs):
    first, second = runs
    itself = knows(first, first)
    assert itself["auc"] == 0.5
    assert itself["log_loss"] == pytest.approx(math.log(2))
    other = knows(second, first)
    assert other["auc"] > 0.55  # what one draws is likely in its own eyes, not in another's
    assert other["log_loss"] < math.log(2)
    assert "of another seed" in table_of_captioners({"of another seed": {0: other}}, [0])


@pytest.mark.parametrize("scale", [0.0, 0.5, 1.0])
def test_resampling_has_the_divergence_of_the_enumerated_law(scale):
    p, ref, other = np.array([[0.5, 0.3, 0.2, 0.0], [0.1, 0.2, 0.3, 0.4]]), np.full((2, 4), 0.25), np.empty((2, 4))
    other[:] = 0.1, 0.6, 0.2, 0.1
    law = ref ** (1 - scale) * other**scale
    law /= law.sum(1, keepdims=True)
    middle = (p + law) / 2
    expected = (rel_entr(p, middle) + rel_entr(law, middle)).sum(1).mean() / 2
    draw = np.random.default_rng(0)
    people, candidates = (
        np.stack([draw.choice(4, 40_000, p=row) for row in laws]) for laws in (p, ref)
    )  # of each of two images

    def told(captions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rows = np.arange(2)[:, None]
        with np.errstate(divide="ignore"):
            ratios = np.log(p) - np.log(ref)
        return ratios[rows, captions], scale * (np.log(other) - np.log(ref))[rows, captions]

    images = np.repeat(np.arange(2), 40_000)
    found = reweighted((images, *(one.ravel() for one in told(people))), told(candidates))
    assert found == pytest.approx(expected, abs=0.005)


def test_they_are_asked_about_images_that_neither_learned_from(runs):
    trained = open_run(runs[0])
    split = held_out(trained)
    everything = trained.settings.data.build(Corpus, skip_missing=False).split("train")
    known = {everything.items[row].image_id for row in learners(everything, trained.settings.holdout).generator}
    assert len(split) >= 2
    assert not known & {item.image_id for item in split.items}
    assert len(known) + len(split) == len(everything)
