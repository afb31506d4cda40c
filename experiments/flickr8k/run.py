"""Maximum likelihood with both generators, and four methods from the better one, on Flickr8k: see README.md."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from experiments.study import captions, cost, evaluate, systems, train, train_all, trained
from gan_caption.data.flickr8k import Flickr8k
from gan_caption.metrics.standard import STANDARD
from gan_caption.reporting.gallery import gallery
from gan_caption.reporting.table import comparison

HERE = Path(__file__).parent
OUTPUTS = HERE / "outputs"
SELF_CRITICAL = (
    "adversarial.steps=750", "adversarial.images_per_batch=10", "adversarial.learning_rate=1e-4",
    "adversarial.validate_every=250",
)  # fmt: skip
SAMPLES = "objective.samples_per_image=5"
"""One and a quarter epochs of 10 images x 5 samples."""
METHODS = {
    "nsc": (*SELF_CRITICAL, f"phases.policy_gradient.{SAMPLES}"),
    "scst": (*SELF_CRITICAL, f"phases.policy_gradient.{SAMPLES}"),
    "chen": (*SELF_CRITICAL, f"phases.adversarial.{SAMPLES}"),
    "seqgan": (),
}


def train_methods(root: str, *overrides: str) -> dict[str, Path]:
    """Train the baseline and the methods, or find what was trained before; return the run folders."""
    data = dataset(root, *overrides)
    attention = train("+experiment=mle", "generator=attention_lstm", *data, outputs=OUTPUTS)
    wanted = [
        (f"+experiment={page}", "generator=attention_lstm", f"pretrained={attention}", *data, *settings)
        for page, settings in METHODS.items()
    ]
    return {"mle": attention, **dict(zip(METHODS, train_all(wanted, outputs=OUTPUTS, workers=2), strict=True))}


def dataset(root: str, *overrides: str) -> tuple[str, ...]:
    return ("data=flickr8k", f"data.root={root}", "encoder=efficientnet_lite0", "decoding=beam", *overrides)


def main(root: str, *overrides: str) -> None:
    runs = train_methods(root, *overrides)
    attention = runs.pop("mle")
    plain = train("+experiment=mle", "generator=lstm", *dataset(root, *overrides), outputs=OUTPUTS)

    start = systems(attention)["mle"]
    beam = {
        "mle, lstm": systems(plain)["mle"],
        "mle": start,
        **{page: systems(run)[trained(run)] for page, run in runs.items()},
    }
    cache = [one for one in overrides if one.startswith("cache=")]
    greedy = {"mle": evaluate(attention, "split=val", "weights=mle", *cache)["mle"]}
    for page, run in runs.items():
        greedy[page] = evaluate(run, "split=val", f"weights={trained(run)}", *cache)[trained(run)]
    lines = [
        f"Flickr8k official dev; seed 0.\n{cost(OUTPUTS)}",
        f"Beam 5; samples at temperature 1:\n\n{comparison(beam, STANDARD)}",
        f"Greedy:\n\n{comparison(greedy, STANDARD)}\n\n{gains(greedy)}",
    ]
    (HERE / "table.md").write_text("\n\n".join(lines) + "\n")
    print("\n\n".join(lines))

    split = Flickr8k(root=root, skip_missing=False).split("val")
    told = {name: captions(run, name) for name, run in (("mle", attention),)}
    told |= {page: captions(run, trained(run)) for page, run in runs.items()}
    shown = [{name: own[split.items[row].image_id] for name, own in told.items()} for row in range(8)]
    gallery(OUTPUTS / "figure.png", [split.image(row) for row in range(8)], shown)


def gains(greedy: Mapping[str, Mapping[str, float]]) -> str:
    """Say how much each method gained on its start."""
    start = greedy["mle"]["cider_d"]
    changes = [f"{name} {own['cider_d'] / start - 1:+.1%}" for name, own in greedy.items() if name != "mle"]
    return f"Greedy CIDEr-D, relative to mle: {', '.join(changes)}."


if __name__ == "__main__":
    main(*sys.argv[1:])
