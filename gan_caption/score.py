"""Score captions that any program wrote: `python -m gan_caption.score references.json results.json`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from gan_caption.data.caption_files import check_images, read_references, read_results
from gan_caption.errors import UserError
from gan_caption.evaluation.java import java_metrics
from gan_caption.evaluation.scores import Scores, score
from gan_caption.files import write_atomically
from gan_caption.metrics import DocumentFrequencies, Predictions, character_tokenize, ptb_tokenize
from gan_caption.metrics.metric import in_order
from gan_caption.metrics.standard import DIVERSITY, QUALITY, SAMPLE_QUALITY, VARIETY
from gan_caption.reporting.table import scores_table


def main(arguments: list[str] | None = None) -> None:
    """Read the files, tokenize, score, print a table; write the values where asked."""
    told = _parser().parse_args(arguments)
    try:
        _run(told)
    except UserError as error:
        sys.exit(str(error))


def _run(told: argparse.Namespace) -> None:
    by_java = [name for name in ("meteor", "spice") if getattr(told, name)]
    counted_by, tokenized = ("character", character_tokenize) if told.by_character else ("word", ptb_tokenize)
    java = java_metrics(by_java, counted_by=counted_by)
    references = read_references(told.references)
    results = read_results(told.results)
    images = check_images(references, results, only_given=told.only_given)
    tokens = [tokenized(references[image]) for image in images]
    captions = tokenized([results[image].caption for image in images])
    samples = [tokenized(results[image].samples) for image in images]
    frequencies = DocumentFrequencies.load(told.frequencies) if told.frequencies else DocumentFrequencies.of(tokens)
    if told.save_frequencies:
        frequencies.save(told.save_frequencies)
    # Nobody has said what was learned from.
    several = tuple(metric for metric in VARIETY if metric.name != "verbatim")
    metrics = in_order(QUALITY, java, several, SAMPLE_QUALITY, DIVERSITY)
    scores = score(Predictions(captions, samples if any(samples) else (), tokens, frequencies), metrics)
    table = scores_table(scores, metrics)
    description = _description(images, references, captions, samples)
    by = ", metrics by character" if told.by_character else ""
    print(f"{told.results.name}: {description}{by}\n\n{table}")
    if told.out:
        write_atomically(told.out, lambda file: file.write(_as_json(images, scores)))
        print(f"\nValues of the corpus and of each image are in {told.out}")


def _description(
    images: list[str], references: dict[str, list[str]], captions: list[str], samples: list[list[str]]
) -> str:
    counts = [len(references[image]) for image in images]
    fewest, most = min(counts), max(counts)
    parts = [
        f"{len(images)} images" + (f" of {len(references)}" if len(images) < len(references) else ""),
        f"{fewest} reference{'s' * (fewest > 1)} each" if fewest == most else f"{fewest} to {most} references each",
    ]
    if any(samples):
        parts.append(f"{len(samples[0])} samples each")
    if empty := sum(not caption for caption in captions):
        parts.append(f"{empty} without a word (they score 0)")
    return ", ".join(parts)


def _as_json(images: list[str], scores: Scores) -> bytes:
    told = {
        "corpus": scores.values,
        "intervals": scores.intervals,
        "humans": scores.humans,
        "per_image": {
            image: {name: float(value.per_image[row]) for name, value in scores.measured.items()}
            for row, image in enumerate(images)
        },
    }
    return json.dumps(told, indent=1).encode()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m gan_caption.score", description=__doc__)
    parser.add_argument("references", type=Path, help="COCO annotation file, or JSON lines of image_id and caption(s)")
    parser.add_argument("results", type=Path, help="COCO result file, or JSON lines of image_id, caption and samples")
    parser.add_argument("--only-given", action="store_true", help="score only the images that the results have")
    parser.add_argument("--by-character", action="store_true", help="count characters, as of Chinese, and not words")
    parser.add_argument("--frequencies", type=Path, metavar="FILE", help="document frequencies of a larger corpus")
    parser.add_argument("--save-frequencies", type=Path, metavar="FILE", help="keep those of these references")
    parser.add_argument("--meteor", action="store_true", help="METEOR too, by its Java program (extra: java)")
    parser.add_argument("--spice", action="store_true", help="SPICE too, by its Java program (extra: java)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write all values, per image too, as JSON")
    return parser


if __name__ == "__main__":
    main()
