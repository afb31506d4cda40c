"""Optimizers as parts of a phase, as `conf/optimizer/` names them; the phase says what learns, and how fast."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import nn

from gan_caption.errors import at_least, share
from gan_caption.training.learning_rates import LearningRate


@dataclass(frozen=True)
class Group:
    """Parameters that learn at one rate."""

    parameters: Iterable[nn.Parameter]
    """Those that need no gradient are left out."""
    learning_rate: float
    """At its highest; a phase's `LearningRate` says what share of it holds at a step."""


class Optimizer(Protocol):
    """Makes the optimizer of groups of parameters."""

    def __call__(self, groups: Sequence[Group]) -> torch.optim.Optimizer:
        """Return it, its learning rates at their highest."""
        ...


@dataclass(frozen=True, kw_only=True)
class AdamW:
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, arXiv 1711.05101)."""

    betas: tuple[float, float]
    """What the running means of gradients and of their squares keep at each step, each in [0, 1)."""
    eps: float
    """Added to the root of the second mean."""
    weight_decay: float
    """At each step weights lose this share of themselves, times the learning rate."""

    def __post_init__(self) -> None:
        _check_adam(self.betas, eps=self.eps, weight_decay=self.weight_decay)

    def __call__(self, groups: Sequence[Group]) -> torch.optim.Optimizer:
        """Return the optimizer, with one fused update for all tensors."""
        return torch.optim.AdamW(
            _plain(groups), betas=self.betas, eps=self.eps, weight_decay=self.weight_decay, fused=True
        )


@dataclass(frozen=True, kw_only=True)
class Adam:
    """Adam (Kingma & Ba 2015, arXiv 1412.6980)."""

    betas: tuple[float, float]
    """As in `AdamW`; adversarial training often takes (0.5, 0.999) (Radford et al. 2016, arXiv 1511.06434)."""
    eps: float
    """As in `AdamW`."""
    weight_decay: float
    """Times the weights, added to the gradients: an L2 penalty."""

    def __post_init__(self) -> None:
        _check_adam(self.betas, eps=self.eps, weight_decay=self.weight_decay)

    def __call__(self, groups: Sequence[Group]) -> torch.optim.Optimizer:
        """Return the optimizer, with one fused update for all tensors."""
        return torch.optim.Adam(
            _plain(groups), betas=self.betas, eps=self.eps, weight_decay=self.weight_decay, fused=True
        )


@dataclass(frozen=True, kw_only=True)
class RMSprop:
    """RMSprop (Tieleman & Hinton 2012)."""

    alpha: float
    """What the running mean of squared gradients keeps at each step, in [0, 1)."""
    eps: float
    """Added to its root."""
    momentum: float
    """What the last update adds to this one, in [0, 1)."""
    weight_decay: float
    """Times the weights, added to the gradients."""

    def __post_init__(self) -> None:
        share(alpha=self.alpha, momentum=self.momentum)
        at_least(0, eps=self.eps, weight_decay=self.weight_decay)

    def __call__(self, groups: Sequence[Group]) -> torch.optim.Optimizer:
        """Return the optimizer."""
        return torch.optim.RMSprop(
            _plain(groups), alpha=self.alpha, eps=self.eps, momentum=self.momentum, weight_decay=self.weight_decay
        )


@dataclass(frozen=True, kw_only=True)
class SGD:
    """Gradient descent with momentum (Sutskever et al. 2013)."""

    momentum: float
    """What the last update adds to this one, in [0, 1)."""
    nesterov: bool
    """Whether the gradient is taken where the momentum leads; needs a momentum above 0."""
    weight_decay: float
    """Times the weights, added to the gradients."""

    def __post_init__(self) -> None:
        share(momentum=self.momentum)
        at_least(0, weight_decay=self.weight_decay)
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov=True: it needs a momentum above 0")

    def __call__(self, groups: Sequence[Group]) -> torch.optim.Optimizer:
        """Return the optimizer, with one fused update for all tensors."""
        return torch.optim.SGD(
            _plain(groups), lr=1.0, momentum=self.momentum, nesterov=self.nesterov,
            weight_decay=self.weight_decay, fused=True,
        )  # fmt: skip


def set_learning_rates(optimizer: torch.optim.Optimizer, schedule: LearningRate, *, step: int, total: int) -> None:
    """Set each group's learning rate to what the schedule says of a step.

    Args:
        optimizer: as an `Optimizer` made it.
        schedule: gives the share of each group's highest rate.
        step: from 0.
        total: the phase's steps.
    """
    part = schedule(step, total)
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * part


def _plain(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """Return the groups as torch's optimizers take them, each with its highest rate beside the present one."""
    return [
        {
            "params": [parameter for parameter in group.parameters if parameter.requires_grad],
            "lr": group.learning_rate,
            "peak": group.learning_rate,
        }
        for group in groups
    ]


def _check_adam(betas: tuple[float, float], *, eps: float, weight_decay: float) -> None:
    if not all(0 <= beta < 1 for beta in betas):
        raise ValueError(f"betas={list(betas)}: each at least 0, below 1")
    at_least(0, eps=eps, weight_decay=weight_decay)
