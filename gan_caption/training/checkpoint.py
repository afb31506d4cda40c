"""Checkpoints: `last.pt` resumes a run bit for bit, `best_<phase>.safetensors` are weights to use.

Both are written aside and renamed. Neither can carry code: `last.pt` is read with `weights_only=True`, once it is seen
to name nothing but tensors and dicts and to unpack to no more than its own size. Of what torch lets through beside
those, a bytearray of any length, say, could fill the memory.
"""

from __future__ import annotations

import pickle
import pickletools
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_type_hints

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from gan_caption.errors import UserError
from gan_caption.files import write_atomically
from gan_caption.untrusted.parsing import briefly, shown

VERSION = 2
_NAMED = {"collections OrderedDict", "torch._utils _rebuild_tensor_v2"}
"""What the pickle in a training state names beside the kinds of storage, `torch FloatStorage` and its like."""
_DAMAGED = (
    *(OSError, RuntimeError, TypeError, EOFError, ValueError, LookupError, AttributeError, OverflowError),
    *(AssertionError, RecursionError, pickle.UnpicklingError, zipfile.BadZipFile),
)
"""What the readers of torch and pickle raise on damaged content."""


@dataclass
class TrainState:
    """Everything that a resumed run needs beside its configuration and its data."""

    phase: str
    """The phase that is under way."""
    phase_step: int
    """Steps done in it."""
    step: int
    """Steps done in all."""
    networks: dict[str, Tensor]
    """Encoder (where it learns), generator, discriminator."""
    phase_state: dict[str, Any]
    """Optimizers, averaged weights, baseline, accuracies, of this phase."""
    random: dict[str, Tensor]
    """Random states."""
    vocabulary: str
    """Fingerprint of the vocabulary that the tokens belong to."""
    best: dict[str, float] = field(default_factory=dict)
    """The best validation of this phase."""
    validations_since_best: int = 0
    """Counted for early stopping."""
    selected: dict[str, dict[str, float]] = field(default_factory=dict)
    """By phase, the validation of the weights that it left."""
    stopped: dict[str, int] = field(default_factory=dict)
    """By phase whose patience ended, the steps that it made."""
    finished: bool = False
    """Whether all phases are over."""
    discriminator_has_learned: bool = False
    """Whether the discriminator has learned in one of them."""
    discriminator_left: dict[str, Any] = field(default_factory=dict)
    """What is left of D's training for later phases, where D does not learn in this one."""
    version: int = VERSION
    """Of this format."""


def save_state(state: TrainState, path: Path) -> None:
    """Write a training state.

    Raises:
        UserError: it cannot be written (a full disk, say); the previous one is intact.
    """
    write_atomically(path, lambda file: torch.save(vars(state), file))


def load_state(path: Path, *, vocabulary: str | None = None) -> TrainState:
    """Read a training state.

    Args:
        path: of `last.pt`.
        vocabulary: the fingerprint that the state must have.

    Raises:
        UserError: the file is missing, damaged, of another version or of another vocabulary.
    """
    try:
        _check_archive(path)
        told = torch.load(path, map_location="cpu", weights_only=True)
        if told["version"] > VERSION:
            found = briefly(told["version"])
            raise UserError(f"{path} has format {found}, this gan_caption reads up to {VERSION}: upgrade it")
        told.setdefault("discriminator_has_learned", told.get("finished", False))  # of 0.1.0, which did not say
        state = TrainState(**told)
        _check_types(state)
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist: give a run folder that holds checkpoints/last.pt") from error
    except _DAMAGED as error:
        why = str(error).partition("\n")[0][:300]
        raise UserError(
            f"{path} is not a checkpoint of gan_caption ({type(error).__name__} {why}): "
            "it is damaged or comes from elsewhere; nothing in it was executed"
        ) from error
    if vocabulary is not None and state.vocabulary != vocabulary:
        raise UserError(
            f"{path} belongs to another vocabulary ({shown(state.vocabulary)}, this run has {vocabulary}): "
            "its token ids mean other words. Use the data and vocabulary settings that it was trained with"
        )
    return state


def _check_archive(path: Path) -> None:
    """Refuse an archive that torch.save did not write.

    Raises:
        ValueError: its records are packed, or claim more than the file holds; its pickle names something else than
            tensors and dicts. Of a file that is no archive at all, BadZipFile; of a broken pickle, other exceptions.
    """
    with zipfile.ZipFile(path) as archive:
        records = archive.infolist()
        packed = any(record.compress_type != zipfile.ZIP_STORED for record in records)
        if packed or sum(record.file_size for record in records) > path.stat().st_size:
            raise ValueError("its records would unpack to more than the file holds")
        for record in records:
            if record.filename.endswith(".pkl"):
                for opcode, argument, _ in pickletools.genops(archive.read(record)):
                    if opcode.name in ("STACK_GLOBAL", "INST", "EXT1", "EXT2", "EXT4"):
                        raise ValueError(f"its pickle uses {opcode.name}")
                    if opcode.name == "GLOBAL" and not _may_be_named(str(argument)):
                        raise ValueError(f"its pickle names {argument}")


def _may_be_named(name: str) -> bool:
    return name in _NAMED or (name.startswith("torch ") and name.endswith("Storage"))


def _check_types(state: TrainState) -> None:
    """Raise ValueError where a field is of another type, so far as is seen without looking inside."""
    for name, hint in get_type_hints(TrainState).items():
        kind = getattr(hint, "__origin__", hint)
        if not isinstance(getattr(state, name), kind):
            raise ValueError(f"{name} is no {kind.__name__}")


def tied_names(module: nn.Module) -> dict[str, str]:
    """Return, for each weight that is another one under a second name, the first name of that one."""
    first: dict[tuple[Any, ...], str] = {}
    found: dict[str, str] = {}
    for name, tensor in module.state_dict().items():
        if tensor.numel():  # what holds nothing lies nowhere
            place = tensor.device, tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride()
            if first.setdefault(place, name) != name:
                found[name] = first[place]
    return found


def save_weights(module: nn.Module, path: Path, *, vocabulary: str) -> None:
    """Write a module's weights as safetensors, with the vocabulary's fingerprint; tied weights are written once."""
    tied = tied_names(module)
    tensors = {name: tensor.cpu().contiguous() for name, tensor in module.state_dict().items() if name not in tied}
    content = save(tensors, metadata={"vocabulary": vocabulary})
    write_atomically(path, lambda file: file.write(content))


def read_weights(module: nn.Module, path: Path, *, vocabulary: str) -> dict[str, Tensor]:
    """Return saved weights by the names that a module of their kind has for them, tied ones under each.

    Raises:
        UserError: the file is missing or damaged, or its vocabulary is another.
    """
    from safetensors import safe_open

    try:
        with safe_open(path, framework="pt") as file:
            found = (file.metadata() or {}).get("vocabulary", "unknown")
        if found != vocabulary:
            raise UserError(
                f"{path} belongs to another vocabulary ({shown(found)}, this one is {vocabulary}): its token ids mean "
                "other words. Use the data and vocabulary settings that it was trained with"
            )
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path} cannot be read as weights ({str(error)[:300]}): is the run folder whole?") from error
    twins = {name: tensors[first] for name, first in tied_names(module).items() if first in tensors}
    return {**twins, **tensors}


def load_weights(module: nn.Module, path: Path, *, vocabulary: str) -> None:
    """Put saved weights into a module.

    Raises:
        UserError: the file is missing or damaged, its vocabulary is another, or its tensors do not fit.
    """
    try:
        module.load_state_dict(read_weights(module, path, vocabulary=vocabulary))
    except RuntimeError as error:
        raise UserError(
            f"{path} does not fit this model: {str(error)[:2000]}. Use the settings that it was trained with"
        ) from error
