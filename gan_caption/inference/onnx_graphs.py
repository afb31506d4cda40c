"""The encoder and the decoding step as ONNX graphs, for any number of images at once.

    encoder.onnx   pixels (B, 3, S, S) uint8 -> state_0 ..., memory_0 ...
    step.onnx      tokens (B,) int64, state_0 ..., memory_0 ... -> logits (B, V), next_state_0 ...

The inputs are the generator's state as it names it (`PolicyState.named_tensors`). A greedy loop feeds the encoder's
outputs to the step, and each step's `next_state_i` to the next as `state_i`; what has no `next_` (the memory that an
attention reads) stays. Logits are -inf on tokens that are never written.

Shapes: B images of S x S pixels, V vocabulary.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gan_caption.data.captions import BOS
from gan_caption.encoders.base import Encoder
from gan_caption.encoders.pixels import Geometry, Stretch
from gan_caption.errors import UserError
from gan_caption.generators.base import Generator, over_vocabulary
from gan_caption.generators.state import PolicyState
from gan_caption.kernels import plain
from gan_caption.modes import evaluating

_OPSET = 18
"""Of 2022: what every onnxruntime since 1.14 reads."""


def onnx_graphs(encoder: Encoder, generator: Generator, pixels: Tensor, *, max_length: int) -> dict[str, bytes]:
    """Return the ONNX files by name.

    Args:
        encoder: on the CPU.
        generator: on the CPU.
        pixels: (B, 3, S, S) uint8, B at least 2: an example.
        max_length: of captions, in tokens, `<eos>` counted.

    Raises:
        UserError: the generator's state has no names for its tensors (see `PolicyState.named_tensors`), or a network of
            the user's own does something that has no ONNX form.
    """
    start = _Start(encoder, generator, max_length)
    try:
        with evaluating(start), plain(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch about torch
            features = encoder.as_trained(pixels)
            state = generator.start(features, max_length)
            # A tensor that stands at two places would become one input.
            begun = {name: tensor.clone() for name, tensor in state.named_tensors().items()}
            tokens = torch.full((len(pixels),), BOS)
            _, after = generator.step(tokens, state.rebuilt(begun))
            changed = [name for name, tensor in after.named_tensors().items() if tensor is not begun[name]]
            step = _Step(generator, state, list(begun), changed)
            outputs = ["logits", *(f"next_{name}" for name in changed)]
            return {
                "encoder.onnx": _graph(start, [pixels], ["pixels"], list(begun)),
                "step.onnx": _graph(step, [tokens, *begun.values()], ["tokens", *begun], outputs),
            }
    except UserError:
        raise
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        raise UserError(
            f"{type(encoder).__name__} with {type(generator).__name__} cannot be exported as ONNX ({reason}). A "
            "network of your own must not look at values, and must take the number of images from x.shape[0], not "
            "from len(x). format=safetensors takes any"
        ) from error


def pixel_recipe(encoder: Encoder) -> dict[str, Any]:
    """Return how an encoder's pixels are made from an image, in words that need no torch.

    Returns:
        `shorter_side` (resized to it; None: width and height are resized to `side`), `side` of the middle crop, and
        `filter`, Pillow's name of it.

    Raises:
        UserError: the encoder makes them in some other way.
    """
    geometry = getattr(encoder, "geometry", None)
    if isinstance(geometry, Geometry):
        shorter = round(geometry.size / geometry.share)
        return {"shorter_side": shorter, "side": geometry.size, "filter": geometry.resampling.name}
    if isinstance(geometry, Stretch):
        return {"shorter_side": None, "side": geometry.size, "filter": "BILINEAR"}
    raise UserError(
        f"format=onnx: {type(encoder).__name__} reads no images, or resizes them in a way of its own; an encoder that "
        "can be exported has a `geometry` of gan_caption.encoders.pixels. format=safetensors takes any"
    )


class _Start(nn.Module):
    """Pixels to the state before the first word."""

    def __init__(self, encoder: Encoder, generator: Generator, max_length: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.generator = generator
        self.max_length = max_length

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.generator.start(self.encoder.as_trained(pixels), self.max_length).named_tensors().values())


class _Step(nn.Module):
    """One token of each image to the logits of the next."""

    def __init__(self, generator: Generator, state: PolicyState, names: Sequence[str], changed: Sequence[str]) -> None:
        super().__init__()
        self.generator = generator
        self.state = state
        self.names = names
        self.changed = changed

    def forward(self, tokens: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        state = self.state.rebuilt(dict(zip(self.names, tensors, strict=True)))
        logits, after = self.generator.step(tokens, state)
        named = after.named_tensors()
        logits = over_vocabulary(logits, first_word=self.generator.first_word)
        return (logits, *(named[name] for name in self.changed))


def _graph(module: nn.Module, inputs: Sequence[Tensor], names: Sequence[str], outputs: Sequence[str]) -> bytes:
    """Return a module's ONNX file; the first dimension of every input is the number of images."""
    images = torch.export.Dim("images")
    shapes: list[Any] = [{0: images} for _ in inputs]
    if isinstance(module, _Step):  # its states are one argument, of any number
        shapes = [shapes[0], tuple(shapes[1:])]
    program = torch.export.export(module.eval(), tuple(inputs), dynamic_shapes=tuple(shapes))
    exported = torch.onnx.export(
        program, dynamo=True, input_names=names, output_names=outputs, opset_version=_OPSET, verbose=False
    )
    assert exported is not None
    model = exported.model_proto
    for node in model.graph.node:  # where in whose folders each line of the program stood
        del node.metadata_props[:]
        node.doc_string = ""
    content: bytes = model.SerializeToString()
    return content
