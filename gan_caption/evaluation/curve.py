"""A captioner sampled over a grid of temperatures and nucleus sizes: its curve of quality against diversity."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from gan_caption.decoding.decoders import Sampling
from gan_caption.evaluation.curve_files import CurvePoint
from gan_caption.evaluation.evaluator import Evaluator
from gan_caption.metrics import div_n, self_cider
from gan_caption.metrics.scoring import sampled_quality
from gan_caption.training.networks import Captioner


def grid(temperatures: Sequence[float], top_p: Sequence[float]) -> list[tuple[float, float]]:
    """Return (temperature, top-p) of each point: the temperatures over all words, the nuclei at temperature 1.

    Raises:
        ValueError: one of them cannot be sampled with; see `Sampling`.
    """
    points = [*((temperature, 1.0) for temperature in temperatures), *((1.0, nucleus) for nucleus in top_p)]
    for temperature, nucleus in points:
        Sampling(temperature=temperature, top_p=nucleus)
    return points


def sample_curve(
    captioner: Captioner,
    evaluator: Evaluator,
    points: Sequence[tuple[float, float]],
    *,
    progress: Callable[[int], None] | None = None,
) -> list[CurvePoint]:
    """Sample K captions of every image at each point, and measure them image by image.

    Quality is CIDEr-D of the samples, and the share of true ones where the corpus knows; diversity is Self-CIDEr and
    Div-2.

    Args:
        captioner: on the evaluator's device.
        evaluator: of the split; its K holds.
        points: (temperature, top-p) of each.
        progress: told the points done.
    """
    references, frequencies = evaluator.references, evaluator.frequencies
    curve = []
    for done, (temperature, top_p) in enumerate(points, 1):
        samples = evaluator.sample(captioner, Sampling(temperature=temperature, top_p=top_p))
        values = {
            "sample_cider_d": sampled_quality(samples, references, frequencies).per_image,
            "self_cider": self_cider(samples, frequencies).per_image,
            "div_2": div_n(samples, 2).per_image,
        }
        true = evaluator.source.split.true_share(samples)
        if true is not None:
            values["sample_oracle_true"] = np.array(true)
        curve.append(CurvePoint(temperature, top_p, values, samples))
        if progress is not None:
            progress(done)
    return curve
