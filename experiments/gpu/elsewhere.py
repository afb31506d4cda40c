"""A device beside the host, where there is none: its tensors lie in the host's memory.

Code that looks at a tensor's device takes the way that it takes on a GPU, and every number is the one that a CPU
computes. What the host would wait for is told, and what would compute with tensors of both is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

DEVICE = torch.device("meta")
"""The one name beside the CPU's that every build of PyTorch knows; within `elsewhere()` it has contents."""

_ATEN = torch.ops.aten
_ASKS = {
    _ATEN._local_scalar_dense.default, _ATEN.equal.default, _ATEN.nonzero.default, _ATEN.masked_select.default,
    _ATEN._unique2.default, _ATEN.unique_dim.default, _ATEN.unique_consecutive.default, _ATEN.bincount.default,
    _ATEN.repeat_interleave.Tensor,
}  # fmt: skip
"""Their answer, or its shape, depends on the values of tensors."""
_BY_INDEX = {_ATEN.index.Tensor, _ATEN.index_put.default, _ATEN.index_put_.default, _ATEN._index_put_impl_.default}
_BETWEEN = {_ATEN._to_copy.default, _ATEN.copy_.default, *_BY_INDEX}
"""What is done with tensors of two devices."""


class Away(Tensor):
    """A tensor that says it is on `DEVICE`."""

    here: Tensor
    """Its contents."""

    @staticmethod
    def __new__(cls, here: Tensor) -> Away:
        made = Tensor._make_wrapper_subclass(
            cls, here.shape, strides=here.stride(), storage_offset=here.storage_offset(), dtype=here.dtype,
            device=DEVICE, requires_grad=here.requires_grad,
        )  # fmt: skip
        made.here = here
        return made

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]  # PyTorch's own is typed as a method of instances
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        raise RuntimeError(f"{func} outside of `elsewhere()`: nothing else knows this device")

    def tolist(self) -> Any:
        return self.cpu().tolist()  # PyTorch has none for other classes than its own


@contextmanager
def elsewhere(wait: Callable[[str], None]) -> Iterator[None]:
    """Let there be the device.

    Args:
        wait: is called whenever the host would wait for the device, with why.
    """
    replaces = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)  # a parameter cannot change its class in place
    try:
        with _Tensors(), _Operations(wait):
            yield
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(replaces)


class _Tensors(TorchFunctionMode):
    """Tensors made of numbers are made on the host and sent; an LSTM learns as cuDNN's does."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in (torch.tensor, Tensor.new_tensor):
            first = args[0] if func is Tensor.new_tensor else None
            device = kwargs.pop("device", None if first is None else first.device)
            if device is not None and torch.device(device) == DEVICE:
                values = args[1] if func is Tensor.new_tensor else args[0]
                kwargs.setdefault("dtype", None if first is None else first.dtype)
                return torch.tensor(values, **kwargs).to(DEVICE)
            kwargs["device"] = device
        answer = func(*args, **kwargs)
        if func is torch.lstm and torch.backends.cudnn.enabled:
            _check_mode(answer[0], trains=args[7 if isinstance(args[1], Tensor) else 6])  # packed, or not
        return answer


def _check_mode(outputs: Tensor, *, trains: bool) -> None:
    """Refuse a gradient through an LSTM that was told that it does not train, as cuDNN does."""

    def refuse(slope: Tensor) -> None:
        raise RuntimeError("cuDNN: a LSTM's gradient needs an LSTM that was called to train")

    if outputs.requires_grad and outputs.device == DEVICE and not trains:
        outputs.register_hook(refuse)


class _Operations(TorchDispatchMode):
    """Every operation is computed on the host; its answer is on the device where the operation was."""

    def __init__(self, wait: Callable[[str], None]) -> None:
        super().__init__()
        self.wait = wait

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        tensors = list(_tensors((args, kwargs)))
        given = [one for one in tensors if isinstance(one, Away)]
        asked = kwargs.get("device")
        answers_away = bool(given) if asked is None else torch.device(asked) == DEVICE
        if asked is not None:
            kwargs["device"] = torch.device("cpu")
        check_places(func, tensors)
        why = _why(func, args, kwargs, given, answers_away)
        if why:
            self.wait(why)
        answer = func(*_each(_here, args), **_each(_here, kwargs))
        if not answers_away:
            return answer
        known = {id(one.here): one for one in given}  # what was changed in place stays the tensor that it was

        def away(one: Tensor) -> Tensor:
            return known[id(one)] if id(one) in known else Away(one)

        return _each(away, answer)


def _tensors(node: Any) -> Iterator[Tensor]:
    """Yield the tensors in what an operation is given; PyTorch's own way through trees is five times as slow."""
    if isinstance(node, Tensor):
        yield node
    elif isinstance(node, tuple | list):
        for one in node:
            yield from _tensors(one)
    elif isinstance(node, dict):
        for one in node.values():
            yield from _tensors(one)


def _each(change: Callable[[Tensor], Any], node: Any) -> Any:
    """Return the same with each of its tensors changed."""
    if isinstance(node, Tensor):
        return change(node)
    if isinstance(node, tuple | list):
        return type(node)([_each(change, one) for one in node])
    if isinstance(node, dict):
        return {key: _each(change, one) for key, one in node.items()}
    return node


def check_places(func: Any, tensors: list[Tensor]) -> None:
    """Refuse what no device does: to compute with the numbers of another one, but for single ones and for indices.

    Raises:
        RuntimeError: an operation was given tensors of both.
    """
    others = [one for one in tensors if not isinstance(one, Away)]
    if len(others) < len(tensors) and any(one.dim() for one in others) and func not in _BETWEEN:
        raise RuntimeError(f"{func}: some of its tensors are on the host and some are not")


def _here(tensor: Tensor) -> Tensor:
    return tensor.here if isinstance(tensor, Away) else tensor


def _why(func: Any, args: Any, kwargs: Any, given: list[Away], answers_away: bool) -> str:
    """Say why the host waits for the device here; nothing where it does not."""
    if func is _ATEN._to_copy.default and bool(given) != answers_away:
        if answers_away:
            return "" if kwargs.get("non_blocking") else "copied to the device"
        return "copied to the host"
    if func is _ATEN.copy_.default and given and isinstance(args[0], Away) != isinstance(args[1], Away):
        return "copied to the device" if isinstance(args[0], Away) else "copied to the host"
    if not given:
        return ""
    if func in _ASKS:
        return str(func._schema.name).partition("::")[2].strip("_")
    if func in _BY_INDEX and any(isinstance(one, Tensor) and not isinstance(one, Away) for one in args[1]):
        return "copied to the device"
    masked = func in _BY_INDEX and any(one is not None and one.dtype == torch.bool for one in args[1])
    return "a mask as an index" if masked else ""
