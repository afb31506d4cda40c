"""How many hours COCO, and ten million images from the web, would take: see README.md."""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import torch

from experiments.gpu.steps import BEAMS, FAMILIES, Sizes, steps
from experiments.speed.rollouts.run import new_lstm, our_step
from experiments.speed.workload import CHANNELS, REGIONS, SIZE, Flickr, attention_lstm, features, learned, lstm
from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.encoders.efficientnet_lite0 import EfficientNetLite0
from gan_caption.generators.attention_lstm import AttentionLSTMGenerator
from gan_caption.objectives.maximum_likelihood import MaximumLikelihood
from gan_caption.reporting.table import markdown
from gan_caption.training.phases.base import descend

HERE = Path(__file__).parent
CORPORA = (("COCO", 113_287, 5, 12), ("Ten million images from the web, a caption each", 10_000_000, 1, 3))
"""Images, captions of each, epochs of maximum likelihood."""
WORDS = 10_000
"""Of the vocabulary, as COCO's."""
KARPATHY = 5_000
"""Images of the test split that papers use."""
CAPTIONS, IMAGES, ADVERSARIAL = 100, 64, 5000
"""Captions in a step of maximum likelihood; images in a SeqGAN step, and steps."""
KEPT = 0.9
"""Of the bare network's rate is left in extraction: experiments/speed/extraction."""
H100, SHARE = 67e12, 0.2
"""Its float32 rate by data sheet, and the share of it that is assumed."""


def main(root: str) -> None:
    flickr = Flickr.of(root)
    encoder = EfficientNetLite0(finetune=False).eval()
    pixels = torch.randint(256, (32, 3, 224, 224), dtype=torch.uint8)
    with torch.inference_mode():
        rate = KEPT * 32 / seconds(lambda: encoder(pixels))
    policy = learned(lstm(WORDS), flickr)
    discriminator = new_lstm(WORDS)
    seqgan = seconds(lambda: our_step(policy, discriminator, features(IMAGES)))
    generator = attention_lstm(WORDS)
    optimizer = torch.optim.AdamW(generator.parameters(), lr=1e-4, weight_decay=0.0, fused=True)

    lines = [f"{processor()}, {torch.get_num_threads()} threads. The line for one H100 is reckoned, not measured."]
    for name, images, per_image, epochs in CORPORA:
        captions = flickr.batches(images=CAPTIONS // 5, per_image=5).at(0).captions
        captions = Captions(captions.tokens, captions.lengths, torch.arange(CAPTIONS) // per_image)
        seen = features(CAPTIONS // per_image, grid=True)
        step = seconds(partial(likelihood_step, generator, optimizer, seen, captions))
        work = training_products(int(captions.lengths.sum()), len(seen))
        steps = epochs * images * per_image // CAPTIONS
        rows = [["", "arithmetic", "hours"]]
        rows.append(["features", f"{images:,} / {rate:.0f} images/s", hours(images / rate)])
        rows.append([
            f"maximum likelihood, `attention_lstm`, {epochs} epochs",
            f"{epochs} x {images * per_image:,} / {CAPTIONS} = {steps:,} steps of {1000 * step:.0f} ms",
            hours(steps * step),
        ])  # fmt: skip
        rows.append([f"SeqGAN, `lstm`, {ADVERSARIAL:,} steps of {IMAGES} images x 16 rollouts",
                     f"{ADVERSARIAL:,} x {seqgan:.2f} s", hours(ADVERSARIAL * seqgan)])  # fmt: skip
        rows.append([
            "maximum likelihood on one H100",
            f"{steps:,} x {work / 1e9:.0f} GFLOP / ({SHARE} x {H100 / 1e12:.0f} TFLOP/s)",
            hours(steps * work / (SHARE * H100)),
        ])  # fmt: skip
        disk = images * REGIONS * CHANNELS * 2 / 1e9
        kept = f"Features on disk: {images:,} x {REGIONS} x {CHANNELS} x 2 bytes = {disk:,.0f} GB."
        lines.append(f"{name}\n\n{markdown(rows)}\n\n{kept}")
    lines.append(by_family())
    text = "\n\n".join(lines)
    (HERE / "table.md").write_text(f"{text}\n")
    print(text)


def by_family() -> str:
    """Return a table of what COCO takes with each family of policies, which have learned nothing: captions are long."""
    _, images, per_image, epochs = CORPORA[0]
    sizes = Sizes(images=CAPTIONS // per_image, captions=per_image, decoded=200, length=20, words=WORDS, rollouts=4)
    told, sampled = epochs * images * per_image // CAPTIONS, images // sizes.images
    rows = [[
        "COCO", f"maximum likelihood, {epochs} epochs: {told:,} steps, hours",
        f"self-critical, an epoch: {sampled:,} steps, hours", f"beam {BEAMS}, {KARPATHY:,} images, minutes",
    ]]  # fmt: skip
    for family in FAMILIES:
        own = steps(family, sizes, torch.device("cpu"))
        rows.append([
            f"`{family}`", hours(told * seconds(own["maximum likelihood"])),
            hours(sampled * seconds(own["self-critical"])),
            f"{KARPATHY / sizes.decoded * seconds(own[f'beam {BEAMS}']) / 60:.1f}",
        ])  # fmt: skip
    return markdown(rows)


def seconds(call: Callable[[], object], repeats: int = 5) -> float:
    taken = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return median(taken[1:])


def likelihood_step(
    generator: AttentionLSTMGenerator, optimizer: torch.optim.Optimizer, seen: ImageFeatures, captions: Captions
) -> None:
    objective = MaximumLikelihood(label_smoothing=0.1, scheduled_sampling=0.0)
    loss = objective.loss(generator.train(), seen, captions, torch.Generator())
    descend(optimizer, [loss], generator, clip=5.0)


def training_products(tokens: int, images: int) -> float:
    """Return the floating-point operations of a step's products: two a multiplication, forward and twice backward."""
    word = 2 * SIZE * 4 * SIZE + SIZE * SIZE + 3 * SIZE * 4 * SIZE + SIZE * WORDS
    grid = REGIONS * CHANNELS * 2 * SIZE
    return 3 * 2 * (tokens * word + images * grid)


def processor() -> str:
    """Return the processor's name (Linux), or its kind."""
    about = Path("/proc/cpuinfo")
    lines = about.read_text().splitlines() if about.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def hours(taken: float) -> str:
    return f"{taken / 3600:,.1f}"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("say where Flickr8k lies: python -m experiments.speed.hours.run ~/flickr8k")
    main(sys.argv[1])
