"""Score captions that any program wrote: `python -m gan_caption.score references.json results.json`."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys

from gan_caption.configuration.running import no_reader
from gan_caption.data.caption_files import check_images, read_references, read_results
from gan_caption.data.outlined import check_complete, read_outlined
from gan_caption.errors import UserError
from gan_caption.evaluation.java import java_metrics
from gan_caption.evaluation.scores import Scores, score
from gan_caption.files import at_home, check_file, write_atomically
from gan_caption.metrics import DocumentFrequencies, Predictions, character_tokenize, ptb_tokenize
from gan_caption.metrics.chair import chair, named_in
from gan_caption.metrics.characters import without_spaces
from gan_caption.metrics.humans import SCORED
from gan_caption.metrics.metric import Metric, in_order
from gan_caption.metrics.nouns import unsupported_nouns
from gan_caption.metrics.standard import DIVERSITY, LEARNED_BY_HEART, QUALITY, SAMPLE_QUALITY, VARIETY
from gan_caption.reporting.table import scores_table


def main(arguments: list[str] | None = None) -> None:
    """Read the files, tokenize, score, print a table; write the values where asked."""
    told = _parser().parse_args(arguments)
    try:
        _run(told)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError as error:
        raise no_reader() from error
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)


def _run(told: argparse.Namespace) -> None:
    by_java = [name for name in ("meteor", "spice") if getattr(told, name)]
    if told.nouns and told.by_character:
        raise UserError("--nouns reads English words, and these captions are counted by character: leave it out")
    counted_by, tokenized = ("character", character_tokenize) if told.by_character else ("word", ptb_tokenize)
    java = java_metrics(by_java, counted_by=counted_by)
    read = [one for one in (told.references, told.results, told.frequencies, told.objects) if one is not None]
    if told.out and told.save_frequencies and os.path.abspath(told.out) == os.path.abspath(told.save_frequencies):
        raise UserError(f"--out {told.out} and --save-frequencies would be one file: give two names")
    for path, option in ((told.out, "--out"), (told.save_frequencies, "--save-frequencies")):
        if path is not None:
            check_file(path, f"{option} {path}")  # before METEOR and SPICE, not after
            if os.path.exists(path) and any(os.path.exists(one) and os.path.samefile(path, one) for one in read):
                raise UserError(f"{option} {path} is read first, and would be written over: give another name")
    references = read_references(told.references)
    results = read_results(told.results)
    images = check_images(references, results, only_given=told.only_given)
    tokens = [tokenized(references[image]) for image in images]
    captions = tokenized([results[image].caption for image in images])
    samples = [tokenized(results[image].samples) for image in images]
    if len(images) == 1 and not told.frequencies:
        raise UserError(
            "CIDEr-D weighs words by how rare they are among images, and one image tells nothing: give more, or with "
            "--frequencies the file that --save-frequencies has written of a larger corpus"
        )
    frequencies = DocumentFrequencies.load(told.frequencies) if told.frequencies else DocumentFrequencies.of(tokens)
    if told.save_frequencies:
        DocumentFrequencies.of(tokens).save(told.save_frequencies)
    seen = _objects(told, images, references)
    # Nobody has said what was learned from.
    several = tuple(metric for metric in VARIETY if metric.name not in LEARNED_BY_HEART)
    nouns = [unsupported_nouns()] if told.nouns else []
    metrics = in_order(QUALITY, java, seen, nouns, several, SAMPLE_QUALITY, DIVERSITY)
    several_said = samples if any(samples) else ()
    scores = score(Predictions(captions, several_said, tokens, frequencies, image_ids=images), metrics)
    table = scores_table(scores, metrics)
    description = _description(images, references, captions, tokens, samples)
    by = ", metrics by character" if told.by_character else ""
    print(f"{told.results.name}: {description}{by}\n\n{table}")
    written = [text for image in images for text in (*references[image], results[image].caption)]
    for note in _notes(tokens, frequencies, [] if told.by_character else written):
        print(f"\nnote: {note}")
    if told.out:
        write_atomically(told.out, lambda file: file.write(_as_json(images, scores)))
        print(f"\nValues of the corpus and of each image are in {told.out}")


def _objects(told: argparse.Namespace, images: list[str], references: dict[str, list[str]]) -> tuple[Metric, ...]:
    """Return the measures of named objects that are not there, where captions name any."""
    named = not told.by_character and named_in(references[image] for image in images)
    if told.objects:
        outlined = read_outlined(told.objects)
        check_complete(outlined, images, told.objects)
        if not named:
            raise UserError("--objects: these references name no objects in English words; leave it out")
        return chair(lambda: outlined)
    return chair() if named else ()


def _notes(tokens: list[list[str]], frequencies: DocumentFrequencies, written: list[str]) -> list[str]:
    """Return what should be known of values that are right and mislead.

    Args:
        tokens: references of each image.
        frequencies: of words.
        written: raw captions that are counted by word.
    """
    notes = []
    if len({frozenset(own) for own in tokens}) == 1 and frequencies.images == len(tokens) > 1:
        notes.append(
            "all images have the same references. CIDEr-D weighs words by how rare they are among images; here no word "
            "is rare, and every caption scores 0"
        )
    if 2 * (unspaced := without_spaces(written)) > len(written):
        notes.append(
            f"{unspaced} of {len(written)} captions and references are in a script without spaces and hold none: each "
            "counts as one word. --by-character counts their characters, as is done for Chinese"
        )
    if min(map(len, tokens)) > SCORED:
        notes.append(f"humans: of each image the first {SCORED} references are scored, each against all the others")
    return notes


def _description(
    images: list[str],
    references: dict[str, list[str]],
    captions: list[str],
    tokens: list[list[str]],
    samples: list[list[str]],
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
        both = any(not caption and "" in own for caption, own in zip(captions, tokens, strict=True))
        but = "; in ROUGE-L 1 where a reference has no word either" * both
        parts.append(f"{empty} without a word (they score 0{but})")
    return ", ".join(parts)


def _as_json(images: list[str], scores: Scores) -> bytes:
    told = {
        "corpus": {name: _or_null(value) for name, value in scores.values.items()},
        "intervals": {name: [_or_null(end) for end in ends] for name, ends in scores.intervals.items()},
        "humans": {name: _or_null(value) for name, value in scores.humans.items()},
        "per_image": {
            image: {name: _or_null(float(value.per_image[row])) for name, value in scores.measured.items()}
            for row, image in enumerate(images)
        },
    }
    return json.dumps(told, indent=1, allow_nan=False).encode()


def _or_null(value: float) -> float | None:
    """Return a value, None for NaN and infinity, which JSON does not know."""
    return value if math.isfinite(value) else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m gan_caption.score", description=__doc__)
    parser.add_argument("references", type=at_home, help="COCO annotations, or JSON lines of image_id and caption(s)")
    parser.add_argument("results", type=at_home, help="COCO results, or JSON lines of image_id, caption and samples")
    parser.add_argument("--only-given", action="store_true", help="score only the images that the results have")
    parser.add_argument("--by-character", action="store_true", help="count characters, as of Chinese, and not words")
    parser.add_argument(
        "--objects", type=at_home, metavar="FILE", help="of each image its objects: COCO's instances, or objects.json"
    )
    parser.add_argument("--nouns", action="store_true", help="nouns that no reference has, by spaCy (extra: nouns)")
    parser.add_argument("--frequencies", type=at_home, metavar="FILE", help="document frequencies of a larger corpus")
    parser.add_argument("--save-frequencies", type=at_home, metavar="FILE", help="keep those of these references")
    parser.add_argument("--meteor", action="store_true", help="METEOR too, by its Java program (extra: java)")
    parser.add_argument("--spice", action="store_true", help="SPICE too, by its Java program (extra: java)")
    parser.add_argument("--out", type=at_home, metavar="FILE", help="write all values, per image too, as JSON")
    return parser


if __name__ == "__main__":
    main()
