"""From a run to a folder that can be shared: checked, described, and written as a whole or not at all."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from gan_caption.configuration.settings import Settings
from gan_caption.data.corpus import Split
from gan_caption.data.loading import load, readable
from gan_caption.distributed.world import say
from gan_caption.encoders.base import Encoder
from gan_caption.encoders.precomputed import Precomputed
from gan_caption.errors import UserError
from gan_caption.evaluation.trained import Trained, chosen_weights, open_run, reading_data
from gan_caption.extras import require
from gan_caption.files import is_taken, new_folder
from gan_caption.inference.model_card import Export, model_card, results_of
from gan_caption.inference.onnx_check import Images
from gan_caption.inference.onnx_folder import check_tokenizer, write_onnx
from gan_caption.inference.onnx_graphs import pixel_recipe
from gan_caption.inference.settings import ExportSettings
from gan_caption.inference.weights import MODEL, read_weights, whole, write_weights
from gan_caption.training.folders import write_text
from gan_caption.training.setup import decoding_of, load_split, open_corpus


def export_run(chosen: ExportSettings) -> Path:
    """Write the captioner of a run to a folder of its own, and print what was checked.

    Args:
        chosen: the settings of the export.

    Returns:
        the folder.

    Raises:
        UserError: a setting is wrong, the run has no such weights or no encoder of its own, the folder exists and is
            not empty, or the exported captioner does not say what PyTorch's says. Nothing is left behind then.
    """
    if chosen.format == "onnx":
        require("onnx", "onnxscript", "onnxruntime", extra="export", what="ONNX graphs")
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    folder = chosen.run
    run = open_run(
        folder, allow=chosen.allow, device="cpu", skip_unreadable=chosen.skip_unreadable,
        skip_missing=chosen.skip_missing, cache=chosen.cache,
    )  # fmt: skip
    if isinstance(run.encoder, Precomputed):
        raise UserError(
            f"run={folder}: another program extracted its features (encoder=precomputed): what is exported could "
            "caption no photograph"
        )
    phase, results = chosen_weights(folder, run.settings, chosen.weights), results_of(folder)
    name = "-".join(["export", phase, chosen.format, *(["int8"] if chosen.int8 else [])])
    out = chosen.out or folder / name
    if chosen.out is None and out.is_symlink():
        raise UserError(f"{out} is a link, which may lead anywhere: remove it, or give out=...")
    if is_taken(out):
        raise UserError(f"out={out} exists already: give a folder that is new or empty, or remove it")
    with new_folder(out, f"out={out}") as draft:
        run.load(phase)
        told = _onnx(run, chosen, draft) if chosen.format == "onnx" else _safetensors(run, draft)
        told += _not_exported(run.settings, phase)
        files = {path.name: path.stat().st_size for path in sorted(draft.iterdir()) if path.suffix != ".json"}
        export = Export(run, phase, chosen.format, chosen.int8, files, told, results)
        write_text(draft / "README.md", model_card(export))
    lines = [f"{name}: {size / 1e6:.2f} MB" for name, size in files.items()]
    title = f"{folder.resolve().name}, {phase}, as {chosen.format}"
    print("\n".join([title, "", *told, *lines, "", f"Everything is in {out}"]))
    return out


def _not_exported(settings: Settings, phase: str) -> list[str]:
    """Say what of a phase's way of decoding stays behind."""
    decoding = decoding_of(settings, phase)
    if not {"judge", "judges"} & decoding.node.keys():
        return []
    kind = decoding.name.lower()
    return [f"the policy alone: in the run, {kind} chooses among its captions by a judge, who is not exported"]


def _safetensors(run: Trained, draft: Path) -> list[str]:
    """Write weights, read them back, and tell what was found."""
    write_weights(run, draft)
    model = run.settings.generator.node.get(MODEL) or run.settings.tokenizer.node.get(MODEL)
    again = read_weights(draft, device="cpu", allow=run.settings.allow, language_model=model)
    written, read = whole(run).state_dict(), whole(again).state_dict()
    if written.keys() != read.keys() or not all(torch.equal(written[name], read[name]) for name in written):
        raise UserError(f"{draft / 'weights.safetensors'} has other weights than the run, read back: check the disk")
    return [f"read back: all {len(read)} tensors are equal, {sum(one.numel() for one in read.values()):,} numbers"]


def _onnx(run: Trained, chosen: ExportSettings, draft: Path) -> list[str]:
    """Write graphs, and tell what was found when onnxruntime and PyTorch captioned the same images."""
    recipe = pixel_recipe(run.encoder)
    check_tokenizer(run.tokenizer)
    with reading_data(run.settings.data, chosen.data):
        corpus = open_corpus(run.settings, chosen.data)
        split = load_split(corpus, chosen.split, say)
    images = _images(split, chosen.check_images, run.encoder, chosen)
    calibration = None
    if chosen.int8:
        calibration = _images(load_split(corpus, "train", say), chosen.calibration_images, run.encoder, chosen)
    return write_onnx(run, draft, recipe=recipe, images=images, calibration=calibration)


def _images(split: Split, count: int, encoder: Encoder, chosen: ExportSettings) -> Images:
    """Return the first so many images of a split as pixels."""
    split = split.select(range(min(count, len(split))))
    pixels: dict[int, Tensor] = {}
    errors: list[tuple[int, UserError]] = []
    for row, loaded in load(split, range(len(split)), encoder.preprocess):
        if isinstance(loaded, UserError):
            errors.append((row, loaded))
        else:
            pixels[row] = loaded
    kept = readable(split, errors, skip=chosen.skip_unreadable)
    return Images(split.select(kept), torch.stack([pixels[row] for row in kept]), chosen.batch_images)
