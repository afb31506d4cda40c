"""What is said of a key of the command line that no page has."""

from __future__ import annotations

import pytest

from tests.started import ended


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["phases.mle.epoch=1"], "phases.mle.epoch is not known. Did you mean phases.mle.epochs?"),
        (["+experiment=seqgan", "adverserial.steps=3"], "adverserial.steps is not known. Did you mean adversarial?"),
        (["-m", "+experiment=mle,scst", "sed=0,1"], "sed is not known. Did you mean seed?"),
        (["data=flickr8k", "data.rot=x"], "data.rot is not known. Did you mean data.root?"),
        (["validation.zzz=1"], "validation.zzz is not known. validation has images, samples_per_image, temperature"),
    ],
)
def test_a_misspelt_key_is_told_with_the_nearest(words, line, tmp_path):
    told = ended("gan_caption.train", *words, folder=tmp_path)
    assert told.returncode == 1
    assert any(one.startswith(f"error: {line}") for one in told.stderr.splitlines()), told.stderr


def test_keys_of_ones_own_page_are_known(tmp_path):
    page = tmp_path / "conf" / "experiment" / "own.yaml"
    page.parent.mkdir(parents=True)
    page.write_text("# @package _global_\nname: own\nphases:\n  mle:\n    quiet: true\n")
    told = ended("gan_caption.train", "--config-dir", "conf", "+experiment=own", "phases.mle.quite=1", folder=tmp_path)
    assert told.stderr.rstrip().endswith("error: phases.mle.quite is not known. Did you mean phases.mle.quiet?")


def test_where_pages_cannot_be_composed_nothing_is_guessed(tmp_path):
    told = ended("gan_caption.train", "+experiment=seqgn", "phases.mle.epoch=1", folder=tmp_path)
    assert told.returncode == 1
    assert "seqgan" in told.stderr
    assert "is not known" not in told.stderr
