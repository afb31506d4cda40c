"""Feature extraction, from files to a cache, against the bare network: see README.md."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import torch

from experiments.speed.timing import interleaved
from gan_caption.data.flickr8k import Flickr8k
from gan_caption.encoders.efficientnet_lite0 import EfficientNetLite0
from gan_caption.reporting.table import markdown

HERE = Path(__file__).parent
IMAGES, BATCH = 640, 32
REPEATS = 5


def main(root: str) -> None:
    encoder = EfficientNetLite0(finetune=False).eval()
    split = Flickr8k(root=root, skip_missing=False).split("train").select(range(IMAGES))
    pixels = torch.stack([encoder.preprocess(split.image(row)) for row in range(BATCH)])

    def bare() -> None:
        with torch.inference_mode():
            for _ in range(IMAGES // BATCH):
                encoder(pixels)

    def extraction() -> None:
        with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
            encoder.source(
                split, cache=Path(folder), skip_unreadable=False, device=torch.device("cpu"),
                progress=lambda done, total: None,
            )  # fmt: skip

    seconds = interleaved({"bare": bare, "extraction": extraction}, repeats=REPEATS)
    rates = {name: IMAGES / own for name, own in seconds.items()}
    rows = [
        ["", "images/s", "of the bare network's rate", "at least"],
        ["the bare network", f"{rates['bare']:.0f}", "", ""],
        ["from files to the cache", f"{rates['extraction']:.0f}", f"{rates['extraction'] / rates['bare']:.0%}", "90%"],
    ]
    head = (
        f"efficientnet_lite0, {IMAGES} photographs of 224 x 224, {torch.get_num_threads()} threads; medians "
        f"of {REPEATS} interleaved repeats in one run."
    )
    text = f"{head}\n\n{markdown(rows)}"
    (HERE / "table.md").write_text(f"{text}\n")
    print(text)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("say where Flickr8k lies: python -m experiments.speed.extraction.run ~/flickr8k")
    main(sys.argv[1])
