"""Sequences drawn from a known LSTM: SeqGAN's synthetic task (Yu et al. 2017, arXiv 1609.05473).

There is nothing to see: every item is a blank picture with one sequence, and `encoder=none` tells the networks nothing.
What a model writes can be judged exactly, by its probability under the LSTM that wrote the data.

Shapes: N sequences, T steps, W words, H hidden.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn

from gan_caption.data.corpus import CaptionedImage, Split, known_truth
from gan_caption.errors import UserError, at_least
from gan_caption.files import at_home
from gan_caption.metrics.metric import Metric
from gan_caption.untrusted.arrays import DAMAGED, header, numbers

METRICS = (
    Metric(name="oracle_nll_per_token", label="NLL_oracle, nats a token", better="lower"),
    Metric(name="oracle_outside", label="outside its support, %", factor=100, decimals=1, better="lower"),
)
"""What the LSTM says of captions; `OracleSplit.oracle` computes it."""
_GATES = ("i", "f", "c", "og")
"""The authors' names of the gates, in torch's order."""
_CHUNK = 2000
"""Sequences that are drawn or scored at once."""


class OracleLSTM(nn.Module):
    """An LSTM whose every weight, biases and embeddings included, is drawn from N(0, 1), or was published."""

    def __init__(self, *, words: int, hidden: int, seed: int) -> None:
        """Draw the weights."""
        super().__init__()
        self.first = words  # the id of the start token
        self.words = nn.Embedding(words + 1, hidden)
        self.lstm = nn.LSTM(hidden, hidden, batch_first=True)
        self.output = nn.Linear(hidden, words)
        rng = torch.Generator().manual_seed(seed)
        for parameter in self.parameters():
            parameter.data.normal_(generator=rng)
        # One bias a gate, as in the paper's LSTM; torch adds two, whose sum would have another variance.
        self.lstm.all_weights[0][3].data.zero_()

    @torch.no_grad()
    def take(self, path: Path) -> None:
        """Take over published weights, in place of the drawn ones.

        Args:
            path: an .npz that names them as the authors' code does (github.com/LantaoYu/SeqGAN): `embeddings` (W, H);
                `W`, `U` (H, H) and `b` (H,) with the endings i, f, c and og, of the gates x W + h U + b; `Wo` (H, W)
                and `bo` (W,). The authors start a sequence with their word 0: its vector is the start token's as well.

        Raises:
            UserError: the file cannot be read, lacks one of them, or one has another shape.
        """
        words, hidden = self.words.weight[:-1].shape
        square, vector = (hidden, hidden), (hidden,)
        shapes: dict[str, tuple[int, ...]] = {"embeddings": (words, hidden), "Wo": (hidden, words), "bo": (words,)}
        for gate in _GATES:
            shapes |= {f"W{gate}": square, f"U{gate}": square, f"b{gate}": vector}
        found = _arrays(path, shapes)
        self.words.weight.copy_(torch.cat([found["embeddings"], found["embeddings"][:1]]))
        inputs, states, biases, _ = self.lstm.all_weights[0]
        inputs.copy_(torch.cat([found[f"W{gate}"].T for gate in _GATES]))
        states.copy_(torch.cat([found[f"U{gate}"].T for gate in _GATES]))
        biases.copy_(torch.cat([found[f"b{gate}"] for gate in _GATES]))
        self.output.weight.copy_(found["Wo"].T)
        self.output.bias.copy_(found["bo"])

    @torch.no_grad()
    def draw(self, count: int, length: int, rng: torch.Generator) -> Tensor:
        """Draw sequences (N, T) of ids."""
        token, state = torch.full((count, 1), self.first), None
        tokens = []
        for _ in range(length):
            output, state = self.lstm(self.words(token), state)
            cumulative = self.output(output[:, 0]).double().softmax(1).cumsum(1)
            threshold = torch.rand(count, 1, dtype=torch.float64, generator=rng) * cumulative[:, -1:]
            token = torch.searchsorted(cumulative, threshold, right=True).clamp(max=self.output.out_features - 1)
            tokens.append(token)
        return torch.cat(tokens, dim=1)

    @torch.no_grad()
    def log_probs(self, tokens: Tensor) -> Tensor:
        """Return log p (N, T) of each token, given those before it."""
        first = tokens.new_full((len(tokens), 1), self.first)
        outputs, _ = self.lstm(self.words(torch.cat([first, tokens[:, :-1]], dim=1)))
        log_probs: Tensor = self.output(outputs).log_softmax(-1).gather(2, tokens[..., None])[..., 0]
        return log_probs


def _arrays(path: Path, shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Read arrays of these shapes from an .npz."""
    found = {}
    try:
        with zipfile.ZipFile(path) as archive:
            if missing := [name for name in shapes if f"{name}.npy" not in archive.namelist()]:
                raise UserError(f"data.parameters={path} lacks {', '.join(missing)}: give an oracle's .npz")
            for name, shape in shapes.items():
                with archive.open(f"{name}.npy") as file:
                    about = header(file)
                    if about.shape != shape:
                        raise UserError(
                            f"data.parameters={path}: {name} has shape {about.shape}, wanted is {shape}; "
                            "set data.words and data.hidden to the oracle's"
                        )
                    found[name] = torch.from_numpy(numbers(file, about))
    except DAMAGED as error:
        raise UserError(f"data.parameters={path} cannot be read as an .npz ({str(error)[:300]})") from error
    return found


@dataclass(frozen=True)
class OracleSplit(Split):
    """Sequences of the oracle, and the oracle."""

    lstm: OracleLSTM | None = None
    length: int = 20

    def image(self, index: int) -> Image.Image:
        """Return a blank picture."""
        del index
        return Image.new("RGB", (8, 8))

    def select(self, rows: Sequence[int]) -> OracleSplit:
        """Return the split that holds only these rows, in this order."""
        return replace(self, items=tuple(self.items[row] for row in rows))

    def oracle(self, captions: Sequence[Sequence[str]]) -> dict[str, float]:
        """Score sequences by the LSTM that wrote the data.

        Args:
            captions: for every item, in order, its generated sequences.

        Returns:
            `nll_per_token`: NLL_oracle as published, the mean of -log p a token in nats, over the sequences that the
            oracle can write (NaN if there is none); `outside`: the share of the others, which have another length or
            hold what is none of its words, such as `<unk>`.
        """
        assert self.lstm is not None, "made by Oracle"
        split = [caption.split() for own in captions for caption in own]
        ids = {f"w{token}": token for token in range(self.lstm.output.out_features)}
        written = [words for words in split if len(words) == self.length and ids.keys() >= set(words)]
        inside = torch.tensor([[ids[word] for word in words] for words in written])
        log_probs = [self.lstm.log_probs(chunk) for chunk in inside.split(_CHUNK)] if len(inside) else []
        return {
            "nll_per_token": -torch.cat(log_probs).mean().item() if log_probs else math.nan,
            "outside": 1 - len(inside) / len(split),
        }

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What the LSTM says, of captions and of samples."""
        return tuple(
            one
            for metric in METRICS
            for one in known_truth(metric, self.oracle, itemgetter(metric.name.removeprefix("oracle_")))
        )


class Oracle:
    """Sequences of a fixed length from an LSTM with random or published weights; words are called w0, w1, ..."""

    LOCATIONS = ("parameters",)

    def __init__(
        self,
        *,
        parameters: str | Path | None,
        seed: int,
        words: int,
        length: int,
        hidden: int,
        train: int,
        val: int,
        test: int,
    ) -> None:
        """Set the sizes; those of `conf/data/oracle.yaml` are the paper's.

        Args:
            parameters: an .npz with published weights, see `OracleLSTM.take`; None draws them.
            seed: of the LSTM and of what it writes; not the seed of training.
            words: W, at least 2.
            length: T, at least 2; sequences have no end marker.
            hidden: H, at least 1, also the size of the embeddings.
            train: sequences in this split, at least 1.
            val: sequences in this split, at least 1.
            test: sequences in this split, at least 1.
        """
        at_least(2, words=words, length=length)
        at_least(1, hidden=hidden, train=train, val=val, test=test)
        self.seed = seed
        self.length = length
        self.sizes = {"train": train, "val": val, "test": test}
        self.lstm = OracleLSTM(words=words, hidden=hidden, seed=seed)
        if parameters is not None:
            self.lstm.take(at_home(parameters))

    def split(self, name: str) -> OracleSplit:
        """Draw a split; the three have streams of their own."""
        if name not in self.sizes:
            raise UserError(f"split={name} is not known: the oracle has {', '.join(self.sizes)}")
        rng = torch.Generator().manual_seed(1000 * self.seed + 1 + list(self.sizes).index(name))
        count = self.sizes[name]
        sizes = [min(_CHUNK, count - start) for start in range(0, count, _CHUNK)]
        drawn = [row for size in sizes for row in self.lstm.draw(size, self.length, rng).tolist()]
        items = tuple(
            CaptionedImage(f"{name}-{self.seed}-{index}", (" ".join(f"w{token}" for token in tokens),))
            for index, tokens in enumerate(drawn)
        )
        return OracleSplit(name, items, lstm=self.lstm, length=self.length)
