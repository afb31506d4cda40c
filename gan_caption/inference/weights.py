"""A captioner as one folder of safetensors: weights of generator and encoder, configuration, tokenizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from gan_caption.configuration.building import TARGET, Part, plain
from gan_caption.configuration.settings import OF_ONE_MACHINE, Settings
from gan_caption.configuration.wording import dotted
from gan_caption.encoders.torchvision_cnn import TorchvisionCNN, TorchvisionForm
from gan_caption.errors import UserError
from gan_caption.evaluation.trained import EXPORTED, Trained, open_run
from gan_caption.text.pretrained_models import public_name
from gan_caption.training.checkpoint import load_weights, save_weights
from gan_caption.training.folders import read_settings, write_json
from gan_caption.training.networks import EncoderDecoder

MODEL = "model"
"""The setting of a part that names a pretrained language model."""


def write_weights(trained: Trained, folder: Path) -> None:
    """Write a captioner to a folder, an encoder that did not learn too."""
    write_json(folder / "config.json", shared_config(trained.settings))
    trained.tokenizer.save(folder / trained.tokenizer.file)
    save_weights(whole(trained), folder / EXPORTED, vocabulary=trained.tokenizer.fingerprint)


def read_weights(
    folder: str | Path,
    *,
    device: str = "auto",
    allow: str | Sequence[str] = (),
    language_model: str | Path | None = None,
) -> Trained:
    """Open what `write_weights` wrote.

    Args:
        folder: the exported one.
        device: where the networks shall live.
        allow: packages of your own that its configuration may name; they run code.
        language_model: where the pretrained one that it writes with is here, a folder or a .gguf file; None: it is
            found by its name. It must be the same one.

    Raises:
        UserError: the folder is no export, or is damaged; it has no language model, or another one.
    """
    folder = Path(folder)
    changed = {} if language_model is None else _with(language_model, read_settings(folder, allow=allow))
    trained = open_run(folder, allow=allow, device=device, **changed)
    load_weights(whole(trained), folder / EXPORTED, vocabulary=trained.tokenizer.fingerprint)
    return trained


def whole(trained: Trained) -> EncoderDecoder:
    """Return the captioner with its encoder, whether that learned or not."""
    return EncoderDecoder(trained.captioner.generator, trained.encoder)


def shared_config(settings: Settings) -> dict[str, Any]:
    """Return a run's configuration without what concerns its machine alone: folders, device, tracker."""
    encoder, data = dict(settings.encoder.node), settings.data.node
    if "pretrained" in encoder:
        encoder["pretrained"] = False  # the weights come with the folder, nobody needs to fetch them
    if encoder[TARGET] == dotted(TorchvisionCNN):
        encoder[TARGET] = dotted(TorchvisionForm)  # nor these, whose name tells the form of the pixels
    kept = {key: value for key, value in plain(settings).items() if key not in (*OF_ONE_MACHINE, "given")}
    paths = {key for key, value in data.items() if isinstance(value, str) and key != TARGET}
    told = {**kept, "encoder": encoder, "data": {key: value for key, value in data.items() if key not in paths}}
    shared: dict[str, Any] = _without_folders(told)
    return shared


def _with(language_model: str | Path, settings: Settings) -> dict[str, Part]:
    """Return the parts of a configuration that a pretrained language model is in, with this one."""
    parts = {"generator": settings.generator, "tokenizer": settings.tokenizer}
    own = {name: part for name, part in parts.items() if MODEL in part.node}
    if not own:
        raise UserError(f"language_model={language_model}: this captioner writes with no language model")
    return {name: replace(part, node={**part.node, MODEL: str(language_model)}) for name, part in own.items()}


def _without_folders(node: Any) -> Any:
    """Return a node of configuration whose language models have names alone."""
    if isinstance(node, Mapping):
        return {
            key: public_name(one)
            if key in (MODEL, "language_model") and isinstance(one, str)
            else _without_folders(one)
            for key, one in node.items()
        }
    return [_without_folders(one) for one in node] if isinstance(node, list | tuple) else node
