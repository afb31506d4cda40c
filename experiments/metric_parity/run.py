"""Our metrics against pycocoevalcap and its jars, end to end: see README.md."""

from __future__ import annotations

import json
import random
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from nltk.tokenize.treebank import TreebankWordDetokenizer
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.meteor.meteor import Meteor
from pycocoevalcap.rouge.rouge import Rouge
from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

from experiments.metric_parity.jar import jar_tokens
from gan_caption.data.flickr8k import Flickr8k
from gan_caption.errors import UserError
from gan_caption.evaluation.java import java_metrics, meteor
from gan_caption.metrics import bleu, cider_d, ptb_tokenize, rouge_l
from gan_caption.reporting.table import markdown

HERE = Path(__file__).parent
HARD = HERE.parents[1] / "tests" / "metrics" / "hard_captions.jsonl"
Tokens = Sequence[Sequence[str]]


def main(root: str, *captions: str) -> None:
    if shutil.which("java") is None:
        raise SystemExit("no `java` is on the path: the jars of pycocoevalcap are what is compared with")
    corpus = Flickr8k(root=root, skip_missing=False)
    lines = ["## Tokens", tokens_table(corpus), "## Values", values_table(corpus, captions)]
    try:
        java_metrics(["spice"])
        lines.append("SPICE: its models are here; it drives the same jar as pycocoevalcap.")
    except UserError as error:
        lines.append(f"SPICE is not verified here: {str(error).replace(str(Path(sys.prefix)), '...')}")
    text = "\n\n".join(lines)
    (HERE / "table.md").write_text(f"{text}\n")
    print(text)


def tokens_table(corpus: Flickr8k) -> str:
    """Compare tokens of every caption, as the corpus has it and re-spaced as people write, and of the hard cases."""
    told = [caption for split in ("train", "val") for item in corpus.split(split).items for caption in item.captions]
    write = TreebankWordDetokenizer().detokenize
    hard = [json.loads(line)[0] for line in HARD.read_text(encoding="utf-8").splitlines()]
    texts = {
        "Flickr8k train and dev, as the corpus has them": told,
        "the same, re-spaced as raw text": [write(caption.split()) for caption in told],
        "hard cases": hard,
    }
    rows = [["captions", "number", "identical", "%"]]
    differing = []
    for name, own in texts.items():
        ours, theirs = ptb_tokenize(own), jar_tokens(own)
        same = sum(one == other for one, other in zip(ours, theirs, strict=True))
        rows.append([name, str(len(own)), str(same), f"{100 * same / len(own):.3f}"])
        differing += [three for three in zip(own, ours, theirs, strict=True) if three[1] != three[2]]
    listed = [f"- {raw!r}: ours {ours!r}, the jar's {theirs!r}" for raw, ours, theirs in differing]
    return "\n".join([markdown(rows), "", *(listed or ["None differs."])])


def values_table(corpus: Flickr8k, files: Sequence[str]) -> str:
    """Compare values, from raw text on, for candidates of several kinds."""
    items = corpus.split("val").items
    draw = random.Random(0)
    words = [word for item in items for caption in item.captions for word in caption.split()]
    hard = [json.loads(line)[0] for line in HARD.read_text(encoding="utf-8").splitlines()]
    own = [[*item.captions] for item in items]
    others = [item[1:] for item in own]
    sets: dict[str, tuple[list[str], list[list[str]]]] = {
        "people, against the other four": ([item[0] for item in own], others),
        "captions of other images": ([own[(row + 7) % len(own)][2] for row in range(len(own))], own),
        "random words": ([" ".join(draw.choices(words, k=draw.randint(0, 20))) for _ in own], own),
        "always the same": (["A man in a red shirt."] * len(own), own),
        "hard cases, each against others": (
            [*hard, "", "..."], [[*draw.sample(hard, 4), text] for text in [*hard[1:], *hard[:1], "a", ""]],
        ),
    }  # fmt: skip
    for file in files:
        told = {row["image_id"]: row["caption"] for row in json.loads(Path(file).read_text())}
        sets[Path(file).stem] = ([told[item.image_id] for item in items], own)
    names = ["BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr-D", "METEOR"]
    rows = [["candidates", "images", *names, "largest difference of a corpus", "... of an image"]]
    for name, (candidates, references) in sets.items():
        ours, theirs = our_values(candidates, references), their_values(candidates, references)
        corpora = [abs(ours[metric][0] - theirs[metric][0]) for metric in names]
        images = [float(np.abs(ours[metric][1] - theirs[metric][1]).max()) for metric in names]
        values = [f"{ours[metric][0]:.6f}" for metric in names]
        rows.append([name, str(len(candidates)), *values, f"{max(corpora):.1e}", f"{max(images):.1e}"])
    return markdown(rows)


def our_values(candidates: Sequence[str], references: Tokens) -> Mapping[str, tuple[float, np.ndarray]]:
    told, given = ptb_tokenize(list(candidates)), [ptb_tokenize(list(own)) for own in references]
    b, rouge, cider, met = bleu(told, given), rouge_l(told, given), cider_d(told, given), meteor(told, given)
    return {
        **{f"BLEU-{n}": (b.corpus[n - 1], b.per_image[:, n - 1]) for n in (1, 2, 3, 4)},
        "ROUGE-L": (rouge.corpus, rouge.per_image),
        "CIDEr-D": (cider.corpus, cider.per_image),
        "METEOR": (met.corpus, met.per_image),
    }


def their_values(candidates: Sequence[str], references: Tokens) -> Mapping[str, tuple[float, np.ndarray]]:
    tokenizer = PTBTokenizer()
    told = tokenizer.tokenize({row: [{"caption": caption}] for row, caption in enumerate(candidates)})
    given = tokenizer.tokenize({row: [{"caption": text} for text in own] for row, own in enumerate(references)})
    values: dict[str, tuple[float, np.ndarray]] = {}
    corpus, images = Bleu(4).compute_score(given, told, verbose=0)
    for n in (1, 2, 3, 4):
        values[f"BLEU-{n}"] = corpus[n - 1], np.array(images[n - 1])
    for name, scorer in (("ROUGE-L", Rouge()), ("CIDEr-D", Cider()), ("METEOR", Meteor())):
        value, of_images = scorer.compute_score(given, told)
        values[name] = float(value), np.array(of_images)
    return values


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("python -m experiments.metric_parity.run <Flickr8k folder> [captions_*.json of its dev images ...]")
    main(*sys.argv[1:])
