"""A captioner as one folder of ONNX graphs, with what onnxruntime says of it beside what PyTorch says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from gan_caption.errors import UserError
from gan_caption.evaluation.results import counting
from gan_caption.evaluation.trained import Trained
from gan_caption.inference.int8 import quantize
from gan_caption.inference.onnx_captioner import OnnxCaptioner
from gan_caption.inference.onnx_check import Images, check_pixels, check_words, cost, quality, speeds, torch_captioner
from gan_caption.inference.onnx_graphs import onnx_graphs
from gan_caption.metrics.standard import STANDARD
from gan_caption.text.base import Tokenizer
from gan_caption.text.vocabulary import Vocabulary
from gan_caption.training.folders import write_json

CIDER_D = STANDARD["cider_d"]


def write_onnx(
    run: Trained, folder: Path, *, recipe: Mapping[str, Any], images: Images, calibration: Images | None
) -> list[str]:
    """Write a captioner to a folder, and check it.

    Args:
        run: on the CPU, with the weights that are meant.
        folder: to write to.
        recipe: of the pixels; see `pixel_recipe`.
        images: both programs caption them.
        calibration: images that int8 is fitted to; None for float32.

    Returns:
        what was found, a sentence a line.

    Raises:
        UserError: the networks or the tokenizer have no form here, or the graphs in float32 say something else than
            PyTorch.
    """
    generator, tokenizer, max_length = run.captioner.generator, check_tokenizer(run.tokenizer), run.settings.max_length
    graphs = onnx_graphs(run.encoder, generator, images.pixels[[0, 0]], max_length=max_length)
    for name, content in graphs.items():
        (folder / name).write_bytes(content)
    config = {"max_length": max_length, "int8": calibration is not None, "no_space": tokenizer.no_space}
    write_json(folder / "config.json", {**config, "pixels": recipe})
    tokenizer.save(folder / tokenizer.file)

    threads, split = torch.get_num_threads(), images.split
    of_torch = torch_captioner(run.encoder, generator, tokenizer, max_length=max_length)
    of_onnx = OnnxCaptioner(folder, threads=threads)
    check_pixels(of_onnx, images)
    wanted = images.caption(of_torch)
    check_words(wanted, images.caption(of_onnx.caption), images)
    count = len(wanted)
    told = [
        f"words: onnxruntime says what PyTorch says, greedily, of {count} of {count} {split.name} images",
        f"CIDEr-D x 100 of these captions{counting(tokenizer.counted_by)}: "
        f"{CIDER_D.shown(quality(wanted, split, tokenizer).corpus)}",
    ]
    captioners = {"PyTorch": of_torch, "onnxruntime": of_onnx.caption}
    if calibration is not None:
        before = _size(folder)
        quantize(folder, folder, [part.numpy() for part in calibration.pixels.split(calibration.batch)])
        of_int8 = OnnxCaptioner(folder, threads=threads)
        captioners["onnxruntime in int8"] = of_int8.caption
        lost = cost(wanted, images.caption(of_int8.caption), split, tokenizer)
        told += [
            f"int8: {_size(folder) / 1e6:.2f} MB in place of {before / 1e6:.2f} MB",
            f"int8: CIDEr-D x 100 is {CIDER_D.shown(lost.cider_d)}, "
            f"{CIDER_D.shown(lost.difference, sign='+')} (95% {CIDER_D.between(lost.interval, sign='+')})",
            f"int8: {lost.equal:.1%} of the captions are word for word the same",
        ]
    rates = dict(zip(captioners, speeds(list(captioners.values()), images), strict=True))
    measured = f"captions a second, pixels to words (CPU threads: {threads}, images at once: {images.batch})"
    for name in list(rates)[1:]:
        ratio = rates[name] / rates["PyTorch"]
        told.append(f"{measured}: {name} {rates[name]:.1f}, PyTorch {rates['PyTorch']:.1f}, ratio {ratio:.2f}")
    return told


def check_tokenizer(tokenizer: Tokenizer) -> Vocabulary:
    """Return a tokenizer that has a form here.

    Raises:
        UserError: it has none.
    """
    if not isinstance(tokenizer, Vocabulary):
        raise UserError(
            "format=onnx needs a tokenizer that is a list of tokens, which this run's is not: give format=safetensors"
        )
    return tokenizer


def _size(folder: Path) -> int:
    """Return the bytes of a folder's graphs."""
    return sum(path.stat().st_size for path in folder.glob("*.onnx"))
