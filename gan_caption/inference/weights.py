"""A captioner as one folder of safetensors: weights of generator and encoder, configuration, tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gan_caption.configuration.building import TARGET, plain
from gan_caption.configuration.settings import OF_ONE_MACHINE, Settings
from gan_caption.evaluation.trained import Trained, open_run
from gan_caption.training.checkpoint import load_weights, save_weights
from gan_caption.training.folders import write_json
from gan_caption.training.networks import EncoderDecoder


def write_weights(trained: Trained, folder: Path) -> None:
    """Write a captioner to a folder, an encoder that did not learn too."""
    write_json(folder / "config.json", shared_config(trained.settings))
    trained.tokenizer.save(folder / trained.tokenizer.file)
    save_weights(whole(trained), folder / "weights.safetensors", vocabulary=trained.tokenizer.fingerprint)


def read_weights(folder: Path, *, device: str = "auto", allow: str | Sequence[str] = ()) -> Trained:
    """Open what `write_weights` wrote.

    Args:
        folder: the exported one.
        device: where the networks shall live.
        allow: packages of your own that its configuration may name; they run code.

    Raises:
        UserError: the folder is no export, or is damaged.
    """
    trained = open_run(folder, allow=allow, device=device)
    load_weights(whole(trained), folder / "weights.safetensors", vocabulary=trained.tokenizer.fingerprint)
    return trained


def whole(trained: Trained) -> EncoderDecoder:
    """Return the captioner with its encoder, whether that learned or not."""
    return EncoderDecoder(trained.captioner.generator, trained.encoder)


def shared_config(settings: Settings) -> dict[str, Any]:
    """Return a run's configuration without what concerns its machine alone: folders, device, tracker."""
    encoder, data = dict(settings.encoder.node), settings.data.node
    if "pretrained" in encoder:
        encoder["pretrained"] = False  # the weights come with the folder, nobody needs to fetch them
    kept = {key: value for key, value in plain(settings).items() if key not in (*OF_ONE_MACHINE, "given")}
    paths = {key for key, value in data.items() if isinstance(value, str) and key != TARGET}
    return {**kept, "encoder": encoder, "data": {key: value for key, value in data.items() if key not in paths}}
