"""Where the time of a training step goes: see README.md."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from experiments.composing import part
from experiments.gpu.steps import CLIP, PHOTOGRAPHS, Bench, seqgan
from experiments.speed.policies.products import beside_products
from experiments.speed.rollouts.run import BATCH, new_cnn, new_lstm
from experiments.speed.rollouts.run import our_step as seqgan_step
from experiments.speed.self_critical.run import IMAGES, LENGTH, SAMPLES
from experiments.speed.self_critical.run import our_step as self_critical_step
from experiments.speed.workload import CHANNELS, SIZE, Flickr, attention_lstm, features, learned, lstm, made_up
from gan_caption.discriminators.base import Discriminator
from gan_caption.generators.base import Generator
from gan_caption.objectives.baselines import LeaveOneOut
from gan_caption.objectives.credit import WholeSequence
from gan_caption.objectives.discriminator import BinaryCrossEntropy
from gan_caption.objectives.maximum_likelihood import MaximumLikelihood
from gan_caption.objectives.policy_gradient import PolicyGradient
from gan_caption.reporting.table import markdown
from gan_caption.rewards.cider import CiderDReward
from gan_caption.rewards.references import References
from gan_caption.training.phases.base import descend

HERE = Path(__file__).parent
KINDS = {
    "products": ("linear", "addmm", "aten::mm", "bmm", "rnn_layer", "convolution"),
    "attention": ("scaled_dot_product",),
    "softmax": ("softmax",),
    "moving": (
        "copy_", "_to_dense", "to_mkldnn", "cat", "index", "gather", "scatter", "fill_", "clone", "empty", "select",
        "slice", "narrow", "embedding",
    ),
    "gates, sums, masks": ("aten::",),
}  # fmt: skip
"""The first kind whose word an operation's name holds is its kind; what no operation claims is Python and autograd."""
REPEATS = 3
POLICIES = ("attention_lstm", "updown", "transformer")


def main(root: str) -> None:
    flickr = Flickr.of(root)
    vocabulary = len(flickr.vocabulary)
    policy = learned(lstm(vocabulary), flickr)
    references = References(flickr.texts, flickr.vocabulary, max_length=LENGTH)
    cider = PolicyGradient(
        reward=CiderDReward(references=references), credit=WholeSequence(), baseline=LeaveOneOut(),
        samples_per_image=SAMPLES, entropy_weight=0.0, kl_weight=0.0, advantage_clip=None,
    )  # fmt: skip
    d_lstm, d_cnn = new_lstm(vocabulary), new_cnn(vocabulary)
    few, many = features(IMAGES), features(BATCH)
    steps = {
        "maximum likelihood, `lstm`": likelihood(lstm(vocabulary), flickr),
        "maximum likelihood, `attention_lstm`": likelihood(attention_lstm(vocabulary), flickr),
        "self-critical": lambda: self_critical_step(cider, policy, few),
        "SeqGAN, LSTM discriminator": lambda: seqgan_step(policy, d_lstm, many),
        "SeqGAN, CNN discriminator": lambda: seqgan_step(policy, d_cnn, many),
        **{
            f"SeqGAN, CNN discriminator, `{family}` that has learned nothing": unlearned_seqgan(family)
            for family in POLICIES
        },
        "D's own step, LSTM": judging(new_lstm(vocabulary), vocabulary),
        "D's own step, CNN": judging(new_cnn(vocabulary), vocabulary),
        "D's own step, co-attention": judging(coattention(vocabulary), vocabulary),
    }
    rows = [["step", "products alone", *KINDS, "the rest"]]
    rows += [[name, bound(step), *shares(step)] for name, step in steps.items()]
    text = f"{torch.get_num_threads()} threads; see README.md for what the columns are.\n\n{markdown(rows)}"
    (HERE / "table.md").write_text(f"{text}\n")
    print(text)


def likelihood(generator: Generator, flickr: Flickr) -> Callable[[], None]:
    batch = flickr.batches(images=20, per_image=5).at(0)
    seen = features(20, grid=generator.uses_grid)

    def step() -> None:
        generator.zero_grad(set_to_none=True)
        objective = MaximumLikelihood(label_smoothing=0.0, scheduled_sampling=0.0)
        objective.loss(generator.train(), seen, batch.captions, torch.Generator()).backward()

    return step


def unlearned_seqgan(family: str) -> Callable[[], object]:
    """Return a step of SeqGAN with a policy that has learned nothing."""
    bench = Bench(family, PHOTOGRAPHS, torch.device("cpu"), "float32")
    return partial(bench.reinforced, seqgan(new_cnn(PHOTOGRAPHS.words), PHOTOGRAPHS))


def coattention(vocabulary: int) -> Discriminator:
    judge: Discriminator = part(
        "discriminator/coattention", vocabulary_size=vocabulary, grid_size=CHANNELS, hidden=SIZE, embedding=SIZE
    )
    return judge


def judging(discriminator: Discriminator, vocabulary: int) -> Callable[[], None]:
    """Return a step of D: people's captions, as many samples, those of other images; clip and Adam included."""
    rng = torch.Generator().manual_seed(0)
    images, each = PHOTOGRAPHS.images, PHOTOGRAPHS.captions
    real, generated = (made_up(images, each, vocabulary=vocabulary, rng=rng) for _ in range(2))
    seen = features(images, grid=True)
    optimizer = torch.optim.AdamW(discriminator.parameters(), fused=True)
    loss = BinaryCrossEntropy(generated=0.5, mismatched=0.5, edited=0.0, real=1.0, label_smoothing=0.0, output_l2=0.0)

    def step() -> None:
        judged = loss(discriminator.train(), seen, real=real, generated=generated, rng=rng)
        descend(optimizer, [judged.loss], discriminator, clip=CLIP)

    return step


def bound(step: Callable[[], object]) -> str:
    """Return what share of a step's time the same products take alone."""
    took = beside_products(step, repeats=REPEATS)
    return f"{took['products'] / took['seconds']:.0%}"


def shares(step: Callable[[], object]) -> list[str]:
    """Return the kinds' shares of the processor's time, of a step that has run before."""
    with profile(activities=[ProfilerActivity.CPU]) as watched:
        for _ in range(REPEATS):
            step()
    spent: Counter[str] = Counter()
    for event in watched.key_averages():
        kind = next((kind for kind, words in KINDS.items() if any(word in event.key for word in words)), "the rest")
        spent[kind] += event.self_cpu_time_total
    return [f"{spent[kind] / spent.total():.0%}" for kind in (*KINDS, "the rest")]


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("say where Flickr8k lies: python -m experiments.speed.profile.run ~/flickr8k")
    main(sys.argv[1])
