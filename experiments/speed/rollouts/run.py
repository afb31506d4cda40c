"""A SeqGAN generator step against a textbook one and against its own matrix products: see README.md."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from experiments.speed.timing import interleaved
from gan_caption.data.captions import BOS, EOS, Captions, captions_from_tokens
from gan_caption.data.features import ImageFeatures
from gan_caption.discriminators.base import Discriminator
from gan_caption.discriminators.cnn import CNNDiscriminator
from gan_caption.discriminators.lstm import LSTMDiscriminator
from gan_caption.generators.lstm import LSTMGenerator
from gan_caption.objectives.baselines import BatchMean
from gan_caption.objectives.credit import MonteCarlo
from gan_caption.objectives.policy_gradient import PolicyGradient
from gan_caption.reporting.table import markdown
from gan_caption.rewards.discriminator import DiscriminatorReward

HERE = Path(__file__).parent
BATCH, LENGTH, ROLLOUTS, VOCABULARY, SIZE, CHANNELS = 64, 16, 16, 2540, 512, 1280
EMBEDDING, FILTERS, WIDTHS = 256, 128, 5
ENDING = 0.06
"""The probability of <eos> after each word: captions of 10.5 tokens in the mean, Flickr8k's cut at 16 have 11."""
REPEATS = 3


def main() -> None:
    features = ImageFeatures(torch.randn(BATCH, CHANNELS, generator=torch.Generator().manual_seed(0)), None)
    rows = [["policy", "D", "ours, s", "textbook, s", "textbook / ours", "at least", "products, s", "of their rate"]]
    for policy, ending in (("captions end", ENDING), ("none ends", None)):
        generator = new_generator(ending)
        textbook = Textbook(generator)
        for name, discriminator, asked in (("lstm", new_lstm(), "10"), ("cnn", new_cnn(), "7")):
            shapes = products(generator, discriminator, features)
            factors = [(torch.randn(m, k), torch.randn(k, n)) for m, k, n in shapes]
            seconds = interleaved(
                {
                    "ours": lambda g=generator, d=discriminator: our_step(g, d, features),
                    "textbook": lambda t=textbook, d=discriminator: t.update(d, features),
                    "products": lambda f=factors: [one @ other for one, other in f],
                },
                repeats=REPEATS,
            )
            ours = seconds["ours"]
            rows.append([
                policy, name, f"{ours:.2f}", f"{seconds['textbook']:.2f}", f"{seconds['textbook'] / ours:.1f}", asked,
                f"{seconds['products']:.2f}", f"{seconds['products'] / ours:.0%}",
            ])  # fmt: skip
            print(rows[-1], flush=True)
    head = (
        f"B={BATCH}, T={LENGTH}, N={ROLLOUTS}, V={VOCABULARY}, H={SIZE}, {torch.get_num_threads()} threads; medians of "
        f"{REPEATS} interleaved repeats in one run."
    )
    text = f"{head}\n\n{markdown(rows)}"
    (HERE / "table.md").write_text(f"{text}\n")
    print(text)


def new_generator(ending: float | None) -> LSTMGenerator:
    """Return a policy that has learned nothing but how long captions are (None: longer than T)."""
    torch.manual_seed(0)
    generator = LSTMGenerator(vocabulary_size=VOCABULARY, pooled_size=CHANNELS, hidden=SIZE, embedding=SIZE)
    words = VOCABULARY - generator.first_word - 1
    with torch.no_grad():
        generator.output.weight.zero_()
        generator.output.bias.zero_()
        generator.output.bias[EOS - generator.first_word] = (
            -30 if ending is None else math.log(ending / (1 - ending) * words)
        )
    return generator.eval()


def new_lstm() -> LSTMDiscriminator:
    return LSTMDiscriminator(vocabulary_size=VOCABULARY, pooled_size=CHANNELS, hidden=SIZE, embedding=EMBEDDING).eval()


def new_cnn() -> CNNDiscriminator:
    return CNNDiscriminator(
        vocabulary_size=VOCABULARY, pooled_size=CHANNELS, embedding=EMBEDDING, filters=FILTERS
    ).eval()


def our_step(generator: LSTMGenerator, discriminator: Discriminator, features: ImageFeatures) -> None:
    """Sample, roll out, have it judged, and make the gradients; what the optimizer does is the same for both."""
    objective = PolicyGradient(
        reward=DiscriminatorReward(discriminator=discriminator), credit=MonteCarlo(rollouts=ROLLOUTS),
        baseline=BatchMean(), samples_per_image=1,
    )  # fmt: skip
    generator.zero_grad(set_to_none=True)
    experience = objective.collect(generator, features, max_length=LENGTH, rng=torch.Generator().manual_seed(0))
    objective.loss(generator, experience).loss.backward()


def products(
    generator: LSTMGenerator, discriminator: Discriminator, features: ImageFeatures
) -> list[tuple[int, int, int]]:
    """Return (m, k, n) of the products that the rollouts need when nothing is computed twice, a product a step.

    Only words that are really written are multiplied, after states that were kept; the LSTM discriminator goes on from
    its own kept states, and the CNN reads the windows that hold a new word.
    """
    from gan_caption.decoding.rollouts import complete_prefixes
    from gan_caption.decoding.sampling import sample

    rng = torch.Generator().manual_seed(0)
    captions = sample(generator, features, samples=1, max_length=LENGTH, rng=rng)
    completions = complete_prefixes(generator, features, captions, rollouts=ROLLOUTS, max_length=LENGTH, rng=rng)
    new = completions.captions.lengths - 1 - completions.steps  # tokens that each completion adds
    shapes = []
    for step in range(int(new.max())):
        written = int((new > step).sum())
        read = int((new > step + 1).sum())  # the last token needs no state after it
        shapes += [(written, SIZE, VOCABULARY - EOS), (read, 2 * SIZE, 4 * SIZE)]
        if isinstance(discriminator, LSTMDiscriminator):
            shapes.append((written, EMBEDDING + SIZE, 4 * SIZE))
    if isinstance(discriminator, CNNDiscriminator):
        for width in range(1, WIDTHS + 1):
            windows = torch.minimum(new + width - 1, completions.captions.lengths)
            shapes.append((int(windows.sum()), EMBEDDING * width, FILTERS))
        shapes += [(len(new), FILTERS * WIDTHS, FILTERS * WIDTHS)] * 2
    return [shape for shape in shapes if shape[0]]


class Textbook:
    """SeqGAN's rollouts as its public ports have them: each prefix is read again, and each word is a multinomial."""

    def __init__(self, generator: LSTMGenerator) -> None:
        self.image, self.words, self.output = generator.image, generator.words, generator.output
        self.cell = nn.LSTMCell(SIZE, SIZE)
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
        pay = torch.zeros(BATCH, LENGTH)
        with torch.no_grad():
            for _ in range(ROLLOUTS):
                for step in range(1, LENGTH):
                    completed = captions_from_tokens(self.complete(features, tokens[:, :step]), images)
                    pay[:, step - 1] += discriminator(features, completed).sigmoid() / ROLLOUTS
            captions = captions_from_tokens(tokens, images)
            pay[:, -1] = discriminator(features, captions).sigmoid()
        self.loss(features, captions, pay[:, : captions.tokens.shape[1]]).backward()

    def loss(self, features: ImageFeatures, captions: Captions, pay: Tensor) -> Tensor:
        state = self.cell(self.image(features))
        losses = []
        for inputs, targets in zip(captions.inputs.unbind(1), captions.tokens.unbind(1), strict=True):
            state = self.cell(self.words(inputs), state)
            losses.append(nn.functional.cross_entropy(self.logits(state[0]), targets.clamp(min=EOS), reduction="none"))
        advantage = (pay - pay.mean()) * captions.mask
        return (torch.stack(losses, dim=1) * advantage).sum(1).mean()


if __name__ == "__main__":
    sys.exit(main())
