"""The next word of every row, by a policy whose shapes do not change: as it is, and by `torch.compile`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor

from experiments.gpu.steps import Sizes, policy
from experiments.speed.workload import features
from gan_caption.data.captions import BOS
from gan_caption.kernels.switch import plain

Word = tuple[Tensor, dict[str, Tensor]]
"""The words (N,), and the state after them."""


def words(family: str, sizes: Sizes, device: torch.device) -> dict[str, Callable[[], Word]]:
    """Return two calls that write the first word of each image, the second one compiled as a whole."""
    generator = policy(family, sizes).to(device).eval()
    shown = features(sizes.decoded, grid=generator.uses_grid).map(lambda tensor: tensor.to(device))
    with torch.no_grad():
        start = generator.start(shown, sizes.length)
        before = start.named_tensors()
    tokens = torch.full((sizes.decoded,), BOS, device=device)

    def write(tokens: Tensor, tensors: dict[str, Tensor]) -> Word:
        logits, after = generator.step(tokens, start.rebuilt(tensors))
        return logits.argmax(1), after.named_tensors()

    # On a CPU a step is traced, and nothing is made of it: whether it can be compiled shows there as well.
    compiler: dict[str, Any] = {"mode": "reduce-overhead"} if device.type == "cuda" else {"backend": "eager"}
    compiled = torch.compile(write, fullgraph=True, **compiler)

    def call(step: Callable[[Tensor, dict[str, Tensor]], Word]) -> Callable[[], Word]:
        def called() -> Word:
            with _traceable(device):
                return step(tokens, before)

        return called

    return {"as it is": call(write), "compiled": call(compiled)}


@contextmanager
def _traceable(device: torch.device) -> Iterator[None]:
    """Leave out what cannot be traced: gradients, and on a CPU the kernels of oneDNN."""
    lstms = torch._dynamo.config.patch(allow_rnn=True)  # their weights are read; they are not called
    with torch.no_grad(), lstms, plain() if device.type == "cpu" else nullcontext():
        yield
