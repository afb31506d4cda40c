from __future__ import annotations

from pathlib import Path

import pytest

from gan_caption.experiment import run_experiment
from tests.tiny_runs import TINY_SEQGAN, composed, part


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory) -> Path:
    """A finished tiny run of SeqGAN on scenes; not to be changed."""
    home = tmp_path_factory.mktemp("inference")
    config = composed(*TINY_SEQGAN, f"outputs={home}/outputs", f"cache={home}/cache")
    return run_experiment(config, data="scenes").folder


@pytest.fixture(scope="session")
def photos(tmp_path_factory) -> list[Path]:
    """The test images of that run, as files that lose nothing."""
    home = tmp_path_factory.mktemp("photos")
    split = part("data/scenes", train=40, val=8, test=8).split("test")
    paths = []
    for row, item in enumerate(split.items):
        paths.append(home / f"{row:02d}_{item.image_id}.png")
        split.image(row).save(paths[-1])
    return paths
