"""The processes that work together: one a GPU (or several on CPUs), started by torchrun. Without it there is one.

With one process every function here hands back what it was given, so that the rest of the package is written once:

- A batch is that of one process. Every rank knows the whole of it, a pure function of seed and step, and takes its
  `part` of the images, neighbours; parts may differ in size, and be empty.
- Whatever the images of a batch share (a loss, a baseline, a share judged rightly) is computed by every rank from the
  values of all captions: `gather` lays the others' values beside the own ones, and gradients pass to the own alone.
  Formulas are therefore those of one process, and losses, gates and metrics are the same numbers on every rank.
- The gradients that ranks have of this one loss add up to its gradient: `sum_gradients`. No DistributedDataParallel is
  needed, which would average, and lacks objectives that go through a network several times, or not at all where a
  rank has no image.
- What is sampled follows from random numbers that every rank draws for the whole batch (`Shared`), using its own rows.
  Captions are then those of one process, and a checkpoint holds one random state. Dropout is drawn by each process for
  itself, as is all that comes from torch's global generators.

So the losses on 1, 2 and 4 ranks differ by the order in which floats are added, unless something is drawn so.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional

from gan_caption.errors import Told, UserError

T = TypeVar("T")
S = TypeVar("S", bound=Sequence[Any])
ENDED = (
    "one of them has ended, and what it printed last says why. The last checkpoint is whole: the same command with "
    "resume=auto goes on from it"
)
"""What is said when another process cannot be reached."""


class Lost(UserError):
    """Another process has ended."""


def rank() -> int:
    """Return this process's number; 0 writes, the others do not."""
    return dist.get_rank() if dist.is_initialized() else 0


def size() -> int:
    """Return how many processes work together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def is_main() -> bool:
    """Tell whether this process is the one that writes."""
    return rank() == 0


def say(line: str) -> None:
    """Tell the person who watches, on stderr, once; stdout is for results."""
    if is_main():
        print(line, file=sys.stderr, flush=True)


def part(count: int) -> range:
    """Return which of `count` neighbours, images of a batch say, are this rank's; sizes differ by one at most."""
    return range(count * rank() // size(), count * (rank() + 1) // size())


def own_of(items: S) -> S:
    """Return this rank's part of a list, a tuple or a range."""
    mine = part(len(items))
    return items[mine.start : mine.stop]  # type: ignore[return-value]


def gather(rows: Tensor) -> Tensor:
    """Return the rows of all ranks, those of rank 0 first; gradients pass to the own rows alone.

    Args:
        rows: (N, ...); sizes may differ between ranks, and N may be 0. Where others than N differ, zeros fill up.
    """
    if size() == 1:
        return rows
    shapes = [shape.tolist() for shape in _all_gather(torch.tensor(rows.shape))]
    largest = [max(sizes) for sizes in zip(*shapes, strict=True)]
    missing = [(0, most - own) for own, most in zip(rows.shape, largest, strict=True)]
    padded = functional.pad(rows, [side for pair in reversed(missing) for side in pair])
    parts = _all_gather(padded.detach())
    parts[rank()] = padded
    return torch.cat([part[: shape[0]] for part, shape in zip(parts, shapes, strict=True)])


def own(rows: Tensor, count: int) -> Tensor:
    """Return this rank's rows of what `gather` (or a function of its rows) returned; `count` is how many it gave."""
    return rows.narrow(0, _before(count), count)


def mean(of_own: Tensor, count: Tensor | int) -> Tensor:
    """Return the mean over all ranks' elements (a scalar); gradients pass to the own elements alone.

    Args:
        of_own: the mean over this rank's elements; not looked at where it has none.
        count: its elements.
    """
    if size() == 1:
        return of_own
    count = int(count)
    counts = gather(torch.tensor([count])).to(of_own)
    means = gather((of_own if count else torch.zeros_like(of_own)).reshape(1))
    return (means * counts).sum() / counts.sum()


def sum_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Give every rank the sum of all ranks' gradients; a parameter without one on any rank keeps none."""
    if size() == 1:
        return
    learning = [parameter for parameter in parameters if parameter.requires_grad]
    there = learning[0].new_tensor([parameter.grad is not None for parameter in learning])
    gradients = [torch.zeros_like(one) if one.grad is None else one.grad for one in learning]
    flat = torch.cat([there, *(gradient.flatten() for gradient in gradients)])
    with _together():
        dist.all_reduce(flat)
    there, *sums = flat.split([len(learning), *(one.numel() for one in learning)])
    for parameter, anywhere, total in zip(learning, there.tolist(), sums, strict=True):
        # In the parameter's own layout, which fused optimizers count on.
        parameter.grad = torch.empty_like(parameter).copy_(total.view_as(parameter)) if anywhere else None


def everyone(value: T) -> list[T]:
    """Return the values of all ranks, in their order; any Python object. Every rank waits for the others."""
    if size() == 1:
        return [value]
    values: list[Any] = [None] * size()
    with _together():
        dist.all_gather_object(values, value)
    return values


def to_main(value: T) -> list[T]:
    """Return the values of all ranks on the main one, and nothing on the others."""
    if size() == 1:
        return [value]
    values: list[Any] | None = [None] * size() if is_main() else None
    with _together():
        dist.gather_object(value, values)
    return values or []


def from_main(make: Callable[[], T]) -> T:
    """Let the main process make something, and hand it to all.

    Raises:
        UserError: on every rank, where the main process could not make it; `Told` on all but the main one.
    """
    if size() == 1:
        return make()
    told: list[Any] = [None, None]
    if is_main():
        try:
            told[0] = make()
        except UserError as error:
            told[1] = error
    with _together():
        dist.broadcast_object_list(told)
    if told[1] is not None:
        raise told[1] if is_main() else Told(str(told[1]))
    return told[0]  # type: ignore[no-any-return]


class Shared(torch.Generator):
    """A CPU generator whose numbers belong to the rows of all ranks; each draws them all and uses its own.

    Its state is therefore the same on every rank, whatever the number of ranks. All ranks draw together. A plain
    `torch.Generator` draws for one process alone.
    """


def draw(make: Callable[..., Tensor], rows: int, *shape: int, rng: torch.Generator) -> Tensor:
    """Return random numbers (rows, *shape) for this rank's rows.

    Args:
        make: `torch.rand` or `torch.randn`.
        rows: of this rank; of a `Shared` generator's ranks, those of rank 0 come first.
        shape: of the numbers of a row, the same on all ranks.
        rng: a CPU generator.
    """
    if not isinstance(rng, Shared) or size() == 1:
        return make(rows, *shape, generator=rng)
    counts = [int(count) for count in _all_gather(torch.tensor(rows))]
    before = sum(counts[: rank()])
    return make(sum(counts), *shape, generator=rng)[before : before + rows]


def _before(count: int) -> int:
    """Return how many rows the ranks before this one have, where this one has `count`."""
    return 0 if size() == 1 else sum(int(other) for other in _all_gather(torch.tensor(count))[: rank()])


def _all_gather(tensor: Tensor) -> list[Tensor]:
    """Return the tensors of all ranks, which must have one shape."""
    sent = tensor.contiguous()
    sent = sent.view(torch.uint8) if sent.dtype == torch.bool else sent
    received = [torch.empty_like(sent) for _ in range(size())]
    with _together():
        dist.all_gather(received, sent)
    return [one.view(tensor.dtype) for one in received]


@contextmanager
def _together() -> Iterator[None]:
    """Say in words that another process has ended, where talking to it fails."""
    try:
        yield
    except RuntimeError as error:
        raise Lost(
            f"rank {rank()} of {size()} can no longer reach the others ({first_line(error)}): {ENDED}"
        ) from error


def first_line(error: Exception) -> str:
    """Return what went wrong, without the place in the library's source."""
    return re.sub(r"^\[\S+\] ", "", str(error).partition("\n")[0].partition(". ")[0])
