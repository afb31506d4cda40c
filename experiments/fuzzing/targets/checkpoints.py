"""Training states: `last.pt`."""

from __future__ import annotations

import io
import os
import pickle
import tempfile
import warnings
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from experiments.fuzzing.refusals import reading
from gan_caption.training.checkpoint import TrainState, load_state

READERS = {"load_state"}
HOME = Path(tempfile.mkdtemp())


def seeds() -> dict[str, bytes]:
    state = TrainState(
        phase="mle", phase_step=3, step=3, networks={"weight": torch.ones(2, 3)},
        phase_state={"optimizer": {"state": {}, "param_groups": [{"lr": 0.1, "betas": (0.9, 0.99)}]}},
        random={"torch": torch.zeros(8, dtype=torch.uint8)}, vocabulary="words",
    )  # fmt: skip
    buffer = io.BytesIO()
    torch.save(asdict(state), buffer)
    with zipfile.ZipFile(buffer) as archive:
        pickled = archive.read("archive/data.pkl")
    legacy = io.BytesIO()
    torch.save(asdict(state), legacy, _use_new_zipfile_serialization=False)
    fields = {key: value for key, value in asdict(state).items() if key not in ("networks", "random")}
    return {
        "saved": buffer.getvalue(),
        "pickle": pickled,
        "legacy": legacy.getvalue(),
        "plain": pickle.dumps(fields | {"networks": {}, "random": {}}, protocol=2),
        "wrong_types": pickle.dumps(fields | {"networks": {}, "random": {}, "version": "1", "step": "x"}, protocol=2),
        "runs_a_command": pickle.dumps(_Command(), protocol=2),
        "fills_the_memory": pickle.dumps(_Zeros(), protocol=2),
        "deep": b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",
        "bomb": _compressed(3 * 2**28),
    }


class _Command:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {HOME}/executed",)


class _Zeros:
    def __reduce__(self) -> tuple[Any, ...]:
        return bytearray, (3 * 2**28,)


def _compressed(size: int) -> bytes:
    """A checkpoint of few bytes whose one tensor unpacks to many; torch's reader would unpack it."""
    buffer, bomb = io.BytesIO(), io.BytesIO()
    torch.save({"networks": {"weight": torch.zeros(4)}}, buffer)
    with zipfile.ZipFile(buffer) as archive, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in archive.namelist():
            content = archive.read(name)
            with packed.open(name, "w", force_zip64=True) as file:
                if name.endswith("data/0"):
                    for _ in range(size // 2**24):
                        file.write(bytes(2**24))
                else:  # K: a number of one byte, J: of four; both sizes of the tensor are written so
                    file.write(content.replace(b"K\x04", b"J" + (size // 4).to_bytes(4, "little")))
    return bomb.getvalue()


def one_input(data: bytes) -> set[str]:
    """Read a file, and a pickle inside of one, whose checksums no mutation would get right."""
    taken: set[str] = set()
    for name, content in (("whole.pt", data), ("pickle.pt", _archive(data))):
        path = HOME / name
        path.write_bytes(content)
        with warnings.catch_warnings(), reading("load_state", taken):
            warnings.simplefilter("ignore")  # torch's, on archives that it has doubts about
            state = load_state(path)
            assert isinstance(state, TrainState)
            assert isinstance(state.step, int)
    return taken


def _archive(data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/byteorder", "little")
        archive.writestr("archive/data/0", bytes(64))
        archive.writestr("archive/version", "3\n")
    return buffer.getvalue()
