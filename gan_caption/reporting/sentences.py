"""What a report says in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from gan_caption.data.corpus import Split
from gan_caption.evaluation.adversarial import AdversarialEvaluation
from gan_caption.evaluation.results import counting, decoder_name
from gan_caption.evaluation.settings import ComparisonSettings
from gan_caption.evaluation.systems import System
from gan_caption.metrics.bootstrap import FEW, OF_FEW
from gan_caption.metrics.metric import Metrics
from gan_caption.reporting.comparison_tables import SURE
from gan_caption.reporting.equal_quality import Verdict


def description(systems: Sequence[System], split: Split, settings: ComparisonSettings, *, counted_by: str) -> str:
    """Say in a sentence what was compared on what."""
    seeds = [run.seed for run in systems[0].runs]
    told = f"seeds {', '.join(map(str, seeds))}" if len(seeds) > 1 else f"seed {seeds[0]} only"
    lost = [f"{system.name}, seed {run.seed}" for system in systems for run in system.runs if run.lost]
    earlier = (
        f" The last phase of {'; '.join(lost)} left no healthy weights: what is measured there are those of an earlier "
        "one, and the difference says nothing of the method."
    )
    temperatures = {run.config["validation"]["temperature"] for system in systems for run in system.runs}
    chosen = settings.validation.temperature or (temperatures.pop() if len(temperatures) == 1 else None)
    at = f"temperature {chosen:g}" if chosen else "each run's own temperature"
    own = {system.name: part for system in systems if (part := system.runs[0].decoding) is not None}
    return (
        f"{len(split)} {split.name} images; {told}; decoded by {decoder_name(settings.decoding, own)}"
        f"{counting(counted_by)}; "
        f"{settings.validation.samples_per_image} samples an image, at {at}, for variety."
        f"{earlier if lost else ''}"
    )


def legend(baseline: System) -> str:
    """Say what the intervals and marks mean."""
    said = (
        "Below each value its 95% interval: a bootstrap over images and, outside of it, over seeds, widened to "
        "Student's t over seeds where that is less certain; t alone where a number is known of the corpus only. "
        f"▲ better and ▼ worse than {baseline.name}: paired by image and seed, p (the larger of both ways') below "
        f"{SURE} after Holm's correction for the number of systems. "
        "Humans: each against the others of the same images, who are one fewer. "
    )
    if len(baseline.runs) == 1:
        said += "With one seed the intervals know nothing of how much training varies: they are too narrow. "
    elif len(baseline.runs) < 5:
        said += f"{len(baseline.runs)} seeds say little of another one: differences are seldom sure. "
    if len(baseline.runs[0].texts) < FEW:
        said += f"{OF_FEW} "
    return said


def about(judgement: AdversarialEvaluation) -> str:
    """Say how good the network is that judged, on images that it had not seen."""
    share = {name: f"{100 * value:.1f}%" for name, value in judgement.accuracy.items()}
    return (
        "A network that no system was trained against learned to tell human captions from those of other images and "
        "from the systems' own, cross-fitted: it judges images that it has not seen. There it is right about "
        f"{share['human']} of human captions, {share['other_image']} of captions of other images and "
        f"{share['generated']} of generated ones (balanced accuracy {share['balanced']}; 50% is guessing). "
        "The image of a caption is searched by the same network before it has seen a generated caption, among "
        f"{judgement.candidates:.0f} images, where guessing has the median rank {(judgement.candidates + 1) / 2:.1f}."
    )


def findings(told: Sequence[Verdict], baseline: str, metrics: Metrics) -> list[str]:
    """Return the verdicts in words, a line a system and axes, for the temperatures."""
    lines = []
    for one in told:
        if one.family != "temperature":
            continue
        diversity = metrics[one.diversity]
        axes = f"({metrics[one.quality].label} against {diversity.label})"
        if one.difference is None or one.interval is None:
            lines.append(f"{one.system} and {baseline} have no quality in common {axes}.")
            continue
        verb = {"dominates": "dominates", "below": "lies below", "crosses": "crosses"}.get(one.verdict)
        said = f"{one.system} {verb} {baseline}" if verb else f"{one.system} and {baseline} cannot be told apart"
        told_as = f"{diversity.shown(one.difference, sign='+')} ({diversity.between(one.interval, sign='+')})"
        lines.append(f"{said} {axes}: diversity at equal quality {told_as}.")
    return lines
