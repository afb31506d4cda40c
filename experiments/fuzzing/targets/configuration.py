"""Nodes of configuration, from a run's JSON and from a YAML page."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import torch  # noqa: F401 - parts import it; a large library is there before a test limits the memory

from experiments.fuzzing.refusals import reading
from gan_caption.configuration.building import check

READERS = {"check"}
PATH = Path(tempfile.mkdtemp()) / "page.yaml"
OFFERED = ("vocabulary_size", "pooled_size", "grid_size", "discriminator", "references", "device")


def seeds() -> dict[str, bytes]:
    lstm = {
        "_target_": "gan_caption.generators.lstm.LSTMGenerator", "hidden": 8, "embedding": 8, "dropout": 0.0,
        "image_as": "first_input", "noise_size": 0, "noise_law": "normal", "generate_unknown": False,
    }  # fmt: skip
    beam = {
        "_target_": "gan_caption.decoding.decoders.Beam", "beam_size": 5, "length_penalty": 0.8,
        "no_repeated_trigram": False,
    }  # fmt: skip
    mixture = {
        "_target_": "gan_caption.rewards.mixture.Mixture",
        "parts": {"cider": {"_target_": "gan_caption.rewards.cider.CiderDReward"}},
        "weights": {"cider": 1.0},
    }
    deep: dict[str, Any] = beam
    for _ in range(200):
        deep = {"_target_": "gan_caption.rewards.controls.OtherImageReward", "reward": deep}
    attacks = [
        "os.system", "gan_caption.files.os.system", "gan_caption.configuration.building.importlib.import_module",
        "gan_caption.configuration.building.__builtins__.exec", "gan_caption.rewards.base.__import__", "gan_caption..x",
        "gan_caption", "gan_caption.configuration.building.build", "gan_caption.configuration.launching.launch",
        "gan_caption.training.folders.write_text", "", "x" * 1_000_000, "gan_caption." + "x." * 100_000 + "x",
    ]  # fmt: skip
    made = {"lstm": lstm, "beam": beam, "mixture": mixture, "deep": deep}
    made |= {f"attack_{place}": {"_target_": name} for place, name in enumerate(attacks)}
    made |= {f"inside_{place}": mixture | {"parts": {"x": {"_target_": name}}} for place, name in enumerate(attacks)}
    made["one_long_key"] = beam | {"x" * 1_000_000: 1}
    made["many_keys"] = beam | {f"key_{number}": number for number in range(10_000)}
    made["one_long_value"] = beam | {"beam_size": "x" * 1_000_000}
    made["deep_value"] = beam | {"beam_size": "HERE"}
    content = {name: json.dumps(node).encode() for name, node in made.items()}
    content["deep_value"] = content["deep_value"].replace(b'"HERE"', b"[" * 900 + b"]" * 900)
    return content


def one_input(data: bytes) -> set[str]:
    taken: set[str] = set()
    try:
        node = json.loads(data)
    except (ValueError, RecursionError):
        return taken
    with reading("check", taken):
        check(node, object, path="node", offered=OFFERED)
    return taken
