"""The settings of what is done with a trained run; `conf/caption.yaml` and its like say what each means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gan_caption.configuration.building import Part, read
from gan_caption.configuration.settings import OF_A_RUN, Settings
from gan_caption.data.corpus import Corpus
from gan_caption.decoding.decoders import Decoder, Proposer
from gan_caption.errors import at_least
from gan_caption.training.setup import OF_THE_PARTS

if TYPE_CHECKING:
    from omegaconf import DictConfig


@dataclass(frozen=True, kw_only=True)
class CaptionSettings:
    """Of captioning photographs."""

    run: Path
    images: list[Path]
    out: Path | None
    captions: int
    candidates: int
    rerank: dict[str, float]
    language_model: str | None
    fusion: float
    weights: str | None
    attention: bool
    seed: int
    device: str
    allow: list[str]
    decoding: Part | None
    proposer: Part | None

    def __post_init__(self) -> None:
        at_least(1, captions=self.captions)
        at_least(0, seed=self.seed)
        if self.proposer is not None:
            self.proposer.check(Proposer)
        if self.decoding is not None:
            self.decoding.check(Decoder, OF_THE_PARTS["decoding"])


@dataclass(frozen=True, kw_only=True)
class DemoSettings:
    """Of the web page."""

    run: list[Path]
    host: str
    port: int
    max_upload_mb: int
    samples: int
    device: str
    allow: list[str]
    decoding: Part | None

    def __post_init__(self) -> None:
        if not 0 <= self.port < 2**16:
            raise ValueError(f"port={self.port}: 0 to 65535")
        if not self.run:
            raise ValueError("run=[]: no runs are given; run=[outputs/a,outputs/b]")
        at_least(1, max_upload_mb=self.max_upload_mb)
        at_least(2, samples=self.samples)
        if self.decoding is not None:
            self.decoding.check(Decoder, OF_THE_PARTS["decoding"])


@dataclass(frozen=True, kw_only=True)
class ExportSettings:
    """Of an export."""

    run: Path
    weights: str | None
    format: Literal["onnx", "safetensors"]
    out: Path | None
    int8: bool
    split: Literal["train", "val", "test"]
    check_images: int
    calibration_images: int
    batch_images: int
    cache: Path
    threads: int | None
    allow: list[str]
    skip_unreadable: bool
    skip_missing: bool
    data: Part | None

    def __post_init__(self) -> None:
        at_least(2, check_images=self.check_images)  # one image alone has no CIDEr-D
        at_least(1, calibration_images=self.calibration_images, batch_images=self.batch_images, threads=self.threads)
        if self.int8 and self.format != "onnx":
            raise ValueError("int8=true: only format=onnx has it")
        if self.data is not None and self.format != "onnx":
            raise ValueError("data=...: only format=onnx captions images to check itself")
        if self.data is not None:
            self.data.check(Corpus, OF_THE_PARTS["data"])


def export_from(config: Mapping[str, Any] | DictConfig) -> ExportSettings:
    """Return the settings of an export, of `conf/export.yaml` composed; see `building.read`."""
    return read(ExportSettings, config, besides=OF_A_RUN)


@dataclass(frozen=True, kw_only=True)
class CalibrationSettings:
    """Of the confidence of captions."""

    run: Path
    weights: str | None
    split: Literal["train", "val", "test"]
    criterion: str | None
    threshold: float | None
    folds: int
    device: str
    cache: Path
    allow: list[str]
    skip_missing: bool
    skip_unreadable: bool
    data: Part | None
    decoding: Part | None

    def __post_init__(self) -> None:
        at_least(2, folds=self.folds)
        for part, kind in ((self.data, Corpus), (self.decoding, Decoder)):
            if part is not None:
                part.check(kind, OF_THE_PARTS[part.path])


def read_as(run: Settings, asked: CalibrationSettings | LanguageModelSettings) -> Settings:
    """Return a run's settings with its reader's cache, and leaving out what either of them leaves out."""
    run = replace(run, skip_missing=asked.skip_missing or run.skip_missing)
    return run.cached_in(asked.cache, skip_unreadable=asked.skip_unreadable or run.skip_unreadable)


def calibration_from(config: Mapping[str, Any] | DictConfig) -> CalibrationSettings:
    """Return the settings of `conf/calibrate.yaml` composed; see `building.read`."""
    return read(CalibrationSettings, config, besides=OF_A_RUN)


@dataclass(frozen=True, kw_only=True)
class LanguageModelSettings:
    """Of an n-gram model."""

    run: Path
    out: Path
    order: int
    cache: Path
    allow: list[str]
    skip_unreadable: bool
    skip_missing: bool
    data: Part | None

    def __post_init__(self) -> None:
        at_least(1, order=self.order)
        if self.data is not None:
            self.data.check(Corpus, OF_THE_PARTS["data"])


def language_model_from(config: Mapping[str, Any] | DictConfig) -> LanguageModelSettings:
    """Return the settings of `conf/language_model.yaml` composed; see `building.read`."""
    return read(LanguageModelSettings, config, besides=OF_A_RUN)
