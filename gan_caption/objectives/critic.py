"""A baseline that learns: the critic of actor-critic training.

Shapes: B images, N captions, T steps, V vocabulary, P pooled, E embedding, H hidden.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from gan_caption.data.captions import Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.decoding.sampling import Samples
from gan_caption.distributed import world
from gan_caption.errors import above, at_least
from gan_caption.generators.base import Generator
from gan_caption.kernels.products import Linear
from gan_caption.kernels.recurrent import read
from gan_caption.layers import ImageVector
from gan_caption.objectives.baselines import Baseline
from gan_caption.rewards.base import PlainReward


class Critic(nn.Module):
    """V(image, words so far): the reward to be expected before the next word is chosen."""

    def __init__(self, *, vocabulary_size: int, pooled_size: int, hidden: int, embedding: int) -> None:
        """Build the layers."""
        super().__init__()
        self.image = ImageVector(inputs=pooled_size, noise=0, outputs=2 * hidden)
        self.words = nn.Embedding(vocabulary_size, embedding)
        self.lstm = nn.LSTM(embedding, hidden, batch_first=True)
        self.value = Linear(hidden, 1)

    def forward(self, features: ImageFeatures, captions: Captions) -> Tensor:
        """Return (N, T): the value before each token, which has not been read; 0 on padding."""
        hidden, cell = self.image(features)[captions.images].chunk(2, dim=1)
        words = self.words(captions.packed(captions.inputs))  # (M, E)
        outputs = read(self.lstm, words, captions.lengths, (torch.tanh(hidden), cell))
        return captions.unpacked(self.value(outputs)[:, 0])


@dataclass(kw_only=True, eq=False)
class LearnedCritic(Baseline):
    """The critic's values, fitted to the returns by least squares (Bahdanau et al. 2017, arXiv 1607.07086).

    It learns from a batch after it has answered: no value depends on the return that it is subtracted from.
    """

    vocabulary_size: int
    """V, of the vocabulary."""
    pooled_size: int
    """P, of the image vector."""
    device: torch.device
    """That of the captioner."""
    hidden: int
    """H, units of its LSTM."""
    embedding: int
    """E, numbers of a word's vector."""
    learning_rate: float
    """Of Adam."""
    clip: float
    """Largest gradient norm."""

    critic: Critic = field(init=False, repr=False)
    optimizer: torch.optim.Adam = field(init=False, repr=False)

    def __post_init__(self) -> None:
        at_least(1, hidden=self.hidden, embedding=self.embedding)
        at_least(0, learning_rate=self.learning_rate)
        above(0, clip=self.clip)
        self.critic = Critic(
            vocabulary_size=self.vocabulary_size, pooled_size=self.pooled_size,
            hidden=self.hidden, embedding=self.embedding,
        ).to(self.device)  # fmt: skip
        self.optimizer = torch.optim.Adam(self.critic.parameters(), lr=self.learning_rate)

    def __call__(self, returns: Tensor, samples: Samples, *, generator: Generator, reward: PlainReward) -> Tensor:
        """Return the values (N, T), and do one gradient step towards the returns."""
        del generator, reward
        return self.fit(returns, samples)

    def values(self, samples: Samples) -> Tensor:
        """Return the critic's values (N, T), in float32: autocast would go on with the weights of before a step."""
        with torch.autocast(self.device.type, enabled=False):
            values: Tensor = self.critic(samples.features.detach(), samples.captions)
        return values

    def fit(self, targets: Tensor, samples: Samples) -> Tensor:
        """Do one gradient step towards the targets (N, T), and return the values (N, T) before it."""
        with torch.enable_grad():
            values = self.values(samples)
            loss = world.gather(samples.captions.packed((values - targets.detach()).square())).mean()
            self.optimizer.zero_grad(set_to_none=True)
            if loss.requires_grad:  # not where this rank has no image
                with torch.autocast(self.device.type, enabled=False):  # the products of the way back as well
                    loss.backward()
        world.sum_gradients(self.critic.parameters())
        nn.utils.clip_grad_norm_(self.critic.parameters(), self.clip)
        self.optimizer.step()
        return values.detach()

    def state_dict(self) -> dict[str, Any]:
        """Return the critic and its optimizer."""
        return {"critic": self.critic.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self.critic.load_state_dict(state["critic"])
        self.optimizer.load_state_dict(state["optimizer"])
