"""ONNX graphs with weights and products of 8-bit integers.

The encoder's activations are given fixed ranges, measured on calibration images: a convolution that measures its range
anew for each batch is several times slower than one of floats. The decoding step's are measured as they come: its few
products are small beside their weights.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np


def quantize(folder: Path, target: Path, calibration: Sequence[np.ndarray]) -> None:
    """Write int8 versions of encoder.onnx and step.onnx.

    Args:
        folder: which holds them in float32.
        target: the folder to write to.
        calibration: batches of pixels (B, 3, S, S) uint8, such as the captioner will meet.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_dynamic, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Batches(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._left = iter(calibration)

        def get_next(self) -> dict[str, np.ndarray] | None:
            pixels = next(self._left, None)
            return None if pixels is None else {"pixels": pixels}

    with TemporaryDirectory() as temporary, _quiet():
        for name in ("encoder.onnx", "step.onnx"):
            prepared = Path(temporary) / name
            quant_pre_process(folder / name, prepared, skip_symbolic_shape=True)
            if name == "encoder.onnx":
                quantize_static(prepared, target / name, Batches(), per_channel=True, weight_type=QuantType.QInt8)
            else:
                quantize_dynamic(prepared, target / name, per_channel=True, weight_type=QuantType.QInt8)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep back what onnxruntime logs about weights that stay as they are."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
