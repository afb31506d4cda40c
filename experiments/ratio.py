"""What the studies of the density ratio share: an arm, what it begins with, and the measure of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.records import NOWHERE, Prepare, Wanted
from experiments.study import train_all
from gan_caption.data.corpus import Split
from gan_caption.data.holdout import learners
from gan_caption.evaluation.evaluator import Evaluator, build_evaluator
from gan_caption.evaluation.trained import Trained, left_discriminator
from gan_caption.reporting.table import markdown
from gan_caption.training.setup import load_split, open_corpus, open_features

Overrides = tuple[str, ...]


@dataclass(frozen=True)
class Rung:
    """A discriminator that is taught."""

    name: str
    overrides: Overrides
    matching: int = 0
    """Steps in which it learns from people's captions alone, before it meets a sample."""


@dataclass(frozen=True)
class Arm:
    """A way to go on from the baseline."""

    name: str
    page: str
    phase: str = "policy_gradient"
    """Whose weights, and way of decoding, are measured."""
    overrides: tuple[str, ...] = ()
    judged: bool = False
    """Whether it takes the seed's discriminator."""
    learns: bool = True
    """Whether it has a learning rate to be tuned."""
    around: str = ""
    """What stands around a discriminator of the seed's kind that is taught in it, `blind` say; "": none is taught."""
    kind: str = ""
    """Of the discriminator that is taught in it; "": the seed's."""
    taught_by: tuple[str, ...] = ()
    """Overrides of its teaching."""

    @property
    def resamples(self) -> bool:
        """Whether its page has a phase that resamples."""
        return self.page in ("residual_ebm", "control_logits", "control_powers", "control_oracle_ratio")


_INNER = "discriminator@discriminator.discriminator"


def inner(kind: str) -> Overrides:
    """Return the override that calibrates a discriminator of this kind."""
    return (f"{_INNER}={kind}",)


def wrapped(overrides: Overrides, around: str) -> Overrides:
    """Return what makes a discriminator of the same kind, inside another one, of what `inner` makes one with."""
    told: list[str] = []
    for one in overrides:
        name, _, kind = one.partition("=")
        told += [f"{name}={around}", f"{name}.discriminator={kind}"] if name == _INNER else [one]
    return tuple(told)


def matching_first(steps: int) -> Overrides:
    """Return the overrides of a phase in which D learns from people's captions alone; they stand before all others."""
    return (
        "+phase@phases.matching=matching", f"phases.matching.steps={steps}",
        "phases.matching.trainer.captions_per_image=5",
    )  # fmt: skip


DEMONSTRATED = ("phases.policy_gradient.captions_per_image=5",)
"""Of objectives on people's captions: as many as the others have samples."""
ROUNDS = (
    "phases.round_1.captions_per_image=5", "phases.round_2.captions_per_image=5", "adversarial.steps=150",
    "phases.round_1.objective.samples_per_image=5", "phases.round_2.objective.samples_per_image=5",
)  # fmt: skip
"""Of DDO: two, of half of the updates each."""
DECODING = "phases.resampling.decoding"
QUICK_DECODING = (f"{DECODING}.candidates=4", f"{DECODING}.density_sets=2")


def begun_with(
    baseline: Callable[[int], Overrides], judge: Callable[[int, Path], Overrides] | None, *, outputs: Path, workers: int
) -> Prepare:
    """Return what trains the baselines of some seeds and the discriminators that what is missing of them takes.

    Args:
        baseline: the overrides of a seed.
        judge: those of a run in which a discriminator alone learns, of a seed and its baseline's folder.
        outputs: where the runs go.
        workers: how many run at a time.
    """

    def prepare(missing: Mapping[int, Sequence[Wanted]]) -> list[tuple[Path, ...]]:
        trained = train_all([baseline(seed) for seed in missing], outputs=outputs, workers=workers)
        if judge is None:
            return [(base,) for base in trained]
        bases = dict(zip(missing, trained, strict=True))
        asked = [seed for seed, runs in missing.items() if any(_takes_a_judge(run) for run in runs)]
        taught = train_all([judge(seed, bases[seed]) for seed in asked], outputs=outputs, workers=workers)
        judges = dict(zip(asked, taught, strict=True))
        return [(base, judges.get(seed, NOWHERE)) for seed, base in bases.items()]

    return prepare


def _takes_a_judge(run: Wanted) -> bool:
    return any(one.startswith("pretrained_discriminator=") for one in run.overrides)


def table_of_trials(trials: Mapping[str, Mapping[str, float]], tried: Sequence[str]) -> str:
    """Return a Markdown table: what each of these reached by what was tried, on the tuning seed's validation images."""
    rows = [["", *tried]]
    rows += [[name, *(f"{own[one]:.4f}" if one in own else "" for one in tried)] for name, own in trials.items()]
    return markdown(rows)


def held_out(trained: Trained) -> Split:
    """Return the training images of a run that nobody learned from."""
    train = load_split(open_corpus(trained.settings), "train", lambda line: None)
    return train.select(learners(train, trained.settings.holdout).nobody.tolist())


def evaluator_of(trained: Trained, name: str, *, samples_per_image: int) -> Evaluator:
    """Return the measure of a run's captioner on a split."""
    split = load_split(open_corpus(trained.settings), name, lambda line: None)
    return evaluator_on(trained, split, samples_per_image=samples_per_image)


def evaluator_on(trained: Trained, split: Split, *, samples_per_image: int) -> Evaluator:
    """Return the measure of a run's captioner on some images."""
    settings = trained.settings
    source = open_features(settings, trained.encoder, split, device=trained.device)
    discriminator = left_discriminator(
        trained.folder, settings, trained.encoder, trained.tokenizer, device=trained.device
    )
    evaluator = build_evaluator(
        settings, source, trained.tokenizer, set(), device=trained.device, discriminator=discriminator
    )
    evaluator.samples_per_image = samples_per_image
    return evaluator
