"""The card of an exported captioner: data, training, metrics, limits, and how often it states what is not there.

Every number comes from the run's own files or from the check of the export.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import gan_caption
from gan_caption.configuration.building import Part
from gan_caption.configuration.settings import Settings
from gan_caption.data.captions import EOS
from gan_caption.decoding.decoders import Greedy
from gan_caption.evaluation.result_files import read_results
from gan_caption.evaluation.results import decoder_name
from gan_caption.evaluation.trained import Trained
from gan_caption.reporting.results import metrics_of
from gan_caption.reporting.table import comparison
from gan_caption.text.base import Tokenizer
from gan_caption.text.pretrained import PretrainedTokenizer
from gan_caption.training.folders import BASELINE, has_finished
from gan_caption.training.setup import decoding_of

_HERE = Path(__file__).parent
_SHOWN = ("epochs", "steps", "images_per_batch", "captions_per_image", "learning_rate")
"""Of a phase's settings."""


@dataclass(frozen=True)
class Export:
    """What a card tells of."""

    run: Trained
    """With the weights that are exported."""
    phase: str
    """Which left them."""
    format: str
    """onnx or safetensors."""
    int8: bool
    """Whether the graphs are of 8-bit integers."""
    files: Mapping[str, int]
    """Bytes of each file of weights."""
    told: Sequence[str]
    """What the check of the export found, a sentence a line."""
    results: Mapping[str, Any] | None
    """What the run's final comparison found; None before it."""


def model_card(export: Export) -> str:
    """Return the card as Markdown, with the metadata block that model hubs read."""
    run, settings = export.run, export.run.settings
    results = export.results
    numbers = sum(weight.numel() for weight in (*run.encoder.parameters(), *run.captioner.generator.weights()))
    sizes = [f"- `{name}`: {size / 1e6:.2f} MB" for name, size in export.files.items()]
    decoding = decoding_of(settings, export.phase)
    began = settings.begin_from
    data = settings.data.name + ("" if began is None else f", and before those of the run {began.name}")
    measured_in = " That was measured in float32, before int8." if results and export.int8 else ""
    if results and decoding.name != Greedy.__name__:
        measured_in += f" That was measured on captions by {decoder_name(decoding)}; what is exported writes greedily."
    return Template((_HERE / "model_card.md").read_text(encoding="utf-8")).substitute(
        name=run.folder.resolve().name, phase=export.phase, format=export.format, version=gan_caption.__version__,
        generator=settings.generator.name, encoder=settings.encoder.name, data=data,
        hallucination=hallucination(results, export.phase, how=measured_in),
        use=(_HERE / f"use_{export.format}.md").read_text(encoding="utf-8").strip(),
        training=_training(export, numbers), metrics=_metrics(results, export),
        export="\n".join([*(f"- {line}" for line in export.told), *sizes]),
        writes=_writes(run.tokenizer, settings.max_length),
    )  # fmt: skip


def _writes(tokenizer: Tokenizer, max_length: int) -> str:
    """Say, as an item of a list, what a captioner can write."""
    lines: tuple[str, ...]
    if isinstance(tokenizer, PretrainedTokenizer):
        source = tokenizer.source
        lines = (
            f"- It writes at most {max_length} subwords (`<eos>` counted) of the language model {source.name}, which",
            "it needs beside these files: `pip install 'gan_caption[lm]'`, and the model itself, whose digest",
            f"({source.digest[:16]}) is checked. Where it is not found by that name, give",
            "`read_weights(folder, language_model=...)`.",
        )
    else:
        words = f"{len(tokenizer) - EOS - 1:,} {tokenizer.counted_by}s"
        lines = (
            f"- It writes at most {max_length} tokens (`<eos>` counted) of the {words} of its training captions,",
            "in their form: lower case, without punctuation. What has no word there it cannot name.",
        )
    return "\n  ".join(lines)


def hallucination(results: Mapping[str, Any] | None, phase: str, *, how: str = "") -> str:
    """Return the measured hallucination rate in words, or that there is none, and why.

    Args:
        results: the run's results.json; None where the run left none.
        phase: whose weights are meant.
        how: what is to be said of a rate that was measured.
    """
    systems = {} if results is None else results["systems"]
    measured = systems.get(phase, {})
    if "chair_i" in measured:
        return _of_objects(measured, "chair", "what is outlined on the images or named in their references", how)
    if "chair_references_i" in measured:
        bound = (
            " An upper bound: people do not name all that they see. What they score against each other is in the "
            "run's table."
        )
        return _of_objects(measured, "chair_references", "what the references of an image name", bound + how)
    if "oracle_hallucinations" not in measured:
        stopped = "" if measured else " (the run was stopped before its final comparison)"
        return (
            f"**Its hallucination rate is not measured{stopped}.** That takes a list of everything in each image, "
            "which photographs with captions come without; a rate computed from captions would be a guess, for an "
            "object that no annotator mentioned may be there all the same."
        )
    known = f"The content of the images is known ({results['title'] if results else ''})"
    if math.isnan(measured["oracle_hallucinations"]):
        return f"{known}, and none of its captions was a grammatical sentence in which false claims could be counted."
    told = (
        f"{known}: **{measured['oracle_hallucinations']:.3f} false claims a grammatical caption** (objects, colours, "
        f"sizes, textures, places, relations, numbers), and {measured['oracle_true']:.1%} of all captions true of "
        "their image."
    )
    others = [
        f"{name} {other['oracle_hallucinations']:.3f}"
        for name, other in systems.items()
        if name != phase and not math.isnan(other["oracle_hallucinations"])
    ]
    return (f"{told} Of the run's other weights: {', '.join(others)}." if others else told) + how


def _of_objects(measured: Mapping[str, float], name: str, truth: str, more: str) -> str:
    """Return CHAIR in words; `more` is said of a rate alone."""
    if math.isnan(measured[f"{name}_i"]):
        return "None of its captions names an object of COCO's 80 kinds, and of what is not named CHAIR tells nothing."
    return (
        f"Of the objects of COCO's 80 kinds that it names, **{measured[f'{name}_i']:.1%} are not there**, and "
        f"{measured[f'{name}_s']:.1%} of its captions name one that is not (CHAIR; Rohrbach et al. 2018), by {truth}."
        f"{more}"
    )


def results_of(folder: Path) -> dict[str, Any] | None:
    """Return what a run's final comparison found; None before it.

    Raises:
        UserError: the file is damaged, or something else.
    """
    return read_results(folder, folder) if has_finished(folder) else None


def _metrics(results: Mapping[str, Any] | None, export: Export) -> str:
    if results is None:
        return (
            "The run was stopped before its final comparison, so there are none but what the export found below. "
            "`python -m gan_caption.train ... resume=auto` finishes it."
        )
    systems, humans = results["systems"], results["humans"]
    precision = ", which were measured in float32, before int8" if export.int8 else ""
    head = f"{results['title']}; these are the weights of `{export.phase}`{precision}."
    return f"{head}\n\n{comparison(systems, metrics_of(results), humans=humans)}"


def _training(export: Export, numbers: int) -> str:
    settings = export.run.settings
    kind = "learned with it" if export.run.encoder.finetune else "frozen"
    until = list(settings.phases).index(export.phase) + 1
    phases = dict(list(settings.phases.items())[:until])
    last = phases[export.phase].node.get("selected_by") == "last"
    lines = [
        f"- data: {_described(settings.data)}; weights trained on its training split"
        + (", those of the last step" if last else " and selected on its validation split"),
        *(f"- {line}" for line in _began(settings)),
        f"- encoder: {_described(settings.encoder)}, {kind}",
        f"- generator: {_described(settings.generator)}; {numbers:,} parameters with the encoder",
        f"- seed {settings.seed}",
    ]
    for name, phase in phases.items():
        told = [f"{key} {phase.node[key]}" for key in _SHOWN if phase.node.get(key) is not None]
        objective = [Part(phase.node["objective"], f"{phase.path}.objective").name] if "objective" in phase.node else []
        lines.append(f"- phase `{name}`: {', '.join([phase.name, *objective, *told])}")
    return "\n".join(lines)


def _began(settings: Settings) -> list[str]:
    """Say which other run's weights a run took; their data, whose licence counts as well, are that run's to tell."""
    if settings.begin_from is not None:
        return [
            f"it began from the last weights of the run {settings.begin_from.name}: the licence of what that run "
            "learned from counts as well"
        ]
    if settings.pretrained is not None:
        return [f"its phase `{BASELINE}` is that of the run {settings.pretrained.name}"]
    return []


def _described(part: Part) -> str:
    """Return a part's class and its numbers; paths stay on the machine that they belong to."""
    settings = [
        f"{key} {value}"
        for key, value in part.node.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    ]
    return f"{part.name} ({', '.join(settings)})" if settings else part.name
