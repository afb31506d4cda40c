"""How fast the metrics are against pycocoevalcap, in one run: see README.md."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import numpy as np
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.cider.cider_scorer import CiderScorer
from pycocoevalcap.rouge.rouge import Rouge
from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

from experiments.composing import part
from gan_caption.metrics import DocumentFrequencies, bleu, cider_d, ptb_tokenize, rouge_l
from gan_caption.metrics.self_cider import self_cider
from gan_caption.reporting.table import markdown

HERE = Path(__file__).parent
IMAGES = 5000
REPEATS = 3
Raw = Sequence[Sequence[str]]


def main(root: str | None) -> None:
    if shutil.which("java") is None:
        raise SystemExit("no `java` is on the path: pycocoevalcap's tokenizer is a jar")
    references = captions(root)
    candidates = [own[0] for own in references[1:] + references[:1]]
    rows = [["", "ours, s", "theirs, s", "times faster", "at least"]]
    ours, theirs = interleaved(lambda: our_scores(candidates, references), lambda: coco_scores(candidates, references))
    rows.append([f"tokens, BLEU, ROUGE-L, CIDEr-D of {IMAGES:,} images", *ratio(ours, theirs), "4"])

    tokens = [ptb_tokenize(list(own)) for own in references]
    frequencies = DocumentFrequencies.of(tokens)
    ours, theirs = interleaved(lambda: self_cider(tokens, frequencies), lambda: paired_self_cider(tokens, tokens))
    rows.append([f"Self-CIDEr of {IMAGES:,} images x 5, a scorer a pair", *ratio(ours, theirs), "50"])
    corpus = "Flickr8k train" if root else "scenes"
    text = f"{corpus}; medians of {REPEATS} interleaved repeats in one run.\n\n{markdown(rows)}"
    (HERE / "table.md").write_text(f"{text}\n")
    print(text)


def captions(root: str | None) -> list[list[str]]:
    """Return five raw captions of each of 5,000 images."""
    if root is None:
        split = part("data/scenes", train=IMAGES).split("train")
    else:
        from gan_caption.data.flickr8k import Flickr8k

        split = Flickr8k(root=root, skip_missing=False).split("train")
    return [list(item.captions) for item in split.items[:IMAGES]]


def interleaved(one: Callable[[], object], other: Callable[[], object]) -> tuple[float, float]:
    """Return the median seconds of each, taking turns."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(REPEATS):
        for call, own in zip((one, other), seconds, strict=True):
            start = time.perf_counter()
            call()
            own.append(time.perf_counter() - start)
    return median(seconds[0]), median(seconds[1])


def ratio(ours: float, theirs: float) -> tuple[str, str, str]:
    return f"{ours:.3g}", f"{theirs:.3g}", f"{theirs / ours:.1f}"


def our_scores(candidates: Sequence[str], references: Raw) -> None:
    told, given = ptb_tokenize(list(candidates)), [ptb_tokenize(list(own)) for own in references]
    bleu(told, given), rouge_l(told, given), cider_d(told, given)


def coco_scores(candidates: Sequence[str], references: Raw) -> None:
    tokenizer = PTBTokenizer()
    told = tokenizer.tokenize({row: [{"caption": caption}] for row, caption in enumerate(candidates)})
    given = tokenizer.tokenize({row: [{"caption": text} for text in own] for row, own in enumerate(references)})
    for scorer in (Rouge(), Cider()):
        scorer.compute_score(given, told)
    Bleu(4).compute_score(given, told, verbose=0)


def paired_self_cider(samples: Raw, references: Raw) -> np.ndarray:
    """Return Self-CIDEr with a scorer of all images built for each pair of samples, its kernel clipped as CIDEr-D's."""
    counted = CiderScorer()
    for own in references:
        counted += (None, list(own))
    counted.compute_doc_freq()
    count = len(samples[0])
    kernel = np.zeros((len(samples), count, count))
    for one in range(count):
        for other in range(count):
            scorer = CiderScorer(sigma=1e9)
            for own in samples:
                scorer += (own[one], [own[other]])
            scorer.document_frequency = counted.document_frequency
            kernel[:, one, other] = scorer.compute_cider()
    singular = np.sqrt(np.clip(np.linalg.eigvalsh((kernel + kernel.transpose(0, 2, 1)) / 2), 0, None))
    return -np.log(singular[:, -1] / singular.sum(1)) / np.log(count)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
