"""The contract of a phase, and how a gradient step is made."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import torch
from torch import Tensor, nn

from gan_caption.distributed import world
from gan_caption.generators.base import Generator
from gan_caption.metrics.metric import Metric
from gan_caption.metrics.standard import STANDARD
from gan_caption.training.optimizers import Group
from gan_caption.training.run import Run


class Diverged(Exception):
    """A loss or a gradient is not a number."""


class Phase(ABC):
    """One part of a schedule, counted in steps.

    `begin` must not draw random numbers nor read the networks' weights: a resumed run calls it before it restores them.
    """

    validate_every: int = 0
    """Steps between validations; 0 for none."""
    teaches_the_discriminator_alone: bool = False
    """Whether nothing else learns here; such phases are skipped where a run takes a discriminator from another one."""
    pretraining: str | None = None
    """An earlier phase, whose best weights this one is compared with; None: none."""
    patience: int = 0
    """Validations without a better one before the phase stops; 0 never stops."""
    selector: Metric | None = STANDARD["cider_d"]
    """The metric of validation that tells which weights are the best; None: the last ones are."""

    @abstractmethod
    def begin(self, run: Run) -> None:
        """Make optimizers and batches; called once, before the first step or a resumed one."""

    def rehearse(self, run: Run) -> None:
        """Try out on two images what could fail only in hours; called before anything is trained, and changes nothing.

        Raises:
            ValueError: parts do not fit together.
        """
        del run

    @property
    @abstractmethod
    def total(self) -> int:
        """Steps in the phase; known after `begin`."""

    @abstractmethod
    def step(self, index: int) -> dict[str, float]:
        """Do step `index`, from 0.

        Returns:
            numbers to log, by their documented names.

        Raises:
            Diverged: a loss or a gradient is not a number; nothing was changed by it.
        """

    def warnings(self) -> list[str]:
        """Return what the last step gives reason to warn of, a plain line each."""
        return []

    def heed(self, validation: Mapping[str, float]) -> list[str]:
        """Take in what a validation measured, and return what it gives reason to warn of, a plain line each."""
        del validation
        return []

    def is_done(self) -> bool:
        """Tell whether the phase has reached its aim before its last step."""
        return False

    def weights(self) -> AbstractContextManager[None]:
        """Lend the captioner the weights that validation looks at and that are kept."""
        return nullcontext()

    def is_better(self, metrics: dict[str, float], best: dict[str, float]) -> bool:
        """Tell whether a validation beats the best so far ({} at first)."""
        if self.selector is None or not best:
            return True
        return self.selector.beats(metrics[self.selector.name], best[self.selector.name])

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs: optimizers, averages, counters."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        del state


Precision = Literal["float32", "bfloat16"]
"""Of matrix products and recurrent layers; weights, sums and losses keep float32."""


@contextmanager
def autocast(device: torch.device, precision: Precision) -> Iterator[None]:
    """Compute what is inside in a precision; half the memory and, on devices made for it, several times the speed.

    oneDNN, which PyTorch asks for recurrent layers on a CPU, has none in bfloat16 for processors without AVX-512
    (PyTorch 2.14 stops there): PyTorch's own kernels compute them.
    """
    if precision == "float32":
        yield
        return
    onednn = torch.backends.mkldnn  # whose `flags` would warn of TF32 on devices that are not there
    was = bool(onednn.enabled)
    onednn.enabled = was and (device.type != "cpu" or _onednn_has_recurrent_layers())  # type: ignore[assignment]
    try:
        with torch.autocast(device.type, dtype=torch.bfloat16):
            yield
    finally:
        onednn.enabled = was  # type: ignore[assignment]


@cache
def _onednn_has_recurrent_layers() -> bool:
    """Tell whether a recurrent layer can be computed in bfloat16 on this processor, by computing one."""
    with torch.random.fork_rng(devices=[]), torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        layer = nn.LSTM(1, 1)
        try:
            layer(torch.zeros(1, 1, 1))
        except RuntimeError:
            return False
    return True


def generator_groups(generator: Generator, rate: float, *, pretrained: float | None) -> list[Group]:
    """Return what learns of a generator, by how fast it does.

    Args:
        generator: the policy.
        rate: of what was made for it.
        pretrained: of what came pretrained, a tuned language model; None: the same.
    """
    came = [] if pretrained is None else generator.pretrained_parameters()
    known = set(map(id, came))
    own = Group([one for one in generator.parameters() if id(one) not in known], rate)
    return [own] if pretrained is None or not came else [own, Group(came, pretrained)]


@dataclass(frozen=True)
class Descent:
    """How a gradient step went."""

    loss: float
    """Of the whole batch."""
    gradient_norm: float
    """Before clipping."""


def descend(optimizer: torch.optim.Optimizer, losses: Iterable[Tensor], module: nn.Module, *, clip: float) -> Descent:
    """Do one gradient step on the parameters of `module`.

    Args:
        optimizer: of these parameters.
        losses: scalars whose sum is the loss of the batch of all ranks; gradients pass to this rank's images. They are
            asked for one by one, and each one's graph is gone before the next is made: a batch in parts needs the
            memory of a part.
        module: whose gradients count.
        clip: the largest norm of the gradient.

    Raises:
        Diverged: the loss or the gradient is not finite; the parameters are as they were.
    """
    optimizer.zero_grad(set_to_none=True)
    total = 0.0
    for loss in losses:
        if loss.requires_grad:  # not where this rank has no image
            loss.backward()
        total += loss.item()
    world.sum_gradients(module.parameters())
    norm = nn.utils.clip_grad_norm_((p for p in module.parameters() if p.grad is not None), clip).item()
    if not (math.isfinite(total) and math.isfinite(norm)):
        raise Diverged(f"loss {total}, gradient norm {norm}")
    optimizer.step()
    return Descent(total, norm)
