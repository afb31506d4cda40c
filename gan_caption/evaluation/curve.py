"""A captioner sampled over a grid of temperatures and nucleus sizes: its curve of quality against diversity."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from gan_caption.decoding.decoders import Sampling
from gan_caption.distributed import world
from gan_caption.evaluation.curve_files import CurvePoint
from gan_caption.evaluation.evaluator import Evaluator
from gan_caption.metrics.metric import measure, on_curves
from gan_caption.metrics.ngrams import Score
from gan_caption.training.networks import EncoderDecoder


def grid(temperatures: Sequence[float], top_p: Sequence[float]) -> list[tuple[float, float]]:
    """Return (temperature, top-p) of each point: the temperatures over all words, the nuclei at temperature 1.

    Raises:
        ValueError: one of them cannot be sampled with; see `Sampling`.
    """
    points = [*((temperature, 1.0) for temperature in temperatures), *((1.0, nucleus) for nucleus in top_p)]
    for temperature, nucleus in points:
        Sampling(temperature=temperature, top_k=0, top_p=nucleus)
    return points


def sample_curve(
    captioner: EncoderDecoder,
    evaluator: Evaluator,
    points: Sequence[tuple[float, float]],
    *,
    phase: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[CurvePoint]:
    """Sample K captions of every image at each point, and measure them image by image.

    Measured are the metrics that have an axis: for quality CIDEr-D of the samples, and the share of true ones where the
    corpus knows; for diversity Self-CIDEr and Div-2. Of resampled captions also the NLL of the references under the
    limit of many candidates, a caption.

    Args:
        captioner: on the evaluator's device.
        evaluator: of the split; its K holds.
        points: (temperature, top-p) of each.
        phase: which left the weights; see `Evaluator.sampler_at`.
        progress: told the points done.
    """
    shown = on_curves(evaluator.all_metrics, "quality", "diversity")
    curve = []
    for done, (temperature, top_p) in enumerate(points, 1):
        sampler = evaluator.sampler_at(phase, temperature=temperature, top_p=top_p)
        samples = evaluator.sample(captioner, sampler)
        told = world.from_main(partial(measure, shown, evaluator.predictions([], samples)))
        values = {name: value.per_image for name, value in told.items() if isinstance(value, Score)}
        curve.append(CurvePoint(temperature, top_p, {**values, **evaluator.limit(captioner, sampler)}, samples))
        if progress is not None:
            progress(done)
    return curve
