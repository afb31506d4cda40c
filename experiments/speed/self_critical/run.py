"""A self-critical step against a textbook one, and the reward's share of it: see README.md."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from experiments.speed.reward.run import Held
from experiments.speed.timing import interleaved
from experiments.speed.workload import SIZE, Flickr, features, learned, lstm
from gan_caption.data.captions import BOS, EOS, Captions, captions_from_tokens
from gan_caption.data.features import ImageFeatures
from gan_caption.generators.lstm import LSTMGenerator
from gan_caption.objectives.baselines import LeaveOneOut, SelfCritical
from gan_caption.objectives.credit import WholeSequence
from gan_caption.objectives.policy_gradient import PolicyGradient
from gan_caption.reporting.table import markdown
from gan_caption.rewards.base import Reward
from gan_caption.rewards.cider import CiderDReward
from gan_caption.rewards.references import References

HERE = Path(__file__).parent
IMAGES, SAMPLES, LENGTH = 10, 5, 20
REPEATS = 9


def main(root: str) -> None:
    flickr = Flickr.of(root)
    generator = learned(lstm(len(flickr.vocabulary)), flickr)
    references = References(flickr.texts, flickr.vocabulary, max_length=LENGTH)
    images = features(IMAGES)
    cider = Timed(CiderDReward(references=references))
    textbook = Textbook(generator, Held([list(own) for own in references.texts]), references)
    rows = [["baseline", "ours, ms", "textbook, ms", "textbook / ours", "at least", "reward's share", "at most"]]
    for name, baseline in (("the image's other samples", LeaveOneOut()), ("the greedy caption", SelfCritical())):
        objective = PolicyGradient(
            reward=cider,
            credit=WholeSequence(),
            baseline=baseline,
            samples_per_image=SAMPLES,
            entropy_weight=0.0,
            kl_weight=0.0,
            advantage_clip=None,
        )
        greedy = isinstance(baseline, SelfCritical)
        cider.seconds = []
        seconds = interleaved(
            {
                "ours": partial(our_step, objective, generator, images),
                "textbook": partial(textbook.update, images, greedy=greedy),
            },
            repeats=REPEATS,
        )
        ours = seconds["ours"]
        calls = len(cider.seconds) // (REPEATS + 1)
        share = float(np.median(cider.seconds[calls:])) * calls / ours
        rows.append([
            name, f"{1000 * ours:.0f}", f"{1000 * seconds['textbook']:.0f}", f"{seconds['textbook'] / ours:.2f}", "3",
            f"{share:.1%}", "3%",
        ])  # fmt: skip
    head = (
        f"{IMAGES} images x {SAMPLES} samples, a policy that has learned Flickr8k's captions, "
        f"{torch.get_num_threads()} threads; medians of {REPEATS} interleaved repeats in one run."
    )
    text = f"{head}\n\n{markdown(rows)}"
    (HERE / "table.md").write_text(f"{text}\n")
    print(text)


class Timed:
    """A reward that remembers how long it took."""

    def __init__(self, reward: Reward) -> None:
        self.reward = reward
        self.seconds: list[float] = []

    def __call__(self, features: ImageFeatures, captions: Captions) -> Tensor:
        start = time.perf_counter()
        rewards = self.reward(features, captions)
        assert isinstance(rewards, Tensor)
        self.seconds.append(time.perf_counter() - start)
        return rewards


def our_step(objective: PolicyGradient, generator: LSTMGenerator, images: ImageFeatures) -> None:
    """Sample, reward, and make the gradients; what the optimizer does is the same for both."""
    generator.zero_grad(set_to_none=True)
    rng = torch.Generator().manual_seed(0)
    for policy in objective.losses(
        generator, images, real=NOBODY, max_length=LENGTH, rng=rng, reference=None, progress=0.0
    ):
        policy.loss.backward()


NOBODY = captions_from_tokens(torch.full((IMAGES, 1), EOS), torch.arange(IMAGES))
"""Real captions, which self-critical training does not read."""


class Textbook:
    """Self-critical training as its public code has it.

    An LSTMCell, all log-probabilities of every step kept with their graph while sampling, images repeated before they
    are read, pycocoevalcap's scorer.
    """

    def __init__(self, generator: LSTMGenerator, scorer: Held, references: References) -> None:
        self.image, self.words = generator.image, generator.words
        self.cell, self.output = nn.LSTMCell(SIZE, SIZE), nn.Linear(SIZE, generator.output.out_features)
        self.cell.load_state_dict({k.removesuffix("_l0"): v for k, v in generator.lstm.state_dict().items()})
        self.output.load_state_dict(generator.output.state_dict())
        self.parameters = [p for part in (self.image, self.words, self.cell, self.output) for p in part.parameters()]
        self.scorer, self.references = scorer, references

    def decode(self, images: ImageFeatures, pick: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        """Return tokens (N, T) and the log-probabilities of all words at every step (N, T, V - EOS)."""
        state = self.cell(self.image(images))
        token = torch.full((len(images),), BOS)
        tokens, log_probs = [], []
        alive = torch.ones(len(images), dtype=torch.bool)
        for _ in range(LENGTH):
            state = self.cell(self.words(token), state)
            log_probs.append(self.output(state[0]).log_softmax(1))
            token = pick(log_probs[-1].detach()) + EOS
            tokens.append(token * alive)
            alive = alive & (token != EOS)
            if not bool(alive.any()):
                break
        return torch.stack(tokens, dim=1), torch.stack(log_probs, dim=1)

    def rewards(self, features: ImageFeatures, captions: Captions) -> Tensor:
        rows = self.references.rows(features, captions)
        return torch.tensor(self.scorer.score(rows, self.references.candidates(captions)), dtype=torch.float32)

    def update(self, images: ImageFeatures, *, greedy: bool) -> None:
        for parameter in self.parameters:
            parameter.grad = None
        rows = torch.arange(IMAGES).repeat_interleave(SAMPLES)
        tokens, log_probs = self.decode(images.select(rows), lambda own: torch.multinomial(own.exp(), 1)[:, 0])
        captions = captions_from_tokens(tokens, rows)
        rewards = self.rewards(images, captions)
        if greedy:
            with torch.no_grad():
                best, _ = self.decode(images, lambda own: own.argmax(1))
            baseline = self.rewards(images, captions_from_tokens(best, torch.arange(IMAGES)))[rows]
        else:
            own = rewards.view(IMAGES, SAMPLES)
            baseline = ((own.sum(1, keepdim=True) - own) / (SAMPLES - 1)).flatten()
        length = captions.tokens.shape[1]
        chosen = log_probs[:, :length].gather(2, (captions.tokens - EOS).clamp(min=0)[..., None])[..., 0]
        (-(chosen * captions.mask).sum(1) * (rewards - baseline)).mean().backward()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("say where Flickr8k lies: python -m experiments.speed.self_critical.run ~/flickr8k")
    main(sys.argv[1])
