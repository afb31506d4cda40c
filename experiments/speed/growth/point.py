"""One SeqGAN generator step at one size, in a process of its own: prints its seconds and the memory that it took."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from statistics import median

import torch

from experiments.speed.workload import CHANNELS, SIZE, ending, features, lstm
from gan_caption.discriminators.lstm import LSTMDiscriminator
from gan_caption.objectives.baselines import BatchMean
from gan_caption.objectives.credit import MonteCarlo
from gan_caption.objectives.policy_gradient import PolicyGradient
from gan_caption.rewards.discriminator import DiscriminatorReward
from gan_caption.rewards.transforms import Probability

REPEATS = 2


def main(batch: int, length: int, rollouts: int, vocabulary: int) -> None:
    torch.manual_seed(0)
    discriminator = LSTMDiscriminator(
        vocabulary_size=vocabulary, pooled_size=CHANNELS, hidden=SIZE, embedding=256, dropout=0.3, instance_noise=0.0
    )
    generator, images = ending(lstm(vocabulary), after=None), features(batch)
    objective = PolicyGradient(
        reward=DiscriminatorReward(discriminator=discriminator, transform=Probability(), chunk_rows=2048),
        credit=MonteCarlo(rollouts=rollouts, update_rate=1.0), baseline=BatchMean(), samples_per_image=1,
        entropy_weight=0.0, kl_weight=0.0, advantage_clip=None,
    )  # fmt: skip
    before = resident("VmRSS")
    seconds = []
    for _ in range(REPEATS + 1):
        start = time.perf_counter()
        generator.zero_grad(set_to_none=True)
        experience = objective.collect(generator, images, max_length=length, rng=torch.Generator().manual_seed(0))
        objective.loss(generator, experience).loss.backward()
        seconds.append(time.perf_counter() - start)
    print(json.dumps({"seconds": median(seconds[1:]), "megabytes": resident("VmHWM") - before}))


def resident(name: str, process: int | str = "self") -> float:
    """Return a number of a process's memory in MB (Linux): VmRSS for what it holds now, VmHWM for the most so far."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return float(line.split()[1]) / 1024
    raise SystemExit(f"this system does not tell {name}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
