"""A SeqGAN generator step against a textbook one and against its own matrix products: see README.md."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from experiments.speed.timing import interleaved
from experiments.speed.workload import CHANNELS, SIZE, Flickr, ending, features, learned, lstm
from gan_caption.data.captions import BOS, EOS, Captions, captions_from_tokens
from gan_caption.data.features import ImageFeatures
from gan_caption.discriminators.base import Discriminator
from gan_caption.discriminators.cnn import CNNDiscriminator
from gan_caption.discriminators.lstm import LSTMDiscriminator
from gan_caption.generators.lstm import LSTMGenerator
from gan_caption.generators.recurrent_state import RecurrentState
from gan_caption.kernels.products import linear
from gan_caption.objectives.baselines import BatchMean
from gan_caption.objectives.credit import MonteCarlo
from gan_caption.objectives.policy_gradient import PolicyGradient
from gan_caption.reporting.table import markdown
from gan_caption.rewards.discriminator import DiscriminatorReward
from gan_caption.rewards.transforms import Probability

HERE = Path(__file__).parent
BATCH, LENGTH, ROLLOUTS = 64, 16, 16
EMBEDDING, FILTERS, WIDTHS, DROPOUT = 256, 128, 5, 0.3
REPEATS = 2


def main(root: str) -> None:
    flickr = Flickr.of(root)
    vocabulary = len(flickr.vocabulary)
    images = features(BATCH)
    policies = {
        "has learned Flickr8k's captions": learned(lstm(vocabulary), flickr),
        "words at random, none ends": ending(lstm(vocabulary), after=None),
    }
    head = ["policy", "D", "ours, s", "textbook, s", "textbook / ours", "at least", "products, s", "of their rate"]
    rows = [head]
    for policy, generator in policies.items():
        textbook = Textbook(generator)
        for name, discriminator, asked in (("lstm", new_lstm(vocabulary), "10"), ("cnn", new_cnn(vocabulary), "7")):
            shapes = products(generator, discriminator, images)
            factors = [(torch.randn(m, k), torch.randn(n, k)) for m, k, n in shapes]
            seconds = interleaved(
                {
                    "ours": partial(our_step, generator, discriminator, images),
                    "textbook": partial(textbook.update, discriminator, images),
                    "products": partial(multiplied, factors),
                },
                repeats=REPEATS,
            )
            ours = seconds["ours"]
            rows.append([
                policy, name, f"{ours:.2f}", f"{seconds['textbook']:.2f}", f"{seconds['textbook'] / ours:.1f}", asked,
                f"{seconds['products']:.2f}", f"{seconds['products'] / ours:.0%}",
            ])  # fmt: skip
            print(rows[-1], file=sys.stderr, flush=True)
    told = (
        f"B={BATCH}, T={LENGTH}, N={ROLLOUTS}, V={vocabulary}, H={SIZE}, {torch.get_num_threads()} threads; medians of "
        f"{REPEATS} interleaved repeats in one run."
    )
    text = f"{told}\n\n{markdown(rows)}"
    (HERE / "table.md").write_text(f"{text}\n")
    print(text)


def new_lstm(vocabulary: int) -> LSTMDiscriminator:
    return LSTMDiscriminator(
        vocabulary_size=vocabulary, pooled_size=CHANNELS, hidden=SIZE, embedding=EMBEDDING, dropout=DROPOUT,
        instance_noise=0.0,
    ).eval()  # fmt: skip


def new_cnn(vocabulary: int) -> CNNDiscriminator:
    return CNNDiscriminator(
        vocabulary_size=vocabulary, pooled_size=CHANNELS, embedding=EMBEDDING, filters=FILTERS,
        widths=list(range(1, WIDTHS + 1)), dropout=DROPOUT, instance_noise=0.0,
    ).eval()  # fmt: skip


def multiplied(factors: Sequence[tuple[Tensor, Tensor]]) -> list[Tensor]:
    return [linear(one, other) for one, other in factors]


def our_step(generator: LSTMGenerator, discriminator: Discriminator, images: ImageFeatures) -> None:
    """Sample, roll out, have it judged, and make the gradients; what the optimizer does is the same for both."""
    objective = PolicyGradient(
        reward=DiscriminatorReward(discriminator=discriminator, transform=Probability(), chunk_rows=2048),
        credit=MonteCarlo(rollouts=ROLLOUTS, update_rate=1.0), baseline=BatchMean(), samples_per_image=1,
        entropy_weight=0.0, kl_weight=0.0, advantage_clip=None,
    )  # fmt: skip
    generator.zero_grad(set_to_none=True)
    experience = objective.collect(generator, images, max_length=LENGTH, rng=torch.Generator().manual_seed(0))
    objective.loss(generator, experience).loss.backward()


def products(
    generator: LSTMGenerator, discriminator: Discriminator, images: ImageFeatures
) -> list[tuple[int, int, int]]:
    """Return (m, k, n) of the products that the rollouts' states ask for: no state twice, one product a step and chunk.

    A generator's state asks for its word's part at the gates and its hidden state's.
    """
    from gan_caption.decoding.rollouts import complete_prefixes
    from gan_caption.decoding.sampling import sample

    rng = torch.Generator().manual_seed(0)
    captions = sample(generator, images, samples=1, max_length=LENGTH, rng=rng).captions
    counting = Counting(generator)
    done = complete_prefixes(counting, images, captions, rollouts=ROLLOUTS, max_length=LENGTH, rng=rng)
    words = generator.vocabulary_size - EOS
    shapes = [shape for rows in counting.rows for shape in ((rows, 2 * SIZE, 4 * SIZE), (rows, SIZE, words))]
    for chunk in done.captions.chunks(2048):  # as the reward takes them
        if isinstance(discriminator, LSTMDiscriminator):
            shapes += [(rows, SIZE, 4 * SIZE) for rows in beginnings(chunk)]
        else:
            shapes += [(len(chunk.tokens.unique()), EMBEDDING, FILTERS * width) for width in range(1, WIDTHS + 1)]
            shapes += [(len(chunk), FILTERS * WIDTHS, FILTERS * WIDTHS)] * 2
    return shapes


class Counting(LSTMGenerator):
    """A policy that notes how many states each step goes on from."""

    def __init__(self, generator: LSTMGenerator) -> None:
        super().__init__(
            vocabulary_size=generator.vocabulary_size, pooled_size=CHANNELS, hidden=SIZE, embedding=SIZE, dropout=0.0,
            image_as="first_input", noise_size=0, noise_law="normal", generate_unknown=False,
        )  # fmt: skip
        self.load_state_dict(generator.state_dict())
        self.eval()
        self.rows: list[int] = []

    def step(self, tokens: Tensor, state: RecurrentState, rows: Tensor | None = None) -> tuple[Tensor, RecurrentState]:
        self.rows.append(len(tokens))
        return super().step(tokens, state, rows)


def beginnings(captions: Captions) -> list[int]:
    """Return how many different beginnings of each length captions have."""
    alive = [captions.tokens[captions.lengths > step, : step + 1] for step in range(captions.tokens.shape[1])]
    return [len(tokens.unique(dim=0)) for tokens in alive]


class Textbook:
    """SeqGAN's rollouts as its public ports have them: each prefix is read again, and each word is a multinomial."""

    def __init__(self, generator: LSTMGenerator) -> None:
        self.image, self.words = generator.image, generator.words
        self.cell, self.output = nn.LSTMCell(SIZE, SIZE), nn.Linear(SIZE, generator.output.out_features)
        self.cell.load_state_dict({k.removesuffix("_l0"): v for k, v in generator.lstm.state_dict().items()})
        self.output.load_state_dict(generator.output.state_dict())
        self.parameters = [*self.image.parameters(), *self.words.parameters(), *self.output.parameters()]
        self.parameters += list(self.cell.parameters())

    @torch.no_grad()
    def complete(self, features: ImageFeatures, prefix: Tensor) -> Tensor:
        """Return (B, T) tokens that begin with prefix (B, t)."""
        state = self.cell(self.image(features))
        state = self.cell(self.words(torch.full((BATCH,), BOS)), state)
        tokens = list(prefix.unbind(1))
        for own in tokens:
            state = self.cell(self.words(own), state)
        while len(tokens) < LENGTH:
            drawn = torch.multinomial(self.logits(state[0]).softmax(1), 1)[:, 0]
            tokens.append(drawn)
            state = self.cell(self.words(drawn), state)
        return torch.stack(tokens, dim=1)

    def logits(self, hidden: Tensor) -> Tensor:
        return nn.functional.pad(self.output(hidden), (EOS, 0), value=float("-inf"))

    def update(self, discriminator: Discriminator, features: ImageFeatures) -> None:
        for parameter in self.parameters:
            parameter.grad = None
        images = torch.arange(BATCH)
        tokens = self.complete(features, torch.empty(BATCH, 0, dtype=torch.long))
        rewards = torch.zeros(BATCH, LENGTH)
        with torch.no_grad():
            for _ in range(ROLLOUTS):
                for step in range(1, LENGTH):
                    completed = captions_from_tokens(self.complete(features, tokens[:, :step]), images)
                    rewards[:, step - 1] += discriminator(features, completed).sigmoid() / ROLLOUTS
            captions = captions_from_tokens(tokens, images)
            rewards[:, -1] = discriminator(features, captions).sigmoid()
        self.loss(features, captions, rewards[:, : captions.tokens.shape[1]]).backward()

    def loss(self, features: ImageFeatures, captions: Captions, rewards: Tensor) -> Tensor:
        state = self.cell(self.image(features))
        losses = []
        for inputs, targets in zip(captions.inputs.unbind(1), captions.tokens.unbind(1), strict=True):
            state = self.cell(self.words(inputs), state)
            losses.append(nn.functional.cross_entropy(self.logits(state[0]), targets.clamp(min=EOS), reduction="none"))
        advantage = (rewards - rewards.mean()) * captions.mask
        return (torch.stack(losses, dim=1) * advantage).sum(1).mean()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("say where Flickr8k lies: python -m experiments.speed.rollouts.run ~/flickr8k")
    main(sys.argv[1])
