from __future__ import annotations

import os
import pickle

import pytest
import torch
from torch import nn

from gan_caption.errors import UserError
from gan_caption.training.checkpoint import TrainState, load_state, load_weights, save_state, save_weights


def state(**changes):
    values = {
        "phase": "mle", "phase_step": 3, "step": 3, "networks": {"w": torch.arange(3.0)},
        "phase_state": {"optimizer": {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 0.1}]}},
        "random": {"cpu": torch.get_rng_state()}, "vocabulary": "abc",
    }  # fmt: skip
    return TrainState(**{**values, **changes})


def test_there_and_back(tmp_path):
    save_state(state(best={"cider_d": 0.5}), tmp_path / "last.pt")
    loaded = load_state(tmp_path / "last.pt", vocabulary="abc")
    assert (loaded.phase, loaded.step, loaded.best) == ("mle", 3, {"cider_d": 0.5})
    assert torch.equal(loaded.networks["w"], torch.arange(3.0))
    assert loaded.phase_state["optimizer"]["param_groups"] == [{"lr": 0.1}]


def test_another_vocabulary(tmp_path):
    save_state(state(), tmp_path / "last.pt")
    with pytest.raises(UserError, match="another vocabulary"):
        load_state(tmp_path / "last.pt", vocabulary="other")
    save_weights(nn.Linear(2, 2), tmp_path / "w.safetensors", vocabulary="abc")
    with pytest.raises(UserError, match="another vocabulary"):
        load_weights(nn.Linear(2, 2), tmp_path / "w.safetensors", vocabulary="other")


def test_a_newer_format(tmp_path):
    save_state(state(version=99), tmp_path / "last.pt")
    with pytest.raises(UserError, match="upgrade"):
        load_state(tmp_path / "last.pt")
    torch.save({**vars(state(version=99)), "of_the_future": 1}, tmp_path / "last.pt")
    with pytest.raises(UserError, match=r"has format 99, .* upgrade"):
        load_state(tmp_path / "last.pt")


def test_a_damaged_file(tmp_path):
    save_state(state(), tmp_path / "last.pt")
    content = (tmp_path / "last.pt").read_bytes()
    for damaged in (content[: len(content) // 2], b"", b"not a checkpoint at all"):
        (tmp_path / "last.pt").write_bytes(damaged)
        with pytest.raises(UserError, match="not a checkpoint"):
            load_state(tmp_path / "last.pt")
    with pytest.raises(UserError, match="does not exist"):
        load_state(tmp_path / "none.pt")


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (self.path,))


def test_code_in_a_checkpoint_is_not_executed(tmp_path):
    target = tmp_path / "executed"
    torch.save({"phase": Bomb(str(target))}, tmp_path / "last.pt")
    with pytest.raises(UserError, match="nothing in it was executed"):
        load_state(tmp_path / "last.pt")
    (tmp_path / "last.pt").write_bytes(pickle.dumps(Bomb(str(target))))
    with pytest.raises(UserError, match="nothing in it was executed"):
        load_state(tmp_path / "last.pt")
    assert not target.exists()


def test_weights_that_do_not_fit(tmp_path):
    path = tmp_path / "w.safetensors"
    save_weights(nn.Linear(2, 2), path, vocabulary="abc")
    with pytest.raises(UserError, match="does not fit"):
        load_weights(nn.Linear(3, 2), path, vocabulary="abc")
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(UserError, match="cannot be read"):
        load_weights(nn.Linear(2, 2), path, vocabulary="abc")
