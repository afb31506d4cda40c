"""Features that another program extracted: .npy and .npz."""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from experiments.fuzzing.refusals import reading
from gan_caption.encoders.precomputed import Precomputed

READERS = {"Precomputed"}
HOME = Path(tempfile.mkdtemp())
ENCODER = Precomputed(root=str(HOME), grid_size=3, regions=4, pooled_size=None)


def seeds() -> dict[str, bytes]:
    grid = np.arange(6, dtype=np.float32).reshape(2, 3)
    return {
        "array": _saved(np.save, grid),
        "halves": _saved(np.save, grid.astype(np.float16)),
        "fortran": _saved(np.save, np.asfortranarray(grid)),
        "texts": _saved(np.save, np.array([["a", "b", "c"]])),
        "dates": _saved(np.save, np.array([[1, 2, 3]], dtype="datetime64[s]")),
        "complex": _saved(np.save, grid.astype(np.complex64)),
        "records": _saved(np.save, np.zeros((2, 3), dtype=[("a", "f4"), ("b", "f4")])),
        "scalar": _saved(np.save, np.float32(1)),
        "archive": _saved(np.savez, grid=grid, pooled=grid[0]),
        "compressed": _saved(np.savez_compressed, features=grid),
        "other_names": _saved(np.savez, a=grid, b=grid),
        "empty_archive": _saved(np.savez),
        "pickled": _saved(np.save, np.array([[Path, None, 3]], dtype=object)),
        "claims_a_terabyte": _npy("<f4", (4, 2**36)),
        "claims_too_many_rows": _npy("<f4", (2**40, 3)),
        "claims_wide_numbers": _npy("|V1000000000", (2, 3)),
        "claims_more_than_it_has": _npy("<f4", (4, 3)),
        "overflows": _npy("<f4", (2**62, 2**62)),
        "negative": _npy("<f4", (-1, 3)),
        "deep_header": _header("(" * 20_000),
        "bomb": _bomb((2**26, 3), 3 * 2**28),
        "bomb_of_another_name": _saved(np.savez_compressed, grid=grid, other=np.zeros(2**27)),
    }


def _saved(save: Callable[..., None], *arrays: np.ndarray, **named: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    save(buffer, *arrays, **named)
    return buffer.getvalue()


def _header(text: str) -> bytes:
    """An .npy file's beginning, whatever the text."""
    return b"\x93NUMPY\x02\x00" + len(text).to_bytes(4, "little") + text.encode()


def _npy(kind: str, shape: tuple[int, ...]) -> bytes:
    """An .npy file that claims this shape and holds eight bytes."""
    return _header(f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n") + bytes(8)


def _bomb(shape: tuple[int, ...], size: int) -> bytes:
    """An archive of few bytes that unpack to many."""
    buffer = io.BytesIO()
    archive = zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED)
    with archive, archive.open("grid.npy", "w", force_zip64=True) as file:
        file.write(_npy("<f4", shape)[:-8])
        for _ in range(size // 2**24):
            file.write(bytes(2**24))
    return buffer.getvalue()


def one_input(data: bytes) -> set[str]:
    """Read an array, an archive, and an array inside an archive, whose checksums no mutation would get right."""
    taken: set[str] = set()
    contents = {"array.npy": data, "archive.npz": data, "inside.npz": _archive(data)}
    for name, content in contents.items():
        path = HOME / name
        path.write_bytes(content)
        with reading("Precomputed", taken):
            grid, vector = ENCODER.read(path)
            assert grid.dtype == vector.dtype == np.float32
            assert grid.shape[1] == 3
            assert 1 <= len(grid) <= 4
            assert vector.shape == (3,)
    return taken


def _archive(data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("grid.npy", data)
    return buffer.getvalue()
