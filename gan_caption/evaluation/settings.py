"""The settings of `conf/evaluate.yaml`, `conf/compare.yaml` and `conf/transfer.yaml`, which say what each means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gan_caption.configuration.building import Part, read
from gan_caption.configuration.settings import OF_A_RUN, ComparedValidation, ValidationSettings
from gan_caption.data.corpus import Corpus
from gan_caption.decoding.decoders import Decoder
from gan_caption.errors import at_least
from gan_caption.evaluation.judge_network import JudgeSettings
from gan_caption.training.setup import OF_THE_PARTS

if TYPE_CHECKING:
    from omegaconf import DictConfig


SplitName = Literal["train", "val", "test"]


@dataclass(frozen=True, kw_only=True)
class CurveSettings:
    """Of the curve of quality against diversity."""

    temperatures: list[float]
    top_p: list[float]


@dataclass(frozen=True, kw_only=True)
class HowMeasured:
    """What an evaluation and a comparison are told alike."""

    split: SplitName
    device: str
    allow: list[str]
    cache: Path
    skip_unreadable: bool
    skip_missing: bool
    metrics: list[Part] | None
    language_model: str | None
    java_metrics: list[str]
    curve: CurveSettings | None
    decoding: Part

    def __post_init__(self) -> None:
        self.decoding.check(Decoder, OF_THE_PARTS["decoding"])


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings(HowMeasured):
    """Of an evaluation."""

    run: Path
    weights: str | None
    validation: ValidationSettings
    data: Part | None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.data is not None:
            self.data.check(Corpus, OF_THE_PARTS["data"])


def evaluation_from(config: Mapping[str, Any] | DictConfig) -> EvaluationSettings:
    """Return the settings of an evaluation, of `conf/evaluate.yaml` composed; see `building.read`."""
    return read(EvaluationSettings, config, besides=OF_A_RUN)


@dataclass(frozen=True, kw_only=True)
class SeveralSettings(HowMeasured):
    """What is told of several runs that are measured alike."""

    runs: Path | list[Path]
    out: Path
    against: str
    validation: ComparedValidation


@dataclass(frozen=True, kw_only=True)
class ComparisonSettings(SeveralSettings):
    """Of a comparison."""

    judge: JudgeSettings
    gallery: int

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(0, gallery=self.gallery)


@dataclass(frozen=True, kw_only=True)
class TransferSettings(SeveralSettings):
    """Of a measurement at home and away."""

    data: Part
    endpoint: str

    def __post_init__(self) -> None:
        super().__post_init__()
        self.data.check(Corpus, OF_THE_PARTS["data"])


def transfer_from(config: Mapping[str, Any] | DictConfig) -> TransferSettings:
    """Return the settings of `conf/transfer.yaml` composed; see `building.read`."""
    return read(TransferSettings, config, besides=OF_A_RUN)
