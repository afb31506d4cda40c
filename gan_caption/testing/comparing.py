"""What all checks compare with. Shapes: B images, N captions of them, T tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, replace

import torch
from torch import Tensor, nn

from gan_caption.data.captions import EOS, PAD, Captions, captions_from_ids
from gan_caption.data.features import ImageFeatures


def check(holds: bool | Tensor, message: str) -> None:
    """Raise an AssertionError with this message unless it holds; asserts may be switched off, this may not."""
    if not bool(holds):
        raise AssertionError(message)


@contextmanager
def refusals_told() -> Iterator[None]:
    """Tell what the contract itself refuses, with a ValueError, as a promise that is broken."""
    try:
        yield
    except ValueError as error:
        raise AssertionError(str(error)) from error


def check_equal(found: Tensor, wanted: Tensor, message: str, *, tolerance: float) -> None:
    """Compare two tensors; the error says by how much they differ, and where most.

    Args:
        found: what was computed.
        wanted: what it must be.
        message: the promise.
        tolerance: the most that numbers may differ, in parts of the wanted one, or absolutely where that is below 1.
    """
    check(found.shape == wanted.shape, f"{message}: shapes {tuple(found.shape)} and {tuple(wanted.shape)}")
    found, wanted = found.detach().double(), wanted.detach().double()
    apart = (found - wanted).abs() / wanted.abs().clamp(min=1)
    apart = torch.where(found == wanted, 0.0, apart)  # equal infinities among them
    if len(apart.flatten()) and not bool((apart <= tolerance).all()):
        worst = int(apart.nan_to_num(float("inf")).argmax())
        place = tuple(int(index) for index in torch.unravel_index(torch.tensor(worst), apart.shape))
        raise AssertionError(
            f"{message}: {found.flatten()[worst]:.6g} in place of {wanted.flatten()[worst]:.6g} at {place} of "
            f"{tuple(apart.shape)}"
        )


def check_grid(
    call: Callable[[ImageFeatures], Tensor], features: ImageFeatures, *, uses_grid: bool, of: str, tolerance: float
) -> None:
    """Check that what does not say `uses_grid` reads none: a run computes no grid for it."""
    if uses_grid or features.grid is None:
        return
    try:
        found = call(replace(features, grid=None, regions=None))
    except Exception as error:
        raise AssertionError(f"uses_grid is False, and {of} without the grid fails ({error!r}): set it") from error
    check_equal(found, call(features), f"uses_grid is False, and the grid changes {of}: set it", tolerance=tolerance)


def with_padded_regions(features: ImageFeatures) -> ImageFeatures:
    """Return the same features with rows in their grid that are no regions, as beside an image of more regions."""
    grid = features.grid
    assert grid is not None
    real = grid.new_full((len(features),), grid.shape[1], dtype=torch.long)
    regions = real if features.regions is None else features.regions
    return replace(
        features, grid=torch.cat([grid, grid.new_full((len(grid), 2, grid.shape[2]), 9.0)], 1), regions=regions
    )


def various_captions(images: int, *, vocabulary_size: int, max_length: int, seed: int = 0) -> Captions:
    """Return captions of random words: three an image, of all lengths, some of them cut before their `<eos>`."""
    check(vocabulary_size > EOS + 1, f"a vocabulary of {vocabulary_size} has no word to check with")
    rng = torch.Generator().manual_seed(seed)
    texts = []
    for place in range(3 * images):
        length = max_length if place % 3 == 0 else int(torch.randint(max_length, (), generator=rng)) + 1
        words = torch.randint(EOS + 1, vocabulary_size, (length,), generator=rng).tolist()
        texts.append(words if place % 6 == 0 else [*words[:-1], EOS])
    return captions_from_ids(texts, [place // 3 for place in range(len(texts))])


def padded(captions: Captions, *, by: int, with_token: int = PAD) -> Captions:
    """Return the same captions with more padding, where some token stands that means nothing."""
    tokens = torch.nn.functional.pad(captions.tokens, (0, by))
    mask = torch.arange(tokens.shape[1], device=tokens.device) < captions.lengths[:, None]
    return replace(captions, tokens=tokens.masked_fill(~mask, with_token))


def alone(captions: Captions, row: int) -> Captions:
    """Return a caption as the only one, of the only image."""
    length = captions.lengths[row : row + 1]
    return Captions(captions.tokens[row : row + 1, : int(length)], length, torch.zeros_like(length))


def reordered(features: ImageFeatures, captions: Captions) -> tuple[ImageFeatures, Captions, Tensor]:
    """Turn the order of images and captions around.

    Returns:
        both, and the row (N,) that each of these captions had.
    """
    images = torch.arange(len(features), device=captions.images.device).flip(0)
    rows = torch.arange(len(captions), device=captions.images.device).flip(0)
    turned = captions.select(rows)
    return features.select(images), replace(turned, images=len(features) - 1 - turned.images), rows


@contextmanager
def untouched(name: str, **given: object) -> Iterator[None]:
    """Check that tensors and the records that hold them are what they were.

    Args:
        name: of what might have changed them.
        given: by name.
    """
    before = {key: tensor.clone() for key, tensor in _tensors(given).items()}
    yield
    for key, tensor in _tensors(given).items():
        check(torch.equal(tensor, before[key]), f"{name} changed its argument {key}: work on a copy")


def check_gradients(module: nn.Module, loss: Tensor, *, of: str) -> None:
    """Check that a gradient reaches every parameter that wants one; none is left behind."""
    wanting = {name: own for name, own in module.named_parameters() if own.requires_grad}
    if not wanting:
        return
    check(loss.requires_grad, f"{of} have no gradient: compute them without torch.no_grad and without detach")
    found = torch.autograd.grad(loss, list(wanting.values()), allow_unused=True)
    unreached = [name for name, own in zip(wanting, found, strict=True) if own is None or not own.any()]
    check(not unreached, f"{of} pass no gradient to {', '.join(unreached)}: use these, or set requires_grad to False")
    unsound = [name for name, own in zip(wanting, found, strict=True) if own is not None and not own.isfinite().all()]
    check(not unsound, f"{of} have gradients of {', '.join(unsound)} that are NaN or infinite: a root at 0, say")


def _tensors(given: Mapping[str, object]) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for name, value in given.items():
        if isinstance(value, Tensor):
            found[name] = value
        elif isinstance(value, Captions | ImageFeatures):
            parts = {f"{name}.{field.name}": getattr(value, field.name) for field in fields(value)}
            found |= {key: tensor for key, tensor in parts.items() if tensor is not None}
    return found
