"""What training and decoding cost with each policy, and what they are measured against: see README.md."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from experiments.gpu.steps import BEAMS, FAMILIES, LM, PENALTY, PHOTOGRAPHS, SMALL, Sizes, policy, steps, tokenizer_of
from experiments.speed.beam.run import decode as searched
from experiments.speed.policies.products import beside_products
from experiments.speed.policies.textbook import Textbook
from experiments.speed.timing import interleaved
from experiments.speed.workload import features
from gan_caption.data.captions import BOS, EOS
from gan_caption.data.features import ImageFeatures
from gan_caption.generators.pretrained_lm import PretrainedLMGenerator
from gan_caption.generators.transformer import TransformerGenerator
from gan_caption.reporting.table import markdown

HERE = Path(__file__).parent
MODULE = "experiments.speed.policies.run"
SHOWN = ("maximum likelihood", "self-critical", "SeqGAN, D CNN", f"beam {BEAMS}")
ALL = (*FAMILIES, LM)
MANY, FEW = 50, 10
"""Images that the peers decode; a language model fewer."""


def main(*asked: str) -> None:
    """Measure all policies, or those that are named, each in a process of its own; `quick`: tiny sizes, no table."""
    quick = "quick" in asked
    families = [one for one in asked if one != "quick"] or list(FAMILIES if quick else ALL)
    unknown = set(families) - set(ALL)
    if unknown:
        raise SystemExit(f"{' '.join(sorted(unknown))}: allowed are {', '.join(ALL)}, and quick")
    rows = [["policy", *(f"{step}, ms" for step in SHOWN), "captions/s", "memory, GB"]]
    shares = [["products' share of the time", *SHOWN]]
    peers = [["beam 5, images/s", "ours, all at once", "ours, one at a time", "the other", "times", "same captions"]]
    for family in families:
        command = [sys.executable, "-m", MODULE, "alone", family, *(["quick"] if quick else [])]
        told = json.loads(
            subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1]
        )
        print(family, told, file=sys.stderr, flush=True)
        times = [told["steps"][step] for step in SHOWN]
        rows.append([
            family, *(f"{1000 * one['seconds']:.0f}" for one in times), f"{told['decoded'] / times[-1]['seconds']:.0f}",
            f"{told['gigabytes']:.1f}",
        ])  # fmt: skip
        shares.append([family, *(f"{one['products'] / one['seconds']:.0%}" for one in times)])
        if told["peer"]:
            own = told["peer"]
            best = max(own["together"], own["alone"])
            peers.append([
                f"{family} against {own['name']}", f"{own['together']:.1f}", f"{own['alone']:.1f}",
                f"{own['rate']:.1f}", f"{best / own['rate']:.1f}", f"{own['same']:.0%}",
            ])  # fmt: skip
    head = f"{torch.get_num_threads()} threads, float32; medians of interleaved repeats, a process a policy."
    text = "\n\n".join([head, *map(markdown, (rows, shares, *([peers] if len(peers) > 1 else [])))])
    if not quick:
        (HERE / "table.md").write_text(f"{text}\n")
    print(text)


def alone(family: str, *, quick: bool) -> dict[str, Any]:
    """Measure one policy."""
    sizes = SMALL if quick else PHOTOGRAPHS
    if family == LM and not quick:
        sizes = replace(sizes, decoded=20)  # its beams read a hundred times as many weights
    repeats = 1 if quick or family == LM else 3
    told: dict[str, Any] = {"decoded": sizes.decoded, "steps": {}}
    for name, step in steps(family, sizes, torch.device("cpu")).items():
        if name in SHOWN:
            told["steps"][name] = beside_products(step, repeats=repeats)
    told["gigabytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    told["peer"] = peer(family, sizes, images=2 if quick else FEW if family == LM else MANY, repeats=repeats)
    return told


def peer(family: str, sizes: Sizes, *, images: int, repeats: int) -> dict[str, Any] | None:
    """Time beam search by the library or the textbook that has such a policy; None where there is none."""
    generator = policy(family, replace(sizes, words=len(tokenizer_of(family, sizes)))).eval()
    shown = features(images, grid=True)
    if isinstance(generator, TransformerGenerator):
        name = "PyTorch's layers, without a cache"
        decode = partial(Textbook(generator).decode, shown, beams=BEAMS, length=sizes.length, penalty=PENALTY)
    elif isinstance(generator, PretrainedLMGenerator):
        name, decode = "transformers' generate", partial(generated, generator, shown, length=sizes.length)
    else:
        return None
    together, alone = (partial(searched, generator, shown, at_once, length=sizes.length) for at_once in (images, 1))
    written, theirs = together(), decode()
    seconds = interleaved({"together": together, "alone": alone, "other": decode}, repeats=repeats)
    return {
        "name": name, "together": images / seconds["together"], "alone": images / seconds["alone"],
        "rate": images / seconds["other"],
        "same": sum(one == other for one, other in zip(written, theirs, strict=True)) / images,
    }  # fmt: skip


@torch.no_grad()
def generated(generator: PretrainedLMGenerator, shown: ImageFeatures, *, length: int) -> list[list[int]]:
    """Return what `transformers` writes after the same prefix, by beams of its own, all images at once."""
    begin = generator.lm.words(torch.full((len(shown), 1), BOS))
    given = torch.cat([generator.mapper(shown), begin], dim=1)
    tokens = generator.lm.model.generate(
        inputs_embeds=given, attention_mask=torch.ones(given.shape[:2], dtype=torch.long), num_beams=BEAMS,
        do_sample=False, max_new_tokens=length, length_penalty=PENALTY, eos_token_id=EOS, pad_token_id=0,
        suppress_tokens=list(range(EOS)),
    )  # fmt: skip
    ended = ([*row, EOS] for row in tokens.tolist())
    return [[token for token in row[: row.index(EOS)] if token > EOS] for row in ended]


if __name__ == "__main__":
    if sys.argv[1:2] == ["alone"]:
        print(json.dumps(alone(sys.argv[2], quick="quick" in sys.argv)))
    else:
        main(*sys.argv[1:])
