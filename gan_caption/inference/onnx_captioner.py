"""Captions from an exported folder by onnxruntime: NumPy and Pillow, no torch.

Shapes: B images of S x S pixels, T tokens, V vocabulary.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from gan_caption.configuration.wording import listed
from gan_caption.errors import UserError
from gan_caption.extras import require

_PAD, _BOS, _UNK, _EOS = "<pad>", "<bos>", "<unk>", "<eos>"


class OnnxCaptioner:
    """Greedy captions of what `python -m gan_caption.export format=onnx` wrote."""

    def __init__(
        self, folder: Path | str, *, threads: int = 0, providers: str | Sequence[str] = ("CPUExecutionProvider",)
    ) -> None:
        """Open the graphs.

        Args:
            folder: the exported one.
            threads: of an operator; 0 leaves it to onnxruntime.
            providers: onnxruntime's names of where to compute, the first choice first.

        Raises:
            UserError: onnxruntime is missing, or the folder is not an export, or a damaged one.
        """
        require("onnxruntime", extra="export", what="captions by onnxruntime")
        import onnxruntime

        folder = Path(folder)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3  # errors
        try:
            self.settings: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            words = json.loads((folder / "vocabulary.json").read_text(encoding="utf-8"))
            self.max_length = int(self.settings["max_length"])
            self._no_space = re.compile(self.settings.get("no_space", ""))  # of the spaces to leave out
            pixels = self.settings["pixels"]
            self._geometry: dict[str, Any] = {key: pixels[key] for key in ("side", "shorter_side", "filter")}
            if pixels["filter"] not in Image.Resampling.__members__:
                raise ValueError(f"no filter {pixels['filter']}")
            self._words = (_PAD, _BOS, _UNK, _EOS, *words)
            self._encoder, self._step = (
                onnxruntime.InferenceSession(folder / name, options, providers=listed(providers))
                for name in ("encoder.onnx", "step.onnx")
            )
        except Exception as error:  # onnxruntime has its own kinds, all of them beside Python's
            reason = f"config.json has no {error}" if isinstance(error, KeyError) else str(error).partition("\n")[0]
            raise UserError(
                f"{folder} cannot be opened as a captioner for onnxruntime ({reason}): give the folder that "
                "`python -m gan_caption.export run=... format=onnx` printed"
            ) from error

    def preprocess(self, image: Image.Image) -> np.ndarray:
        """Turn an RGB image, upright, into pixels (3, S, S) uint8."""
        side, shorter = self._geometry["side"], self._geometry["shorter_side"]
        resampling = Image.Resampling[self._geometry["filter"]]
        if shorter is None:
            image = image.resize((side, side), resampling)
        else:
            scale = shorter / min(image.size)
            width, height = (max(round(length * scale), side) for length in image.size)
            left, top = (width - side) // 2, (height - side) // 2
            image = image.resize((width, height), resampling).crop((left, top, left + side, top + side))
        return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))

    def caption(self, pixels: np.ndarray) -> list[str]:
        """Return one caption an image, as text.

        Args:
            pixels: (B, 3, S, S) uint8, of `preprocess`, at least one image.

        Raises:
            UserError: they are of another shape or type.
        """
        return [self._decode(row) for row in self.tokens(pixels).tolist()]

    def tokens(self, pixels: np.ndarray) -> np.ndarray:
        """Write the most probable next word, again and again: (B, T) int64, T at most `max_length`.

        What follows an `<eos>` means nothing. Raises as `caption`.
        """
        side = self._geometry["side"]
        if pixels.dtype != np.uint8 or pixels.shape[1:] != (3, side, side) or not len(pixels):
            raise UserError(
                f"pixels {pixels.shape} {pixels.dtype}: give (B, 3, {side}, {side}) as uint8, with B at least 1, of "
                "`preprocess` stacked"
            )
        begun = self._encoder.run(None, {"pixels": pixels})
        known = {output.name: value for output, value in zip(self._encoder.get_outputs(), begun, strict=True)}
        names = [output.name.removeprefix("next_") for output in self._step.get_outputs()]
        previous = np.full(len(pixels), self._words.index(_BOS))
        ended = np.zeros(len(pixels), dtype=bool)
        written: list[np.ndarray] = []
        while len(written) < self.max_length and not ended.all():
            values = self._step.run(None, {"tokens": previous, **known})
            told = dict(zip(names, values, strict=True))
            previous = told.pop("logits").argmax(1)
            known |= told
            written.append(previous)
            ended |= previous == self._words.index(_EOS)
        return np.stack(written, axis=1)

    def _decode(self, tokens: Sequence[int]) -> str:
        words = [self._words[token] for token in tokens]
        return self._no_space.sub("", " ".join(words[: words.index(_EOS)] if _EOS in words else words))
