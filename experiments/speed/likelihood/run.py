"""A step of maximum likelihood against its own matrix products and a textbook loop: see README.md."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from experiments.speed.timing import interleaved
from experiments.speed.workload import CHANNELS, REGIONS, SIZE, attention_lstm, lstm, made_up
from gan_caption.data.captions import EOS, Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.generators.attention_lstm import AttentionLSTMGenerator
from gan_caption.generators.lstm import LSTMGenerator
from gan_caption.kernels.products import linear
from gan_caption.objectives.maximum_likelihood import MaximumLikelihood
from gan_caption.reporting.table import markdown

HERE = Path(__file__).parent
IMAGES, PER_IMAGE, VOCABULARY = 20, 5, 2544
REPEATS = 9


def main() -> None:
    torch.manual_seed(0)
    rng = torch.Generator().manual_seed(0)
    captions = made_up(IMAGES, PER_IMAGE, vocabulary=VOCABULARY, rng=rng)
    features = ImageFeatures(
        torch.randn(IMAGES, CHANNELS, generator=rng), torch.randn(IMAGES, REGIONS, CHANNELS, generator=rng)
    )
    plain, attention = lstm(VOCABULARY), attention_lstm(VOCABULARY)
    tokens = int(captions.lengths.sum())
    lines = [f"{IMAGES} images x {PER_IMAGE} captions, {tokens} tokens, {torch.get_num_threads()} threads."]
    for name, ours, textbook, shapes in (
        ("lstm", plain, TextbookLSTM(), plain_products(captions)),
        ("attention_lstm", attention, TextbookAttention(), None),
    ):
        calls = {
            "ours": lambda ours=ours: our_step(ours, features, captions),
            "textbook": lambda textbook=textbook: textbook_step(textbook, features, captions),
        }
        if shapes is not None:
            weights = {(n, k): torch.randn(n, k) for _, k, n in shapes}  # a weight is the same at every step
            factors = [(torch.randn(m, k), weights[n, k]) for m, k, n in shapes]
            calls["products"] = lambda factors=factors: bare_products(factors, linear)
            calls["products, PyTorch's default"] = lambda factors=factors: bare_products(factors, functional.linear)
        seconds = interleaved(calls, repeats=REPEATS)
        rows = [["", "ms a step", "tokens/s", "ours is"]]
        for call, own in seconds.items():
            compared = "" if call == "ours" else f"{own / seconds['ours']:.2f} x"
            if call.startswith("products"):
                compared = f"at {own / seconds['ours']:.0%} of their rate"
            rows.append([call, f"{own * 1000:.0f}", f"{tokens / own:.0f}", compared])
        lines.append(f"`{name}`\n\n{markdown(rows)}")
    text = "\n\n".join(lines)
    (HERE / "table.md").write_text(f"{text}\n")
    print(text)


def our_step(generator: LSTMGenerator | AttentionLSTMGenerator, features: ImageFeatures, captions: Captions) -> None:
    """Make the loss and its gradients; what the optimizer does is the same for all."""
    generator.zero_grad(set_to_none=True)
    objective = MaximumLikelihood(label_smoothing=0.0, scheduled_sampling=0.0)
    objective.loss(generator, features, captions, torch.Generator()).backward()


def plain_products(captions: Captions) -> list[tuple[int, int, int]]:
    """Return (m, k, n) of each product, forward and backward to both factors.

    Layers: the image, its step, the words' gates, the output. In the LSTM each step has as many rows as captions that
    go on: captions that have ended cost nothing. Its weights' gradient is one product for all steps.
    """
    tokens = int(captions.lengths.sum())
    going = [int((captions.lengths > step).sum()) for step in range(int(captions.lengths.max()))]
    layers = [
        (IMAGES, CHANNELS, SIZE), (IMAGES, SIZE, 4 * SIZE), (tokens, SIZE, 4 * SIZE), (tokens, SIZE, VOCABULARY - EOS)
    ]  # fmt: skip
    products = [own for m, k, n in layers for own in ((m, k, n), (m, n, k), (n, m, k))]
    products += [own for rows in going for own in ((rows, SIZE, 4 * SIZE), (rows, 4 * SIZE, SIZE))]
    return [*products, (4 * SIZE, tokens, SIZE)]


def bare_products(factors: list[tuple[Tensor, Tensor]], multiply: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Multiply, and nothing else; `multiply` transposes its second factor."""
    for one, other in factors:
        multiply(one, other)


def textbook_step(model: nn.Module, features: ImageFeatures, captions: Captions) -> None:
    model.zero_grad(set_to_none=True)
    logits = model(features, captions)
    targets = captions.tokens.masked_fill(~captions.mask, -100)
    nn.functional.cross_entropy(logits.reshape(-1, VOCABULARY), targets.reshape(-1), ignore_index=-100).backward()


class TextbookLSTM(nn.Module):
    """An LSTMCell, and the output layer after every word, as tutorials have it."""

    def __init__(self) -> None:
        super().__init__()
        self.image, self.words = nn.Linear(CHANNELS, SIZE), nn.Embedding(VOCABULARY, SIZE)
        self.cell, self.output = nn.LSTMCell(SIZE, SIZE), nn.Linear(SIZE, VOCABULARY)

    def forward(self, features: ImageFeatures, captions: Captions) -> Tensor:
        image = self.image(features.pooled[captions.images])  # once a caption
        state = self.cell(image)
        logits = []
        for step in range(captions.tokens.shape[1]):
            state = self.cell(nn.functional.dropout(self.words(captions.inputs[:, step])), state)
            logits.append(self.output(nn.functional.dropout(state[0])))
        return torch.stack(logits, dim=1)


class TextbookAttention(nn.Module):
    """Additive attention over a grid projected once a caption (Xu et al. 2015), an LSTMCell, a projection a word."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.grid = nn.Embedding(VOCABULARY, SIZE), nn.Linear(CHANNELS, SIZE)
        self.query, self.energy = nn.Linear(SIZE, SIZE), nn.Linear(SIZE, 1)
        self.cell, self.output = nn.LSTMCell(2 * SIZE, SIZE), nn.Linear(SIZE, VOCABULARY)
        self.begin = nn.Linear(CHANNELS, 2 * SIZE)

    def forward(self, features: ImageFeatures, captions: Captions) -> Tensor:
        assert features.grid is not None
        grid = self.grid(features.grid[captions.images])  # (N, R, H)
        state = self.begin(features.pooled[captions.images]).chunk(2, dim=1)
        logits = []
        for step in range(captions.tokens.shape[1]):
            energy = self.energy(torch.tanh(grid + self.query(state[0])[:, None]))  # (N, R, 1)
            context = (energy.softmax(1) * grid).sum(1)
            words = nn.functional.dropout(self.words(captions.inputs[:, step]))
            state = self.cell(torch.cat([words, context], dim=1), state)
            logits.append(self.output(nn.functional.dropout(state[0])))
        return torch.stack(logits, dim=1)


if __name__ == "__main__":
    main()
